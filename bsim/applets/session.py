"""What an applet remembers on a channel, and what the card gives it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from bsim import tlv
from bsim.applets.toolkit import Toolkit
from bsim.ports import Rng
from bsim.sw import SW

if TYPE_CHECKING:
    from bsim.applets.routes import Route, Routes

# ETSI TS 102 221 11.1.1.3: what is in FCP and FCI templates.
_DF_NAME = 0x84
_FILE_DESCRIPTOR = tlv.encode(0x82, b"\x78\x21")  # a DF, shareable
_ACTIVATED = tlv.encode(0x8A, b"\x05")


class Platform(Protocol):
    """What the card gives its applets."""

    @property
    def toolkit(self) -> Toolkit:
        """The way to the card's user."""
        ...

    @property
    def rng(self) -> Rng:
        """The way to randomness."""
        ...

    def commit(self) -> None:
        """Write what was put, before the command ends: only a PIN try may need it."""
        ...

    def select(self, session: "Session", aid: bytes, occurrence: int) -> "Session":
        """Select an application on the session's channel; SwError 6A82 if there is none."""
        ...

    def files(self, channel: int) -> "Session":
        """Answer a session of the file system for a channel, at the master file and without an application."""
        ...

    def make_current(self, session: "Session") -> "Session":
        """Select what a session is of, on its channel."""
        ...

    def open_channel(self, session: "Session", number: int) -> int:
        """Open a logical channel (0: any); answers its number, or SwError 6881."""
        ...

    def close_channel(self, number: int) -> None:
        """Close a logical channel; SwError 6881 if it is not open, 6A86 for the basic channel."""
        ...

    def put_out(self) -> None:
        """End every session of an applet that cannot be selected any more; its channel has the master file again."""
        ...


class Session:
    """What one applet remembers on one logical channel, until the channel closes or the card is reset."""

    __slots__ = ("applet", "card", "channel", "open", "routes")

    def __init__(self, applet: "Applet", card: Platform, channel: int) -> None:
        self.applet = applet
        self.card = card
        self.channel = channel
        self.open = True
        self.routes: Mapping[bytes, Route] = applet.routes

    def selected(self) -> None:
        """The applet is selected on this channel, for the first time or again: a broken-off chain is forgotten."""
        self.routes = self.applet.routes

    def name(self) -> bytes:
        """The DF name data object; nothing where what is selected has no name."""
        return tlv.encode(_DF_NAME, self.applet.aids[0]) if self.applet.aids else b""

    def parameters(self) -> bytes:
        """The file control parameters of what is selected. ETSI TS 102 221 11.1.1.3.1."""
        return _FILE_DESCRIPTOR + self.name() + _ACTIVATED

    def close(self) -> None:
        """The channel closes: nothing may be granted to this session any more."""
        self.open = False


class Applet(Protocol):
    """An applet as it is installed on one card. Its first AID is its name, the others are aliases."""

    @property
    def aids(self) -> tuple[bytes, ...]:
        """5-16 bytes each."""
        ...

    @property
    def selectable(self) -> bool:
        """Whether SELECT finds it."""
        ...

    @property
    def routes(self) -> "Routes":
        """Header (4 bytes) to what serves it."""
        ...

    def session(self, card: Platform, channel: int) -> Session:
        """Begin a session on a logical channel (0-19)."""
        ...

    def reset(self) -> None:
        """Power is gone: forget all that is volatile."""
        ...


class Response(NamedTuple):
    """A response that is not plain success: data that comes with a warning."""

    data: bytes
    sw: SW

    @property
    def encoded(self) -> bytes:
        """Data, SW1, SW2."""
        return self.data + self.sw.encoded
