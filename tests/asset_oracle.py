"""What an asset is in bytes, by the declaration's notes and without the card's own code; and cards with assets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from helpers import apdu, exchange

from bsim.ports import Card
from bsim.store import RamStore, StoreError

BAYC = bytes.fromhex("BC4CA0EdA7647A8aB7C2061c2E118A18a936f13D")


def ber(tag: int, value: bytes) -> bytes:
    """One data object. ISO/IEC 7816-4 6.3."""
    size = len(value)
    if size < 0x80:
        length = bytes((size,))
    elif size < 0x100:
        length = bytes((0x81, size))
    else:
        length = bytes((0x82, size >> 8, size & 0xFF))
    return bytes((tag,)) + length + value


@dataclass(frozen=True)
class Token:
    """An asset's fields as they are encoded."""

    token_id: int = 1
    slot: int = 1
    chain: bytes = b"\x01\x01"
    contract: bytes = BAYC
    standard: int = 1
    amount: bytes = b"\x01"
    policy: int = 1
    acquired: int = 1_735_689_600
    name: bytes = b""
    media: bytes = b""
    issuer: bytes = b""
    state: int = 0

    @property
    def key(self) -> tuple[int, bytes, bytes, int]:
        """What makes it this one."""
        return self.slot, self.chain, self.contract, self.token_id

    def new(self) -> bytes:
        """As ADD ASSET takes it."""
        return self._head() + self._tail()

    def listed(self, number: int) -> bytes:
        """As LIST ASSETS answers it."""
        return ber(
            0xE1, ber(0x80, number.to_bytes(4, "big")) + self._head() + ber(0x89, bytes((self.state,))) + self._tail()
        )

    def sized(self, number: int, size: int) -> "Token":
        """The same with a name and media so long that it is listed in so many bytes."""
        for media in (b"", *(b"m:" + b"x" * more for more in range(0, 1000, 90))):
            for length in range(129):
                one = replace(self, name=b"n" * length, media=media)
                if len(one.listed(number)) == size:
                    return one
        raise AssertionError(f"no asset is listed in {size} bytes")

    def _head(self) -> bytes:
        return (
            ber(0x81, bytes((self.slot,)))
            + ber(0x82, self.chain)
            + ber(0x83, self.contract)
            + ber(0x84, self.token_id.to_bytes(32, "big"))
            + ber(0x85, bytes((self.standard,)))
            + ber(0x86, self.amount)
            + ber(0x87, bytes((self.policy,)))
            + ber(0x88, self.acquired.to_bytes(8, "big"))
        )

    def _tail(self) -> bytes:
        texts = ((0x8A, self.name), (0x8B, self.media), (0x8C, self.issuer))
        return b"".join(ber(tag, text) for tag, text in texts if text)


class FailingStore(RamStore):
    """A store that can be told to fail."""

    broken = False

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        if self.broken:
            raise StoreError("no room")
        super().write(changes)


def add(card: Card, token: Token, sw: int = 0x9000) -> int:
    """Add an asset; answers its number."""
    data, found = exchange(card, apdu("ADD_ASSET", asset=token.new()))
    assert f"{found:04X}" == f"{sw:04X}"
    return int.from_bytes(data, "big")


def fill(card: Card, tokens: Iterable[Token]) -> dict[int, Token]:
    """Add assets; answers them by number."""
    return {add(card, token): token for token in tokens}


def segments(card: Card, filter: str = "ALL", wanted: bytes = b"", on: int = 0) -> list[bytes]:
    """Every segment of LIST ASSETS; all but the last must come with 6300."""
    data, sw = exchange(card, apdu("LIST_ASSETS", on=on, filter=filter, part="FIRST", wanted=wanted))
    found = [data]
    following = apdu("LIST_ASSETS", on=on, filter="ALL", part="NEXT", wanted=b"")
    while sw == 0x6300:
        data, sw = exchange(card, following)
        found.append(data)
    assert sw == 0x9000
    return found


def stream(card: Card, filter: str = "ALL", wanted: bytes = b"") -> bytes:
    """The whole stream of LIST ASSETS."""
    return b"".join(segments(card, filter, wanted))


def count(card: Card, filter: str = "ALL", wanted: bytes = b"") -> int:
    """COUNT ASSETS."""
    data, sw = exchange(card, apdu("COUNT_ASSETS", filter=filter, wanted=wanted))
    assert sw == 0x9000
    return int.from_bytes(data, "big")


def expected(tokens: dict[int, Token]) -> bytes:
    """What LIST ASSETS must answer."""
    return b"".join(tokens[number].listed(number) for number in sorted(tokens))


def many(count: int) -> Sequence[Token]:
    """So many assets, of several chains, contracts, slots and sizes."""
    return [
        Token(
            token_id=number,
            slot=1 + number % 3,
            chain=(b"\x01\x01", b"\x01\x04\x06", b"\x04ddc")[number % 3],
            contract=bytes(19) + bytes((number % 7,)),
            name=f"藏品 {number}".encode() * (number % 4),
            media=b"ipfs://x" * (number % 2),
        )
        for number in range(count)
    ]
