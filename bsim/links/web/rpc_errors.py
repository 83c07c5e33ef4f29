"""The errors of JSON-RPC 2.0 and EIP-1193, and which of them a card's refusal is."""

from typing import Final

from bsim.client import CardError
from bsim.sw import SW

PARSE: Final = -32700
INVALID_REQUEST: Final = -32600
NO_METHOD: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL: Final = -32603
SERVER: Final = -32000
REJECTED: Final = 4001
UNAUTHORIZED: Final = 4100
UNSUPPORTED: Final = 4200
DISCONNECTED: Final = 4900


class RpcError(Exception):
    """A call is answered with this error."""

    def __init__(self, code: int, message: str, sw: int | None = None) -> None:
        super().__init__(message)
        self.code: Final = code
        self.sw: Final = sw

    def value(self) -> dict[str, object]:
        """The error object. JSON-RPC 2.0 section 5.1."""
        told: dict[str, object] = {"code": self.code, "message": str(self)}
        return told | ({"data": {"sw": f"{self.sw:04X}"}} if self.sw is not None else {})


_REFUSALS: Final = {
    SW.CONDITIONS_NOT_SATISFIED: (REJECTED, "the user rejected the request"),
    SW.SECURITY_STATUS_NOT_SATISFIED: (REJECTED, "the BPIN was not verified"),
    SW.AUTHENTICATION_METHOD_BLOCKED: (UNAUTHORIZED, "the BPIN is blocked"),
    SW.REFERENCED_DATA_NOT_FOUND: (UNAUTHORIZED, "the card has no such key"),
    SW.INS_NOT_SUPPORTED: (UNSUPPORTED, "this card cannot show what it signs: a card of the extended profile can"),
}


def refused(refusal: CardError) -> RpcError:
    """What a card's refusal is to the app."""
    if refusal.sw in _REFUSALS:
        code, words = _REFUSALS[SW(refusal.sw)]
        return RpcError(code, words, refusal.sw)
    return RpcError(SERVER, str(refusal), refusal.sw)
