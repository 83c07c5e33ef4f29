"""Cards with one quirk each, as real cards have them: wrappers for tests. As a program, one in a slot of vpcd:

quirks.py PORT [QUIRK ...]
"""

import sys
from collections.abc import Callable

from bsim import tlv
from bsim.ports import Card
from bsim.profiles import personalisation, ram_card

Change = Callable[[bytes, bytes], bytes]
_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Quirky:
    """A card whose answers are changed on their way out; itself a card."""

    def __init__(self, card: Card, change: Change) -> None:
        self.card = card
        self.change = change

    def reset(self) -> bytes:
        return self.card.reset()

    def transmit(self, command: bytes) -> bytes:
        return self.change(command, self.card.transmit(command))


def on(ins: int, change: Callable[[bytes], bytes], *, sw: str | None = None) -> Change:
    """Change the answers to an instruction, all or those with a status word."""

    def changed(command: bytes, response: bytes) -> bytes:
        right = command[1] == ins and (sw is None or response[-2:].hex() == sw)
        return change(response) if right else response

    return changed


def high_s(response: bytes) -> bytes:
    if response[0] != 0x30:
        return response
    r, s = tlv.parse(tlv.parse(response[:-2])[0].value)
    number = (_N - int.from_bytes(s.value, "big")).to_bytes(33, "big")
    other = number[1:] if not number[1] & 0x80 else number
    return tlv.encode(0x30, r.encode() + tlv.encode(2, other)) + response[-2:]


def slots_from_0(stream: bytes) -> bytes:
    records = tlv.parse(stream)
    less = [tlv.encode(one.tag, one.value[:4] + bytes((one.value[4] - 1,)) + one.value[5:]) for one in records]
    return b"".join(less)


def plain_iccid(response: bytes) -> bytes:
    swapped = bytes((byte >> 4 | byte << 4) & 0xFF for byte in response[2:-2])
    return response[:2] + swapped + response[-2:]


def lengths_first(command: bytes, response: bytes) -> bytes:
    """SIGN whose data is too long is refused for that before P1 and P2 are looked at."""
    return b"\x67\x00" if command[1] == 0xAC and len(command) == 5 + 255 else response


class Exporting:
    """EXPORT PUBKEYS with another stream, or in other segments."""

    def __init__(self, card: Card, change: Callable[[bytes], bytes] = bytes, segment: int = 256) -> None:
        self.card = card
        self.change = change
        self.segment = segment
        self.stream = b""

    def reset(self) -> bytes:
        return self.card.reset()

    def transmit(self, command: bytes) -> bytes:
        if command[:2] != b"\x80\xc8" or command[2:4] not in {b"\0\0", b"\0\1"} or len(command) > 5:
            return self.card.transmit(command)
        if command[3] == 0:
            response = self.card.transmit(command)
            self.stream = response[:-2]
            while response[-2:] == b"\x63\x00":
                response = self.card.transmit(b"\x80\xc8\0\1\0")
                self.stream += response[:-2]
            if response[-2:] != b"\x90\x00":
                return response
            self.stream = self.change(self.stream)
        elif not self.stream:
            return self.card.transmit(command)
        part, self.stream = self.stream[: self.segment], self.stream[self.segment :]
        return part + (b"\x63\x00" if self.stream else b"\x90\x00")


def tries_as_digits_only(response: bytes) -> bytes:
    return response.replace(b"tries left", b"more times")


QUIRKS: dict[str, tuple[str, Callable[[Card], Card]]] = {
    "wrong status word": ("DERIVE_KEY", lambda c: Quirky(c, on(0xA8, lambda _: b"\x6a\x81", sw="6a80"))),
    "order of checks": ("SIGN", lambda c: Quirky(c, lengths_first)),
    "segment size": ("EXPORT_PUBKEYS", lambda c: Exporting(c, segment=128)),
    "missing TLV": ("SELECT", lambda c: Quirky(c, on(0xA4, lambda r: b"\x6f\0" + r[-2:] if r[0] == 0x6F else r))),
    "6C for data": ("GET_VERSION", lambda c: Quirky(c, on(0xCA, lambda _: b"\x6c\x02", sw="9000"))),
    "extra byte": ("GET_CHALLENGE", lambda c: Quirky(c, on(0x84, lambda r: b"\0" + r, sw="9000"))),
    "one byte less": ("EXPORT_SEED", lambda c: Quirky(c, on(0x74, lambda r: r[:-3] + r[-2:] if len(r) > 2 else r))),
    "high s": ("SIGN", lambda c: Quirky(c, on(0xAC, high_s))),
    "6B00 for P1 and P2": ("STATUS", lambda c: Quirky(c, on(0xF2, lambda _: b"\x6b\x00", sw="6a86"))),
    "tries told otherwise": ("typed wrong", lambda c: Quirky(c, on(0x12, tries_as_digits_only))),
    "slots from 0": ("EXPORT_PUBKEYS", lambda c: Exporting(c, slots_from_0)),
    "ICCID not swapped": ("GET_ICCID", lambda c: Quirky(c, on(0xCA, plain_iccid, sw="9000"))),
    "no channel": ("MANAGE_CHANNEL", lambda c: Quirky(c, on(0x70, lambda _: b"\x68\x81", sw="9000"))),
    "other version": (
        "GET_VERSION",
        lambda c: Quirky(c, on(0xCA, lambda r: r if len(r) > 4 else b"\0\x52\x90\0", sw="9000")),
    ),
}
"""Name: what the differences it makes are about (a command, or words of a scenario's title), and how to plant it."""


def planted(card: Card, *names: str) -> Card:
    for name in names:
        card = QUIRKS[name][1](card)
    return card


if __name__ == "__main__":
    from bsim.card import T0
    from bsim.links.vpcd import VpcdLink

    card = planted(ram_card(personalisation()), *sys.argv[2:])
    VpcdLink(T0(card), port=int(sys.argv[1])).run()
