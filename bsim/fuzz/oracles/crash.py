"""Whether the card died of a command: 6F00, an exception, an answer that is none."""

import logging
import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.oracles.hit import Hit
from bsim.fuzz.rig import Rig
from bsim.fuzz.steps import SEND
from bsim.sw import SW

_LEAST: Final = 2
_PACKAGE: Final = str(Path(__file__).parents[2])
_CARD_LOG: Final = logging.getLogger("bsim.card")


class CrashLog(logging.Handler):
    """Keeps what the card last logged of a bug, and the text of everything it logged since it was asked."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.where = ""
        self.text = ""
        self._listening: list[bool] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of one record."""
        self.text += record.getMessage()
        if record.exc_info and record.exc_info[2] is not None:
            kind = str(record.args[0]) if isinstance(record.args, tuple) and record.args else "Exception"
            self.where = f"{kind} in {innermost(record.exc_info[2])}"

    def clear(self) -> None:
        """Forget what was logged: the next command answers for what it logs itself."""
        self.where = self.text = ""

    def __enter__(self) -> "CrashLog":
        self._listening.append(_CARD_LOG.propagate)
        _CARD_LOG.addHandler(self)
        _CARD_LOG.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        _CARD_LOG.propagate = self._listening.pop()
        if not self._listening:  # a hit is verified while the search listens: that goes on
            _CARD_LOG.removeHandler(self)


def innermost(trace: TracebackType | None) -> str:
    """Answer the innermost function of ours: module and name, without a line that the next edit moves."""
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename.startswith(_PACKAGE)]
    if not frames:
        return "?"
    last = frames[-1]
    return f"{last.filename.rpartition('/')[2].removesuffix('.py')}.{last.name}"


def crash(rig: Rig, log: CrashLog) -> Hit | None:
    """An exception, 6F00, or an answer shorter than a status word."""
    if rig.raised is not None:
        where = f"{type(rig.raised).__name__} in {innermost(rig.raised.__traceback__)}"
        return Hit("crash", where, f"{_name(rig)} was answered by an exception: {where}")
    if rig.raw and rig.sw == SW.NO_PRECISE_DIAGNOSIS and rig.response:
        where, log.where = log.where or "an unknown place", ""
        return Hit("crash", where, f"{_name(rig)} answered 6F00: {where}")
    if rig.raw and len(rig.response) < _LEAST and not _lost_power(rig):
        return unanswered(rig, f"answered by {len(rig.response)} bytes")
    return None


def unanswered(rig: Rig, how: str = "not answered: the card went mute") -> Hit:
    """What it is when the last command was not answered, or with less than a status word: mute, in a reader."""
    return Hit("crash", f"{_name(rig)} without an answer", f"{_name(rig)} was {how}")


def _lost_power(rig: Rig) -> bool:
    return isinstance(rig, EmulatedRig) and rig.kind != SEND


def _name(rig: Rig) -> str:
    return rig.entry.name if rig.entry is not None else "a command that is not declared"
