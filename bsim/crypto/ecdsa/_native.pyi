from typing import Any

from bsim.crypto.memory import Secret

SHA: bool

class Signer:
    def __new__(cls, library: tuple[Any, int, int, int, int], secret: Secret, /) -> Signer: ...
    def sign(self, digest: bytes, /) -> bytes: ...
    def wipe(self) -> None: ...
