"""JSON that a user hands in: read one way, and whatever is wrong with it said in one line."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bsim.chains.fields import nesting
from bsim.cli.common import UsageError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_LONGEST_REASON = 200
_DEEPEST = 200


def read_object(file: "str | Traversable", shown: str | None = None) -> dict[str, object] | None:
    """Read a JSON file as `read_json` does; None where it holds no object."""
    found = read_json(file, shown)
    return found if isinstance(found, dict) else None


def read_json(file: "str | Traversable", shown: str | None = None) -> object:
    """Read a JSON file, or stdin for `-`; UsageError says what is wrong, by `shown`."""
    shown = shown or str(file)
    try:
        # Some editors begin with a byte order mark, which is no part of the text.
        text = sys.stdin.read() if file == "-" else _path(file).read_text(encoding="utf-8")
        if nesting(text) > _DEEPEST:
            raise ValueError("nested too deeply")
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_unique)
    except OSError as fault:
        raise UsageError(f"{shown}: cannot be read ({fault.strerror})") from fault
    except UnicodeDecodeError as fault:
        raise UsageError(f"{shown}: cannot be read (not text in UTF-8)") from fault
    except ValueError as fault:
        raise UsageError(f"{shown}: not JSON ({str(fault)[:_LONGEST_REASON]})") from fault


def _path(file: "str | Traversable") -> "Traversable":
    return Path(file) if isinstance(file, str) else file


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """JSON leaves open which of two values counts (RFC 8259 4); a transaction or a backup is not to be guessed."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found
