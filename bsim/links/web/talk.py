"""The operation that carries APDUs to a card as it is."""

import re
from typing import Final

from bsim.links.web import shapes
from bsim.links.web.message import TEXT, Refusal, Response
from bsim.links.web.operation import Call, Operation
from bsim.links.web.schema import obj, text

_HEX: Final = re.compile(rb"(?:\s*[0-9A-Fa-f]{2})+\s*")
_MOST: Final = 200_000


def _apdu(call: Call) -> object:
    card, body = call.card, call.body
    if isinstance(body, bytes):
        command, as_text = _hex(body), True
        transmit = card.card.transmit
    else:
        command, as_text = bytes.fromhex(body["apdu"]), False
        transmit = card.tpdu.transmit if body.get("level") == "tpdu" else card.card.transmit

    def send() -> object:
        response = transmit(command)
        return Response(200, response.hex().upper().encode() + b"\n", TEXT) if as_text else answered(response)

    return card.line.run(send, slow=card.slow(command))


def answered(response: bytes) -> dict[str, str]:
    """A response APDU, whole and in its parts."""
    digits = response.hex().upper()
    return {"response": digits, "data": digits[:-4], "sw": digits[-4:]}


def _hex(body: bytes) -> bytes:
    if len(body) > _MOST or not _HEX.fullmatch(body):
        raise Refusal(400, "the body is a command APDU in hex", "WrongBody")
    return bytes.fromhex(body.decode())


OPERATIONS: Final = (
    Operation(
        "POST",
        "/v1/cards/{card}/apdu",
        "transmit",
        "Carry one command to the card",
        _apdu,
        shapes.ANSWERED,
        body=obj(("apdu",), apdu=shapes.COMMAND, level=text("whole APDUs, or T=0's TPDUs", enum=["apdu", "tpdu"])),
        text="the command APDU in hex; so is the answer",
        refusals=(404, 409, 503),
    ),
)
