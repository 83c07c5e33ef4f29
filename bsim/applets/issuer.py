"""The issuer security domain, as far as wallet apps use it: it tells the ICCID."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bsim import tlv
from bsim.applets.base import Binding
from bsim.applets.routes import Routes
from bsim.applets.session import Platform, Session
from bsim.store import Cell, Layout


@dataclass(frozen=True, slots=True)
class IssuerState:
    """The persistent state: EF.ICCID (10 bytes, BCD, nibbles swapped)."""

    iccid: bytes


LAYOUT: Final = Layout(IssuerState, "issuer", {"iccid": (bytes, bytes)})


class IssuerDomain:
    """The issuer security domain of one card."""

    __slots__ = ("aids", "cell", "routes")

    def __init__(self, aids: tuple[bytes, ...], routes: Routes, cell: Cell[IssuerState]) -> None:
        self.aids: Final = aids
        self.routes: Final = routes
        self.cell: Final = cell

    def session(self, card: Platform, channel: int) -> "IssuerSession":
        """Begin a session on a logical channel (0-19)."""
        return IssuerSession(self, card, channel)

    def reset(self) -> None:
        """Nothing volatile is kept."""


class IssuerSession(Session):
    """The issuer security domain on one channel."""

    __slots__ = ("cell",)

    def __init__(self, applet: IssuerDomain, card: Platform, channel: int) -> None:
        super().__init__(applet, card, channel)
        self.cell = applet.cell


class Tag(IntEnum):
    """Data objects GET DATA answers."""

    ICCID = 0x11


issuer: Final = Binding[IssuerSession]("issuer")


@issuer.handles("GET_ICCID")
def get_iccid(ctx: IssuerSession, tag: Tag) -> bytes:
    """The TLV a wallet app takes the ICCID from."""
    return tlv.encode(tag, ctx.cell.value.iccid)


COMMANDS: Final = issuer.compile()
