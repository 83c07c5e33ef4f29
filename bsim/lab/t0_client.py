"""The client's side of T=0: from an APDU to TPDUs and back, so that the caller sees whole responses.

ISO/IEC 7816-3 12.2.1; ETSI TS 102 221 7.3.1.1. The card's side is bsim.card.t0.
"""

from collections.abc import Callable
from typing import Final

from bsim.apdu import CLAS, body, cla_on_channel
from bsim.sw import SwError

Send = Callable[[bytes], bytes]

_GET_RESPONSE: Final = 0xC0
_GSM: Final = 0xA0
_WRONG_LE: Final = 0x6C
_MORE: Final = frozenset({0x61, 0x9F})  # 9F is 61 of class A0 (3GPP TS 51.011 9.4.1)
# A response of 65,536 bytes, 256 at a time, and as many corrections of Le: no honest card needs more.
_MOST_ROUNDS: Final = 512


class ProtocolError(Exception):
    """The card does not keep to T=0."""


def exchange(send: Send, command: bytes) -> bytes:
    """Carry one APDU over `send`, which carries TPDUs: response data in one piece, and the last status word."""
    return follow(send, _tpdu(command))


def follow(send: Send, command: bytes) -> bytes:
    """Carry a command as it is, and do what 6Cxx, 61xx and 9Fxx ask for: response data in one piece, the last status.

    ProtocolError if the card never comes to an end.
    """
    data = b""
    cla = command[:1]
    for _ in range(_MOST_ROUNDS):
        response = send(command)
        if len(response) < 2:
            raise ProtocolError("the card answered less than a status word")
        corrected = _with_le(command, response[-1:]) if response[-2] == _WRONG_LE else None
        if corrected is not None:
            command = corrected
            continue
        data += response[:-2]
        if response[-2] not in _MORE:
            return data + response[-2:]
        command = bytes((_class(cla[0]), _GET_RESPONSE, 0, 0, response[-1]))
    raise ProtocolError("the card never ends its response")


def _with_le(command: bytes, le: bytes) -> bytes | None:
    """The same command with another Le; None for one without a short one."""
    try:
        start, end, present = body(command)
    except SwError:
        return None
    if present is None or start > 5:
        return None
    return command[: end if end > start else 4] + le


def _tpdu(command: bytes) -> bytes:
    """The first TPDU: case 1 with P3 = 00, case 4 without its Le. What is extended or no APDU goes as it is."""
    if len(command) == 4:
        return command + b"\0"
    if len(command) == 5 or command[4] == 0:
        return command
    try:
        _, end, _ = body(command)
    except SwError:
        return command
    return command[:end]


def _class(cla: int) -> int:
    """The class of GET RESPONSE: interindustry on the command's channel, or GSM's own. TS 102 221 10.1.1."""
    if cla & 0xF0 == _GSM:
        return _GSM
    decoded = CLAS[cla]
    return cla_on_channel(0x00, decoded.channel) if decoded.valid else 0x00
