"""The card: reset, channels, SELECT, and the one commit point. Bytes in, bytes out, and no exception ever."""

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from bsim.apdu import CHANNELS, CLAS
from bsim.applets.routes import Route, refuse
from bsim.applets.session import Applet, Session
from bsim.applets.toolkit import Toolkit
from bsim.card.commands import NO_FILES
from bsim.ports import Rng
from bsim.store import Memory, RamStore, StoreError
from bsim.sw import OK, SW, SwError, proactive_pending

if TYPE_CHECKING:
    from bsim.card.abstract import State, StateView
    from bsim.card.freeze import Freezer, Snapshot

_CHANNEL: Final = tuple(cla.channel for cla in CLAS)
_WRONG_LENGTH: Final = SW.WRONG_LENGTH.encoded
_log: Final = logging.getLogger("bsim.card")


class _ClosedRoutes(dict[bytes, Route]):
    """What a channel answers that is not open."""

    def __missing__(self, header: bytes) -> Route:
        return _NOT_OPEN if CLAS[header[0]].valid else _NO_CLASS


_NOT_OPEN: Final = refuse(SW.CHANNEL_NOT_SUPPORTED)
_NO_CLASS: Final = refuse(SW.CLA_NOT_SUPPORTED)


def _bytes_of(command: object) -> bytes:
    """What came as another kind of bytes. Text and numbers are none, which is told: hex is easily passed as it is."""
    if isinstance(command, str | int):
        _log.error("a command is bytes, not %s; hex becomes bytes by bytes.fromhex", type(command).__name__)
        raise TypeError
    return bytes(command)  # type: ignore[call-overload,no-any-return]  # whatever it is, transmit answers


class _Closed:
    """Stands where a channel has no session."""

    __slots__ = ()

    routes: Final = _ClosedRoutes()


_CLOSED: Final = _Closed()


class Uicc:
    """A powered card. Not safe for several threads at once, as a card has one line."""

    __slots__ = ("_applets", "_atr", "_channels", "_current", "_files", "_memory", "_sessions", "rng", "toolkit")

    def __init__(
        self,
        atr: bytes,
        applets: Sequence[Applet],
        memory: Memory,
        rng: Rng,
        channels: int,
        *,
        files: Applet = NO_FILES,
    ) -> None:
        """`files` is what channels begin at, where no application is selected."""
        self._atr: Final = atr
        self._files = files
        self._applets = tuple(applets)
        self._memory = memory
        self._channels: Final = min(channels, CHANNELS)
        self.rng: Final = rng
        self.toolkit: Final = Toolkit()
        self._sessions: dict[tuple[int, Applet], Session] = {}
        self._current: list[Session | _Closed] = []
        self.reset()

    def reset(self) -> bytes:
        """Power-cycle: all that is volatile is gone; answers the ATR."""
        self._memory.rollback()
        self.toolkit.reset()
        for applet in (self._files, *self._applets):
            applet.reset()
        self._sessions.clear()
        self._current[:] = [_CLOSED] * CHANNELS
        self._current[0] = self._files.session(self, 0)
        return self._atr

    def reload(self) -> None:
        """Take what the store holds now, which a reset has to follow; StoreError if that is damaged."""
        self._memory.reload()

    def close(self) -> None:
        """Take the card out for good: power off, let go of its store and of all that was read from it."""
        self.reset()
        self._memory.close()
        # What is left answers as a card without applications: no seed stays where a caller keeps the object.
        self._applets, self._files, self._memory = (), NO_FILES, Memory(RamStore())
        self.toolkit.menu = None
        self._current[0] = NO_FILES.session(self, 0)

    def transmit(self, command: bytes) -> bytes:
        """Carry out one command APDU; whatever the bytes, answers a response APDU."""
        try:
            if type(command) is not bytes:
                command = _bytes_of(command)
            if len(command) < 4:
                return _WRONG_LENGTH
            session = self._current[_CHANNEL[command[0]]]
            response = session.routes[command[:4]](session, command)
            if self._memory.dirty:
                self._memory.commit()
        except SwError as refusal:
            self._memory.rollback()
            # Whether Le holds the answer is seen only when the answer is there: what was refused selected nothing.
            self._current[_CHANNEL[command[0]]] = session
            return refusal.sw.to_bytes(2, "big")
        except StoreError as fault:
            self._memory.rollback()
            _log.warning("the store failed: %s", fault)
            return SW.MEMORY_FAILURE.encoded
        except Exception as bug:  # noqa: BLE001 - a card never dies of a command; a bug in it is 6F00 and a log entry
            self._memory.rollback()
            _log.error("unhandled %s", type(bug).__name__, exc_info=_without_values(bug))
            return SW.NO_PRECISE_DIAGNOSIS.encoded
        # ETSI TS 102 221 7.4.2: normal ending becomes 91xx while a proactive command waits.
        if self.toolkit.waiting and response[-2:] == OK:
            return response[:-2] + proactive_pending(len(self.toolkit.waiting))
        return response

    def commit(self) -> None:
        """Write what was put before the command ends: only a PIN try needs it."""
        self._memory.commit()

    @property
    def applets(self) -> Sequence[Applet]:
        """The applets, in the order in which SELECT looks through them."""
        return self._applets

    @property
    def states(self) -> Sequence[object]:
        """What each applet keeps over power loss, as of now."""
        return [cell.value for cell in self._memory.cells]

    @property
    def open_channels(self) -> Sequence[int]:
        """The logical channels that are open."""
        return [number for number, session in enumerate(self._current) if session is not _CLOSED]

    def session(self, channel: int) -> Session | None:
        """Answer the session that is current on a channel; None where the channel is not open."""
        session = self._current[channel]
        return session if isinstance(session, Session) else None

    def selected(self, channel: int) -> Applet | None:
        """Answer the applet that is selected on a channel; None where there is none."""
        session = self._current[channel]
        return session.applet if isinstance(session, Session) and session.applet.aids else None

    def fuzz_view(self) -> "StateView":
        """Answer what looks at this card again and again, for its state as `fuzz_state` answers it."""
        from bsim.card.abstract import StateView  # noqa: PLC0415 - for fuzzers

        return StateView(
            self.toolkit,
            (self._files, *self._applets),
            self._memory,
            lambda: (self._current, list(self._sessions.values())),
        )

    def fuzz_state(self) -> "State":
        """Answer the card's state in what makes it behave differently: no secret, no counter."""
        return self.fuzz_view()()

    def snapshot(self, *others: object, leave: Iterable[object] = ()) -> "Snapshot":
        """Keep the powered card as it is, volatile state and all, and what `others` hold, but not what is in `leave`.

        FreezeError where something cannot be seen into, such as a card in a file.
        """
        return self.freezer(*others, leave=leave).take()

    def freezer(self, *others: object, leave: Iterable[object] = ()) -> "Freezer":
        """Answer what takes such snapshots again and again, each in a fraction of the time the first one costs."""
        from bsim.card.freeze import Freezer  # noqa: PLC0415 - for fuzzers

        return Freezer(self, *others, leave=leave)

    def select(self, session: Session, aid: bytes, occurrence: int) -> Session:
        """Select an application by AID, full or cut short; SwError 6A82 if there is none. ETSI TS 102 221 11.1.1."""
        # GlobalPlatform Card Specification 2.3.1, 11.9: without a name the issuer domain is meant; it is the first.
        candidates = [a for a in self._applets if a.selectable and any(name.startswith(aid) for name in a.aids)]
        applet = _occurrence(candidates[:1] if not aid else candidates, session.applet, occurrence)
        found = self._sessions.get((session.channel, applet))
        if found is None:
            found = self._sessions[session.channel, applet] = applet.session(self, session.channel)
        return self.make_current(found)

    def files(self, channel: int) -> Session:
        """Answer a session of the file system for a channel, at the master file and without an application."""
        return self._files.session(self, channel)

    def open_channel(self, session: Session, number: int) -> int:
        """Open a logical channel (0: the first that is free); SwError 6881 if there is none."""
        free = [n for n in range(1, self._channels) if self._current[n] is _CLOSED]
        if not free or (number and number not in free):
            raise SwError(SW.CHANNEL_NOT_SUPPORTED, "no such channel is free")
        number = number or free[0]
        # ISO/IEC 7816-4 11.1.2: opened from the basic channel, it begins at the master file; from another, at
        # what is selected there.
        applet = session.applet if session.channel else self._files
        opened = applet.session(self, number)
        if session.channel and applet in self._applets:
            self._sessions[number, applet] = opened
        self._current[number] = opened
        return number

    def close_channel(self, number: int) -> None:
        """Close a logical channel; its sessions grant nothing any more."""
        if number == 0:
            raise SwError(SW.WRONG_P1_P2, "the basic channel is always open")
        if self._current[number] is _CLOSED:
            raise SwError(SW.CHANNEL_NOT_SUPPORTED, "this channel is not open")
        for key in [key for key in self._sessions if key[0] == number]:
            self._sessions.pop(key).close()
        self._current[number] = _CLOSED

    def put_out(self) -> None:
        """End every session of an applet that cannot be selected any more; its channel has the master file again."""
        for key in [key for key in self._sessions if not key[1].selectable]:
            self._sessions.pop(key).close()
        for number, session in enumerate(self._current):
            if isinstance(session, Session) and not session.applet.selectable:
                self._current[number] = self._files.session(self, number)

    def make_current(self, session: Session) -> Session:
        """Select what a session is of, on its channel."""
        session.selected()
        self._current[session.channel] = session
        return session


def _occurrence(candidates: Sequence[Applet], selected: Applet, occurrence: int) -> Applet:
    """First, last, next or previous (0-3) of the applets whose AID begins as asked. ISO/IEC 7816-4 table 63."""
    order = list(candidates)
    if occurrence >= 2:
        # Next and previous count from what is selected now; from elsewhere they begin at the end they come from.
        at = order.index(selected) if selected in order else (-1 if occurrence == 2 else len(order))
        order = order[at + 1 :] if occurrence == 2 else order[: max(at, 0)]
    if not order:
        raise SwError(SW.FILE_NOT_FOUND, "no such application")
    return order[-1] if occurrence in {1, 3} else order[0]


def _without_values(bug: Exception) -> Exception:
    """The place of a bug without its message, which might hold what the command carried."""
    return Exception("message withheld").with_traceback(bug.__traceback__)
