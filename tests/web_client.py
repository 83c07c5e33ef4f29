"""What the tests of the web server share: a server in a thread, and a client of a few lines."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from helpers import MNEMONIC, WALLET_AID

from bsim.links.web import Limits, WebServer

SELECT: Final = f"00A4040010{WALLET_AID.hex()}"
DERIVE: Final = "80A80002050000003C01"
VERIFY: Final = "807C000000"
SIGN: Final = "80AC0000250000003C01" + bytes(range(32)).hex()


class Client:
    """One keep-alive connection."""

    def __init__(self, url: str, **headers: str) -> None:
        where = urlsplit(url)
        self.connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=20)
        self.headers = headers

    def raw(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in {**self.headers, **headers}.items()}
        self.connection.request(method, path, body, named)
        response = self.connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        content = {} if body is None else {"Content_Type": "application/json"}
        encoded = None if body is None else json.dumps(body).encode()
        status, _, answer = self.raw(method, path, encoded, **content, **headers)
        return status, json.loads(answer) if answer else None

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        return self.call("POST", path, {} if body is None else body, **headers)

    def done(self, path: str, body: object = None, status: int = 200) -> Any:
        found, answer = self.post(path, body)
        assert found == status, (path, found, answer)
        return answer

    def card(self, **options: object) -> str:
        """Make the test card; answers its path."""
        made = self.done("/v1/cards", {"mnemonic": MNEMONIC, **options}, 201)
        return f"/v1/cards/{made['id']}"

    def apdu(self, card: str, command: str, level: str = "apdu") -> str:
        return str(self.done(f"{card}/apdu", {"apdu": command, "level": level})["response"])

    def close(self) -> None:
        self.connection.close()


@contextmanager
def serving(
    token: str | None = None, origins: tuple[str, ...] = (), **limits: float
) -> Iterator[tuple[WebServer, Client]]:
    with WebServer(token=token, origins=origins, limits=Limits(**limits)) as server:  # type: ignore[arg-type]
        client = Client(server.url)
        try:
            yield server, client
        finally:
            client.close()
