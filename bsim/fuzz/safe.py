"""A card that somebody needs again, as the fuzzer may use it: a card around the card, which sends what is permitted.

The rules: nothing irreversible. No try of a PIN that is not the right one, but for the BPIN while it stays above its
floor, repaired at once. Writes within a budget that is kept over runs. Everything is written down before it is sent.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bsim import tlv
from bsim.apdu import CommandApdu, body
from bsim.applets.proactive import ProactiveCommand, Result, TerminalResponse
from bsim.fuzz.ledger import Journal, Ledger
from bsim.lab.guard import FLOOR, Unsafe, danger_of, declared
from bsim.lab.pcsc import ReaderError
from bsim.ports import Card, CardLost
from bsim.spec import Danger, encode, spec
from bsim.sw import SwError

NV_WRITES: Final = 20_000
HEALTH_EVERY: Final = 500
_PATIENCE: Final = 30.0  # seconds for somebody to put the card in again
_SOON, _LATER = 0.25, 2.0
_ANSWER: Final = spec().applets["uicc"].commands["TERMINAL_RESPONSE"]
_FETCH: Final = spec().applets["uicc"].commands["FETCH"]
_ASKS: Final = frozenset({"TERMINAL_RESPONSE", "VERIFY_BPIN"})
_LEAST, _MOST = 4, 261  # a header; a short APDU with all the data and Le there can be. ISO/IEC 7816-3 12.1.3
_CURRENT: Final = "Enter BPIN"
_TAKEN: Final = frozenset({0x90, 0x91})
_LEFT: Final = re.compile(r"(\d+) tries left")


class SafetyStop(Exception):  # noqa: N818 - a decision, told to people
    """The run is stopped by a safety rule; the message says which."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be done. `tries` are those the BPIN has left (None: not known, so nothing wrong is typed)."""

    bpin: str = field(repr=False)
    tries: int | None = None
    floor: int = FLOOR
    max_writes: int = NV_WRITES
    writes: bool = True
    unsafe: bool = False


@dataclass(slots=True)
class Account:
    """What a run has done to the card."""

    sent: int = 0
    refused: int = 0
    writes: int = 0
    wrong: int = 0
    irreversible: int = 0
    lowest_tries: int | None = None
    recovered: int = 0

    def as_dict(self) -> dict[str, int]:
        """For reports."""
        told = {"sent": self.sent, "refused": self.refused, "writes": self.writes, "tries_spent": self.wrong}
        told |= {"irreversible": self.irreversible, "recovered": self.recovered}
        return told if self.lowest_tries is None else told | {"lowest_tries": self.lowest_tries}


class SafeCard:
    """A guarded card; itself a card. Unsafe is raised for what is not sent, SafetyStop where the run must end."""

    def __init__(self, card: Card, policy: Policy, ledger: Ledger, journal: Journal) -> None:
        self._card: Final = card
        self._policy: Final = policy
        self._ledger: Final = ledger
        self._journal: Final = journal
        self._tries = policy.tries
        self._prompt = ""
        self._identity = b""
        self._repairing = False
        self.account: Final = Account(lowest_tries=policy.tries)
        self.on_loss: Callable[[], None] = lambda: None

    def reset(self) -> bytes:
        """Power-cycle the card; answers the ATR. A card that is gone is waited for."""
        self._prompt = ""
        return self._kept(self._card.reset)

    def transmit(self, command: bytes) -> bytes:
        """Send one command, if it is permitted."""
        typed = self._judge(command)
        self._journal.about_to(_shown(command))
        self.account.sent += 1
        prompt = self._prompt
        response = self._kept(lambda: self._card.transmit(command))
        self._note(command, response)
        if typed is not None and response[-2] in _TAKEN:
            self._typed(typed, prompt, response)
        if self.account.sent % HEALTH_EVERY == 0:
            self.healthy()
        return response

    def healthy(self) -> None:
        """Look whether the card still answers as a card; SafetyStop if it does not."""
        status = encode(spec().applets["uicc"].commands["STATUS"], {"indication": 0, "form": 12}).encode()
        if len(self.transmit(status)) < 2:
            raise SafetyStop("the card does not answer STATUS any more")

    def _judge(self, command: bytes) -> str | None:
        """Refuse what is not permitted: Unsafe. Answers what is about to be typed, if that is what the command does."""
        if not _LEAST <= len(command) <= _MOST:
            raise self._refusal(command, "is none that a reader carries")
        danger, policy = danger_of(command), self._policy
        found = declared(command) if len(command) >= 4 else []
        typed = _text(command) if any(entry.name == _ANSWER.name for entry in found) else None
        if not policy.unsafe:
            if danger is Danger.IRREVERSIBLE:
                raise self._refusal(command, "changes what nothing brings back")
            if danger is Danger.CONSUMES_TRY and not {entry.name for entry in found} <= _ASKS:
                raise self._refusal(command, "may spend a try of a PIN or key that is never guessed")
            if danger is Danger.WRITES and not policy.writes:
                raise self._refusal(command, "changes what the card keeps")
            if typed is not None:
                self._judge_typed(command, typed)
        costs = self._costs(typed, danger, max((entry.nv_writes for entry in found), default=0))
        if costs and not self._ledger.write(costs, policy.max_writes):
            raise self._refusal(command, f"would go beyond the card's budget of {policy.max_writes} writes")
        self.account.writes += costs
        self.account.irreversible += danger is Danger.IRREVERSIBLE
        return typed

    def _costs(self, typed: str | None, danger: Danger, writes: int) -> int:
        """How many writes to account for. What gives tries back was accounted for with the try."""
        if typed is None:
            return writes if danger in {Danger.WRITES, Danger.IRREVERSIBLE} else 0
        if self._repairing:
            return 0
        return writes if typed == self._policy.bpin else 2 * writes

    def _judge_typed(self, command: bytes, typed: str) -> None:
        """Type the right BPIN where the BPIN is asked for, a wrong one only above the floor, and no new BPIN ever."""
        if (self._prompt and _CURRENT not in self._prompt) or "new BPIN" in self._prompt:
            raise self._refusal(command, "would change the BPIN")
        if typed == self._policy.bpin:
            return
        if _CURRENT not in self._prompt or self._tries is None or self._tries - 1 < self._policy.floor:
            raise self._refusal(command, "could spend a try that is kept")

    def _refusal(self, command: bytes, words: str) -> Unsafe:
        self.account.refused += 1
        return Unsafe(f"{command[:4].hex().upper()} was not sent: it {words}")

    def _typed(self, typed: str, prompt: str, response: bytes) -> None:
        """After something was typed and taken: count, and give the tries back at once."""
        if self._policy.unsafe or self._tries is None or _CURRENT not in prompt:
            return
        if typed == self._policy.bpin:
            self._tries = self._policy.tries
            return
        self._tries -= 1
        self.account.wrong += 1
        lowest = self.account.lowest_tries
        self.account.lowest_tries = self._tries if lowest is None else min(lowest, self._tries)
        self._repairing = True
        try:
            self._repair(response)
        finally:
            self._repairing = False

    def _repair(self, response: bytes) -> None:
        """The card asks again after a wrong BPIN: it is given the right one."""
        if response[-2] != 0x91:
            raise SafetyStop("a wrong BPIN was typed, and the card does not ask again: its tries are not given back")
        asked = self.transmit(encode(_FETCH, {"le": 256}).encode())
        left = _LEFT.search(self._prompt)
        if left is None or int(left[1]) != self._tries:
            raise SafetyStop(f"the BPIN has other tries left than {self._tries}: {self._prompt!r}")
        command = ProactiveCommand.parse(asked[:-2])
        answer = TerminalResponse(command.number, command.type, command.qualifier, Result.PERFORMED, self._policy.bpin)
        raw = CommandApdu(_ANSWER.cla[0], _ANSWER.ins, 0, 0, answer.encode()).encode()
        if self.transmit(raw)[-2] not in {0x90, 0x91}:
            raise SafetyStop("the right BPIN was not taken: nothing more is typed")

    def _note(self, command: bytes, response: bytes) -> None:
        """Take note of what the card asks."""
        if command[1:2] == bytes((_FETCH.ins,)) and response[-2:] == b"\x90\x00":
            try:
                self._prompt = ProactiveCommand.parse(response[:-2]).text
            except tlv.TlvError:
                self._prompt = ""
        elif command[1:2] == bytes((_ANSWER.ins,)) and response[-2] in _TAKEN:
            self._prompt = ""

    def _kept(self, call: Callable[[], bytes]) -> bytes:
        """Do something with the card; if it is lost, wait for it, power-cycle it, and tell of the loss."""
        try:
            return call()
        except (CardLost, ReaderError) as fault:
            self._recover(fault)
            self.on_loss()
            raise CardLost("the card was lost, and is back") from fault

    def _recover(self, fault: Exception) -> None:
        end, pause = time.monotonic() + _PATIENCE, _SOON
        while time.monotonic() < end:
            try:
                atr = self._card.reset()
            except (CardLost, ReaderError) as still:
                fault = still
                # Each power cycle may make a reader lose sight of the card for a moment: asking ever more seldom, one
                # comes after that moment at last.
                time.sleep(pause)
                pause = min(2 * pause, _LATER)
                continue
            if self._identity and atr != self._identity:
                raise SafetyStop("another card is in the reader")
            self.account.recovered += 1
            return
        raise SafetyStop(f"the card is lost: {fault}") from fault

    def identify(self, atr: bytes) -> None:
        """Take note of the card's ATR: a card that comes back must have the same."""
        self._identity = atr


def _text(command: bytes) -> str | None:
    """What a TERMINAL RESPONSE types: no BPIN where it cannot be read, None where nothing is typed."""
    try:
        start, end, _ = body(command)
        return TerminalResponse.parse(command[start:end]).text
    except SwError:
        return "\0" if any(byte & 0x7F == 0x0D for byte in command[4:]) else None


def _shown(command: bytes) -> str:
    """A command with what may be secret left out."""
    secret = len(command) < 4 or any(one.secret for entry in declared(command) for one in entry.data)
    return f"{command[:5].hex().upper()}{'..' if secret and len(command) > 5 else command[5:].hex().upper()}"
