"""The console's files, as they are answered: one page that fetches nothing from anywhere else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bsim.links.web.message import Response

_KINDS: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# Pictures of collectibles are data: URIs; whatever is in them cannot load or run anything.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def pages() -> Mapping[str, Response]:
    """Answer the responses by path; the page itself is at / and /console."""
    found: dict[str, Response] = {}
    for file in Path(__file__).with_name("console").iterdir():
        kind = _KINDS.get(file.name.rpartition(".")[2])
        if kind is not None:
            headers = [("Content-Security-Policy", _POLICY), ("Referrer-Policy", "no-referrer")]
            found[f"/{file.name}"] = Response(200, file.read_bytes(), kind, headers)
    found["/"] = found["/console"] = found.pop("/index.html")
    return found
