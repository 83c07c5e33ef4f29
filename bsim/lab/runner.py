"""Runs a case on a subject: what was sent, what came back, how long it took, and what the phone showed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bsim.applets.proactive import ProactiveCommand
from bsim.handset import Handset, ScriptedUser
from bsim.handset.phone import Respond
from bsim.lab.cases import Case, is_case_four
from bsim.lab.guard import Unsafe
from bsim.lab.pcsc import ReaderError
from bsim.lab.shape import ciphertext, is_sealed
from bsim.lab.subject import Subject
from bsim.lab.t0_client import ProtocolError
from bsim.lab.transcript import Step, TranscriptError, Variables
from bsim.ports import Card

_NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A command and its response, or why there was none; `wrong` says how it differs from what is declared."""

    step: Step
    raw: bytes = field(repr=False)
    response: bytes | None = field(repr=False)
    fault: str
    wrong: str
    seconds: float

    @property
    def sw(self) -> int:
        """The status word; 0 where there was no response."""
        return int.from_bytes(self.response[-2:], "big") if self.response else 0

    @property
    def data(self) -> bytes:
        """The response data."""
        return self.response[:-2] if self.response else b""


@dataclass(slots=True)
class Run:
    """A case as it went; `skipped` says why it did not, or ended early."""

    exchanges: list[Exchange] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    skipped: str = ""


class _Watched:
    """A user whose phone is watched."""

    def __init__(self, user: ScriptedUser, shown: list[str]) -> None:
        self._user: Final = user
        self._shown: Final = shown

    def asked(self, command: ProactiveCommand, respond: Respond) -> None:
        """Take note of a dialogue, and pass it on."""
        self._shown.append(command.text)
        self._user.asked(command, respond)


def reason(case: Case, subject: Subject) -> str:
    """Why a case is not run on a subject; nothing if it is."""
    if refusal := subject.permit.refusal(case.danger):
        return refusal
    if subject.over_t0:
        four = [step for step in case.transcript.steps if step.command and is_case_four(step.command)]
        if any(step.answer is None or not step.answer.startswith("9") for step in four):
            return "T=0 carries no Le after data"
    return ""


def run(case: Case, subject: Subject, bpin: str) -> Run:
    """Run a case; ReaderError if the card cannot even be reset."""
    found = Run(skipped=reason(case, subject))
    if found.skipped:
        return found
    card = subject.powered(case.transcript.card)
    if card is None:
        found.skipped = f"needs a {case.transcript.card} card"
        return found
    try:
        if case.transcript.phone != _NONE:
            user = _Watched(ScriptedUser(case.transcript.phone, bpin), found.shown)
            card = Handset(user).insert(card)
        _converse(case, card, found)
    except Unsafe as refusal:
        found.skipped = str(refusal)
    return found


def _converse(case: Case, card: Card, found: Run) -> None:
    variables: Variables = dict(case.transcript.variables)
    for step in case.transcript.steps:
        if step.command is None:
            card.reset()
            continue
        try:
            raw = step.encode(variables)
        except TranscriptError as fault:  # it needs what an earlier answer did not have
            found.exchanges.append(Exchange(step, b"", None, fault.words, f"was not sent: {fault.words}", 0.0))
            return
        exchange = _exchange(step, raw, card.transmit, variables)
        found.exchanges.append(exchange)
        if exchange.response is None:
            return


def _exchange(step: Step, raw: bytes, transmit: Callable[[bytes], bytes], variables: Variables) -> Exchange:
    begin = time.perf_counter()
    try:
        response = transmit(raw)
    except (ReaderError, ProtocolError) as fault:
        return Exchange(step, raw, None, str(fault), f"no answer: {fault}", time.perf_counter() - begin)
    seconds = time.perf_counter() - begin
    try:
        wrong = step.difference(response, variables)
    except TranscriptError as fault:
        wrong = fault.words
    if wrong and len(response) > 2 and is_sealed(raw):
        wrong = f"answered {ciphertext(response[:-2])} and {response[-2:].hex().upper()}"
    return Exchange(step, raw, response, "", wrong, seconds)
