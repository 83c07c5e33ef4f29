"""Secure channels on a session: who may be spoken to in the clear while one is open, and who may not."""

from typing import Final

from bsim.apdu import CLAS, SecureMessaging
from bsim.applets.routes import Route, Routes
from bsim.applets.session import Applet, Platform, Session
from bsim.crypto.scp import Channel, WrongMacError, plain_class
from bsim.spec import spec
from bsim.sw import SW, SwError

_C_MAC: Final = 0x01
_REFUSED: Final = SW.SECURITY_STATUS_NOT_SATISFIED.encoded
_NO_CHAIN: Final = SW.CHAINING_NOT_SUPPORTED.encoded


def _in_clear() -> frozenset[tuple[int, int]]:
    """Class and instruction of what is never secured: what opens a channel, and the card's own commands."""
    applets = spec().applets
    names = ("GP_INITIALIZE_UPDATE", "GP_EXTERNAL_AUTHENTICATE")
    opening = [applets["issuer"].commands[name] for name in names]
    # STATUS shares its instruction with GET STATUS of the domain, which wants securing.
    own = [command for command in applets["uicc"].commands.values() if command.name != "STATUS"]
    return frozenset((cla, command.ins) for command in (*own, *opening) for cla in command.cla)


_IN_CLEAR: Final = _in_clear()


class SecureSession(Session):
    """A session on which a secure channel can be opened. It dies with SELECT, reset, and the first wrong MAC."""

    __slots__ = ("begun", "secure")

    def __init__(self, applet: Applet, card: Platform, channel: int) -> None:
        super().__init__(applet, card, channel)
        self.secure: Channel | None = None
        self.begun: tuple[int, Channel] | None = None

    def selected(self) -> None:
        """Selected again: the secure channel is over. GlobalPlatform 2.3.1, 10.2.3."""
        super().selected()
        self.end_channel()

    def close(self) -> None:
        """The logical channel closes, and the secure one with it."""
        super().close()
        self.end_channel()

    def open_channel(self, channel: Channel) -> None:
        """From now on this channel is open; at level 0 commands need no securing, and are routed as ever."""
        self.secure, self.begun = channel, None
        self.routes = SecureRoutes(self.applet.routes, channel) if channel.level & _C_MAC else self.applet.routes

    def end_channel(self) -> None:
        """No secure channel is open, or about to be."""
        self.secure = self.begun = None
        self.routes = self.applet.routes


class SecureRoutes(dict[bytes, Route]):
    """A session's routes while commands to it must be secured; nothing is kept, as each MAC has its turn."""

    def __init__(self, routes: Routes, channel: Channel) -> None:
        super().__init__()
        self._routes: Final = routes
        self._channel: Final = channel

    def __missing__(self, header: bytes) -> Route:
        cla = CLAS[header[0]]
        if (cla.base, header[1]) in _IN_CLEAR:
            return self._routes[header]
        if cla.secure_messaging is SecureMessaging.PROPRIETARY:
            return self._chained if cla.chaining else self._secured
        return self._refused

    def _secured(self, session: SecureSession, raw: bytes) -> bytes:
        try:
            plain = self._channel.unwrap(raw)
        except WrongMacError:
            return self._refused(session, raw)
        except SwError:
            session.end_channel()
            raise
        # An error is answered as it is, wherever it is raised. Amendment D 6.2.5.
        return self._channel.wrap(self._routes[plain[:4]](session, plain))

    def _refused(self, session: SecureSession, raw: bytes) -> bytes:
        """What is not as the level demands ends the channel. GlobalPlatform 2.3.1, E.1.6; Amendment D 5.6.

        A command that the domain does not have is refused for that, as ever.
        """
        session.end_channel()
        header = plain_class(raw[0]) + raw[1:4]
        return _REFUSED if self._routes.declares(header) else self._routes[header](session, raw)

    def _chained(self, session: SecureSession, _raw: bytes) -> bytes:
        session.end_channel()
        return _NO_CHAIN
