"""Recording: a wrapper that writes what goes between an app and a card to a trace, secrets masked.

What is redacted is what `bsim.spec.decode` masks, by its knowledge of the commands; there is no second masking here.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Final, Self

import bsim
from bsim.applets.proactive import CommandType, ProactiveCommand, Result
from bsim.handset import Reply, User
from bsim.handset.phone import Respond
from bsim.lab.reader import MuteCardError, ReaderError
from bsim.lab.trace import FORMAT, TraceError, fingerprint, read
from bsim.ports import Card, CardLost, CardMute, CardRemoved, Clock
from bsim.spec import spec
from bsim.spec.decode import Decoder

_log: Final = logging.getLogger(__name__)

CIPHERTEXT: Final = frozenset({"ciphertext"})
"""The fields that are redacted only on request: an exported seed is worth as much as its password is long."""


def _now() -> datetime:
    return datetime.now(UTC)


class TraceWriter:
    """A trace that is being written: a header, then a line for each thing that happens, each on disk at once.

    What the card has done is done: where a line cannot be written (the disk is full) the recording ends there, which is
    logged once and told again by `close`, and who speaks to the card goes on.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        target: str = "",
        link: str = "in-process",
        redact_ciphertext: bool = False,
        clock: Clock = time.perf_counter,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """Begin a trace, or go on in one that is there; TraceError if the file is something else."""
        self._lock: Final = RLock()
        self.clock: Final = clock
        self.hidden: Final = CIPHERTEXT if redact_ciphertext else frozenset()
        self._began: Final = clock()
        path = Path(path)
        self._path: Final = path
        self._lost = ""
        """Why the recording ended before its end."""
        torn = _check(path)
        try:
            self._file = open(path, "ab", buffering=0, opener=_private)  # noqa: SIM115 - kept open until `close`
        except OSError as fault:
            raise TraceError(f"{path}: {fault.strerror or fault}") from fault
        when = now().isoformat(timespec="milliseconds")
        names = {"target": target, "link": link, "spec": fingerprint(spec()), "bsim": bsim.__version__}
        header = _line({"bsimtrace": FORMAT, "when": when, **names, "hidden": sorted(self.hidden)})
        self._begin(b"\n" + header if torn else header)

    def write(self, **values: object) -> None:
        """Append a line. Nothing may be in it that was not redacted."""
        with self._lock:
            if self._file.closed:
                return
            try:
                self._put(_line(values))
            except OSError as fault:
                self._lost = fault.strerror or str(fault)
                _log.warning("%s: %s; from here on nothing is recorded", self._path, self._lost)
                self._shut()

    def since_start(self, moment: float) -> float:
        """The seconds from the beginning of the recording to a moment of its clock."""
        return round(moment - self._began, 6)

    def watch(self, user: User) -> User:
        """The same user, whose dialogues are recorded: what was shown and how it ended, not what was typed."""
        return _RecordedUser(user, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except TraceError:
            if error is None:  # else that is told
                raise

    def close(self) -> None:
        """Write nothing more; TraceError if not all was written that there was."""
        with self._lock:
            self._shut()
            if self._lost:
                raise TraceError(f"{self._path}: {self._lost}: the recording is incomplete")

    def _begin(self, header: bytes) -> None:
        """Write the header; of one that cannot be written whole nothing is left, as the file would be no trace."""
        size = os.fstat(self._file.fileno()).st_size
        try:
            self._put(header)
        except OSError as fault:
            with suppress(OSError):  # a device has no size
                self._file.truncate(size)
            self._shut()
            raise TraceError(f"{self._path}: {fault.strerror or fault}") from fault

    def _put(self, line: bytes) -> None:
        """Write all of a line: what is written at once may be a part of it."""
        while line:
            line = line[self._file.write(line) :]

    def _shut(self) -> None:
        try:
            self._file.close()
        except OSError as fault:  # some disks tell only now
            self._lost = self._lost or fault.strerror or str(fault)


class Recorder:
    """A card whose every exchange is recorded; itself a card. Safe for several threads, as far as the card is."""

    def __init__(self, card: Card, trace: TraceWriter | Path | str) -> None:
        self.card: Final = card
        self._trace: Final = trace if isinstance(trace, TraceWriter) else TraceWriter(trace)
        self._decoder: Final = Decoder(spec(), hide=self._trace.hidden)
        self._lock: Final = RLock()

    def reset(self) -> bytes:
        """Power-cycle the card."""
        with self._lock:
            begun = self._trace.clock()
            atr = self.card.reset()
            self._decoder.reset()
            self._trace.write(**self._times(begun), reset=atr.hex().upper())
            return atr

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU, and write down what may be known of it."""
        with self._lock:
            decoded = self._decoder.command(command)
            begun = self._trace.clock()
            try:
                response = self.card.transmit(command)
            except (CardLost, ReaderError) as loss:
                lost = (CardMute if isinstance(loss, CardMute | MuteCardError) else CardRemoved).__name__
                self._trace.write(**self._times(begun), name=decoded.name, command=_digits(decoded.shown), lost=lost)
                raise
            times = self._times(begun)
            shown = _digits(self._decoder.response(decoded, response).shown)
            self._trace.write(**times, name=decoded.name, command=_digits(decoded.shown), response=shown)
            return response

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._trace.__exit__(kind, error, trace)

    def close(self) -> None:
        """End the recording; the card stays as it is. TraceError if it is incomplete."""
        self._trace.close()

    def _times(self, begun: float) -> dict[str, float]:
        return {"at": self._trace.since_start(begun), "took": round(self._trace.clock() - begun, 6)}


class _RecordedUser:
    def __init__(self, user: User, trace: TraceWriter) -> None:
        self._user: Final = user
        self._trace: Final = trace

    def asked(self, command: ProactiveCommand, respond: Respond) -> None:
        at = self._trace.since_start(self._trace.clock())
        asked = CommandType(command.type).name if command.type in set(CommandType) else f"{command.type:02X}"

        def recorded(reply: Reply, after: float = 0.0) -> None:
            result = Result(reply.result).name if reply.result in set(Result) else f"{reply.result:02X}"
            self._trace.write(at=at, asked=asked, text=command.text, result=result)
            respond(reply, after)

        self._user.asked(command, recorded)


def _private(path: str, flags: int) -> int:
    """Open a file that, if it is new, is its owner's alone."""
    return os.open(path, flags, 0o600)


def _line(values: Mapping[str, object]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def _digits(shown: str) -> str:
    return shown.replace(" ", "")


def _check(path: Path) -> bool:
    """Whether a file that is to be gone on with ends in a torn line; TraceError if it is no trace."""
    if not path.exists() or not path.stat().st_size:
        return False
    read(path)
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read() != b"\n"
