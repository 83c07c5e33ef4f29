"""The issuer security domain: it tells the ICCID, and what it keeps of keys and applications."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from bsim import tlv
from bsim.applets import installed, key_sets
from bsim.applets.base import Binding
from bsim.applets.installed import LOCKED, Application, ApplicationState, CardState
from bsim.applets.key_sets import SHIPPED, KeySet
from bsim.applets.routes import Routes
from bsim.applets.secure import SecureSession
from bsim.applets.session import Platform
from bsim.store import Cell, Layout

_SHIPPED: Final = {one.version: one for one in SHIPPED}


@dataclass(frozen=True, slots=True)
class IssuerState:
    """The persistent state: EF.ICCID (10 bytes, BCD, nibbles swapped), and in what the card differs from a new one.

    `key_sets` are those put since, `counters` the sequence counters that moved, by key version, `applications` the
    states that are not SELECTABLE, by AID, `objects` the data objects written since, by tag.
    """

    iccid: bytes
    card_state: CardState = CardState.SECURED
    key_sets: tuple[KeySet, ...] = field(default=(), repr=False)
    counters: Mapping[int, int] = field(default_factory=dict)
    applications: Mapping[bytes, int] = field(default_factory=dict)
    objects: Mapping[int, bytes] = field(default_factory=dict)

    def key_set(self, version: int) -> KeySet | None:
        """Answer the key set of a version (01-7F), if there is one."""
        return next((one for one in self.key_sets if one.version == version), _SHIPPED.get(version))

    @property
    def all_key_sets(self) -> tuple[KeySet, ...]:
        """Every key set, in the order of their versions."""
        present = {**_SHIPPED, **{one.version: one for one in self.key_sets}}
        return tuple(present[version] for version in sorted(present))

    def application(self, aid: bytes) -> int:
        """Answer the state of an application's life."""
        return self.applications.get(aid, ApplicationState.SELECTABLE)

    def selectable(self, aid: bytes) -> bool:
        """Whether an application that is not the domain itself can be selected."""
        if self.card_state in {CardState.CARD_LOCKED, CardState.TERMINATED}:
            return False
        return self.application(aid) & (LOCKED | ApplicationState.SELECTABLE) == ApplicationState.SELECTABLE


def _encode_counters(counters: Mapping[int, int]) -> bytes:
    return b"".join(bytes((version,)) + counter.to_bytes(3, "big") for version, counter in counters.items())


def _decode_counters(encoded: bytes) -> Mapping[int, int]:
    if len(encoded) % 4:
        raise ValueError("counters cut short")
    return {encoded[at]: int.from_bytes(encoded[at + 1 : at + 4], "big") for at in range(0, len(encoded), 4)}


def _encode_objects(objects: Mapping[int, bytes]) -> bytes:
    return b"".join(tlv.encode(tag, value) for tag, value in objects.items())


def _decode_objects(encoded: bytes) -> Mapping[int, bytes]:
    return {one.tag: one.value for one in tlv.parse(encoded)}


LAYOUT: Final = Layout(
    IssuerState,
    "issuer",
    {
        "iccid": (bytes, bytes),
        "card_state": (lambda state: bytes((state,)), lambda encoded: CardState(encoded[0])),
        "key_sets": (key_sets.encode, key_sets.decode),
        "counters": (_encode_counters, _decode_counters),
        "applications": (installed.encode, installed.decode),
        "objects": (_encode_objects, _decode_objects),
    },
    later={"card_state": b"\x0f", "key_sets": b"", "counters": b"", "applications": b"", "objects": b""},
)


class IssuerDomain:
    """The issuer security domain of one card, and the applications it manages."""

    __slots__ = ("aids", "cell", "manages", "routes")

    def __init__(
        self,
        aids: tuple[bytes, ...],
        routes: Routes,
        cell: Cell[IssuerState],
        manages: tuple[Application, ...] = (),
    ) -> None:
        self.aids: Final = aids
        self.routes: Final = routes
        self.cell: Final = cell
        self.manages: Final = manages

    @property
    def selectable(self) -> bool:
        """The issuer domain can always be selected."""
        return True

    def session(self, card: Platform, channel: int) -> "IssuerSession":
        """Begin a session on a logical channel (0-19)."""
        return IssuerSession(self, card, channel)

    def reset(self) -> None:
        """Nothing volatile is kept."""


class IssuerSession(SecureSession):
    """The issuer security domain on one channel."""

    __slots__ = ("blocks", "cell", "domain")

    def __init__(self, applet: IssuerDomain, card: Platform, channel: int) -> None:
        super().__init__(applet, card, channel)
        self.cell = applet.cell
        self.domain = applet
        self.blocks = 0

    def selected(self) -> None:
        """Selected again: STORE DATA begins with its first block."""
        super().selected()
        self.blocks = 0


class Tag(IntEnum):
    """Data objects GET DATA answers."""

    ICCID = 0x11


issuer: Final = Binding[IssuerSession]("issuer")


@issuer.handles("GET_ICCID")
def get_iccid(ctx: IssuerSession, tag: Tag) -> bytes:
    """The TLV a wallet app takes the ICCID from."""
    return tlv.encode(tag, ctx.cell.value.iccid)


COMMANDS: Final = issuer.compile()
