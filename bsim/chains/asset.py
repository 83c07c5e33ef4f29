"""A collectible as a card lists it: one BER-TLV data object, its fields in one order, one encoding for each value.

    E1 { 80 number | 81 slot | 82 family and chain id | 83 contract | 84 token id | 85 standard | 86 amount
         87 policy | 88 acquired at | 89 state | 8A name | 8B media | 8C issuer }

The last three are left out where they are empty. What is added to a card has neither number nor state, nor the E1
around it: those are the card's to give.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag
from typing import Final

from bsim import tlv
from bsim.chains import asset_stream
from bsim.chains.addresses import ADDRESSED, NUMBERED
from bsim.chains.asset_layout import (
    CARDS_OWN,
    LENGTHS,
    MAX_CHAIN_ID,
    MAX_CONTRACT,
    MAX_ISSUER,
    MAX_MEDIA,
    MAX_NAME,
    OPTIONAL,
    TAG,
)

ADDRESS: Final = 20
"""Bytes of a contract on the families that have addresses."""


class Standard(IntEnum):
    """What kind of token it is."""

    ERC721 = 1
    ERC1155 = 2
    CRC721 = 3
    CRC1155 = 4
    PERMISSIONED = 5

    @property
    def single(self) -> bool:
        """Whether a token id is one thing with one owner, and not an amount of things alike."""
        return self in {Standard.ERC721, Standard.CRC721}


class Policy(IntFlag):
    """What may be done with it, as its issuer and the rules of the place have it."""

    TRANSFERABLE = 1
    GIFT_ONLY = 2
    NOT_FOR_RESALE = 4


class State(IntEnum):
    """Whether it is here, or a transfer was signed that takes it away."""

    HELD = 0
    LEAVING = 1


@dataclass(frozen=True, slots=True)
class Asset:
    """A collectible. `number` is the card's for it, 0 before it has one.

    `chain_id` has 1-32 bytes: the number without leading zeros where the family has numbers, else text. `contract` is
    an address (20 bytes) or, on chains that name their contracts, UTF-8. `token_id` has 32 bytes. `acquired_at` counts
    seconds since 1970-01-01 UTC. `media` is a URI as text: ipfs://..., or the image itself as data:...
    """

    slot: int
    family: int
    chain_id: bytes
    contract: bytes
    token_id: bytes
    standard: Standard
    amount: int = 1
    policy: Policy = Policy.TRANSFERABLE
    acquired_at: int = 0
    name: str = ""
    media: str = ""
    issuer: str = ""
    state: State = State.HELD
    number: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        _check(0 < self.slot < 128, "slot: 1 to 127")
        _check(0 < self.family < 256, "family: 1 to 255")
        _check(0 < len(self.chain_id) <= MAX_CHAIN_ID, f"chain id: 1 to {MAX_CHAIN_ID} bytes")
        _check(0 < len(self.contract) <= MAX_CONTRACT, f"contract: 1 to {MAX_CONTRACT} bytes")
        _check(len(self.token_id) == 32, "token id: 32 bytes")
        _check(0 < self.amount < 1 << 256, "amount: 1 to 2^256 - 1")
        _check(self.amount == 1 or not self.standard.single, "amount: 1, where a token has one owner")
        _check(self.policy in _POLICIES, "policy: unknown flags")
        _check(0 <= self.acquired_at < 1 << 64, "acquired at: 0 to 2^64 - 1")
        if self.family in NUMBERED:
            _check(self.chain_id[0] != 0, "chain id: no leading zeros")
        else:
            _check(_is_text(self.chain_id), "chain id: printable UTF-8")
        if self.family in ADDRESSED:
            _check(len(self.contract) == ADDRESS, f"contract: an address has {ADDRESS} bytes")
        else:
            _check(_is_text(self.contract), "contract: printable UTF-8")
        for what, text, most in (
            ("name", self.name, MAX_NAME),
            ("media", self.media, MAX_MEDIA),
            ("issuer", self.issuer, MAX_ISSUER),
        ):
            # What is not printable could make a phone show something else than what is there.
            _check(text.isprintable(), f"{what}: printable characters only")
            _check(len(text.encode()) <= most, f"{what}: at most {most} bytes of UTF-8")
        _check(not self.media or _is_uri(self.media), "media: a URI")

    @property
    def identity(self) -> bytes:
        """What makes it this asset and no other: slot, chain, contract and token id, as they are encoded."""
        return b"".join(
            tlv.encode(tag, value)
            for tag, value in (
                (0x81, bytes((self.slot,))),
                (0x82, chain_key(self.family, self.chain_id)),
                (0x83, self.contract),
                (0x84, self.token_id),
            )
        )

    def encode(self) -> bytes:
        """Write it as the card lists it."""
        number = tlv.encode(0x80, self.number.to_bytes(4, "big"))
        return tlv.encode(TAG, number + self.identity + self._rest(tlv.encode(0x89, bytes((self.state,)))))

    def encode_new(self) -> bytes:
        """Write it as it is added to a card."""
        return self.identity + self._rest(b"")

    def numbered(self, number: int) -> "Asset":
        """Answer the same under a number of the card's."""
        return replace(self, number=number)

    def marked(self, state: State) -> "Asset":
        """Answer the same in a state."""
        return replace(self, state=state)

    def _rest(self, state: bytes) -> bytes:
        texts = ((0x8A, self.name), (0x8B, self.media), (0x8C, self.issuer))
        return (
            tlv.encode(0x85, bytes((self.standard,)))
            + tlv.encode(0x86, _number(self.amount))
            + tlv.encode(0x87, bytes((self.policy,)))
            + tlv.encode(0x88, self.acquired_at.to_bytes(8, "big"))
            + state
            + b"".join(tlv.encode(tag, text.encode()) for tag, text in texts if text)
        )


_POLICIES: Final = frozenset(Policy(flags) for flags in range(8))


def chain_key(family: int, chain_id: bytes) -> bytes:
    """Answer what names a chain: its family (1 byte) and its id."""
    return bytes((family,)) + chain_id


def parse(encoded: bytes) -> Asset:
    """Read what `encode` writes, and nothing else; ValueError names the field."""
    objects = _objects(encoded)
    if len(objects) != 1 or objects[0].tag != TAG:
        raise ValueError("an asset is one E1 data object")
    return parse_value(objects[0].value)


def parse_all(stream: bytes) -> list[Asset]:
    """Read what LIST ASSETS answers, in the order it came; ValueError if it is not made of assets."""
    return [parse_value(stream[body:end]) for _, body, end in asset_stream.spans(stream)]


def parse_new(encoded: bytes) -> Asset:
    """Read what `encode_new` writes, and nothing else; ValueError names the field."""
    return parse_value(encoded, CARDS_OWN)


def parse_value(value: bytes, missing: frozenset[int] = frozenset()) -> Asset:
    """Read an asset without the E1 around it; the fields of `missing` must not be there. ValueError as above."""
    objects = _objects(value)
    found: Mapping[int, bytes] = {one.tag: one.value for one in objects}
    wanted = [tag for tag in LENGTHS if tag not in missing and (tag in found or tag not in OPTIONAL)]
    if [one.tag for one in objects] != wanted:
        raise ValueError("an asset has its fields in their order, each once")
    for tag, (least, most) in LENGTHS.items():
        _check(tag not in found or least <= len(found[tag]) <= most, f"field {tag:02X} has another length")
    amount = found[0x86]
    _check(amount[0] != 0, "amount: no leading zeros, and not zero")
    return Asset(
        slot=found[0x81][0],
        family=found[0x82][0],
        chain_id=found[0x82][1:],
        contract=found[0x83],
        token_id=found[0x84],
        standard=Standard(found[0x85][0]),
        amount=int.from_bytes(amount, "big"),
        policy=Policy(found[0x87][0]),
        acquired_at=int.from_bytes(found[0x88], "big"),
        name=found.get(0x8A, b"").decode(),
        media=found.get(0x8B, b"").decode(),
        issuer=found.get(0x8C, b"").decode(),
        state=State(found.get(0x89, b"\0")[0]),
        number=int.from_bytes(found.get(0x80, b""), "big"),
    )


def _objects(data: bytes) -> list[tlv.Tlv]:
    try:
        return tlv.parse(data)
    except tlv.TlvError as fault:
        raise ValueError(str(fault)) from fault


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _is_text(value: bytes) -> bool:
    try:
        return value.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _is_uri(text: str) -> bool:
    """Whether it begins with a scheme. RFC 3986 3.1."""
    scheme = text.partition(":")[0]
    return ":" in text and scheme[:1].isalpha() and scheme.isascii() and all(c.isalnum() or c in "+-." for c in scheme)


def _check(good: bool, words: str) -> None:
    if not good:
        raise ValueError(words)
