"""What the card keeps of assets and contacts over power loss, and how it is written down. docs/decisions/0023."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bsim import tlv
from bsim.chains import asset_stream
from bsim.store import Blocks, Layout, StoreError

if TYPE_CHECKING:
    from bsim.chains.asset import Asset

MAX_CONTACTS: Final = 128
CONTACT_TAG: Final = 0xE2
_NAME: Final = 0x80
_ADDRESS: Final = 0x81


@dataclass(frozen=True, slots=True)
class AssetsState:
    """The number that was given last, and the contacts: addresses in their chains' text form by name."""

    last: int = 0
    contacts: tuple[tuple[str, str], ...] = ()

    def counted(self, number: int) -> "AssetsState":
        """Answer the state after a number was given."""
        return replace(self, last=number)


def encode_contact(name: str, address: str) -> bytes:
    """Write a contact: E2 { 80 name | 81 address }, both UTF-8."""
    return tlv.encode(CONTACT_TAG, encode_new_contact(name, address))


def encode_new_contact(name: str, address: str) -> bytes:
    """Write a contact as CONTACTS takes it: 80 name | 81 address."""
    return tlv.encode(_NAME, name.encode()) + tlv.encode(_ADDRESS, address.encode())


def parse_contact(value: bytes) -> tuple[str, str]:
    """Read a contact without the E2 around it: name and address; ValueError if it is none."""
    try:
        fields = tlv.parse(value)
    except tlv.TlvError as fault:
        raise ValueError("not a contact") from fault
    if [field.tag for field in fields] != [_NAME, _ADDRESS]:
        raise ValueError("not a contact")
    return fields[0].value.decode(), fields[1].value.decode()


def parse_contacts(stream: bytes) -> Iterator[tuple[str, str]]:
    """Read contacts one after the other; ValueError if they are none."""
    try:
        objects = tlv.parse(stream)
    except tlv.TlvError as fault:
        raise ValueError("not contacts") from fault
    if any(one.tag != CONTACT_TAG for one in objects):
        raise ValueError("not contacts")
    return (parse_contact(one.value) for one in objects)


def _encode_contacts(contacts: tuple[tuple[str, str], ...]) -> bytes:
    return b"".join(encode_contact(name, address) for name, address in contacts)


def _decode_contacts(stream: bytes) -> tuple[tuple[str, str], ...]:
    return tuple(parse_contacts(stream))


LAYOUT: Final = Layout(
    AssetsState,
    "assets",
    {"last": (lambda last: last.to_bytes(4, "big"), int.from_bytes), "contacts": (_encode_contacts, _decode_contacts)},
    later={"last": bytes(4), "contacts": b""},
)
BLOCKS: Final = Blocks("asset", asset_stream.split)


def listed(records: Mapping[str, bytes]) -> "list[Asset]":
    """Read every asset, by number; StoreError if one is damaged."""
    from bsim.chains.asset import parse_all  # noqa: PLC0415 - for who looks into a card's records: cards do not

    blocks = BLOCKS.load(records)
    try:
        return [asset for block in sorted(blocks) for asset in parse_all(blocks[block])]
    except ValueError as fault:
        raise StoreError("the card's asset records are damaged") from fault


def emptied(records: Mapping[str, bytes]) -> dict[str, bytes | None]:
    """Answer the changes that leave neither assets nor contacts."""
    return {**BLOCKS.without(records), **LAYOUT.changes(LAYOUT.load(records), AssetsState())}
