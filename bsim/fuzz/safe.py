"""A card that somebody needs again, as the fuzzer may use it: a card around the card, which sends what is permitted.

The rules: nothing irreversible. No try of a PIN that is not the right one, but for the BPIN while it stays above its
floor, repaired at once; and nothing typed at all before the card took the right one. Writes within a budget that is
kept over runs. Everything is written down before it is sent, and a try is counted before it can be spent.
"""

import time
from collections.abc import Callable
from typing import Final

from bsim.fuzz.account import Account
from bsim.fuzz.identity import identity
from bsim.fuzz.ledger import Journal, Ledger
from bsim.fuzz.policy import CardDied, Policy, SafetyStop
from bsim.fuzz.rules import ANSWER, ASKS, LEAST, MOST, USES_UP, never, performed, shown, typed_text
from bsim.fuzz.tries import Tries, uninterrupted
from bsim.fuzz.typist import CURRENT, FETCH, NEW, TAKEN, WAITS, Typist, answer, fetched
from bsim.lab.guard import Unsafe, danger_of, declared
from bsim.lab.pcsc import NoCardError, ReaderError
from bsim.ports import Card, CardLost, CardMute, CardRemoved
from bsim.spec import Danger, encode, spec
from bsim.sw import OK

HEALTH_EVERY: Final = 500
_HEALTHY: Final = frozenset({0x90, 0x91})
_PATIENCE: Final = 30.0  # seconds for somebody to put the card in again
_SOON, _LATER = 0.25, 2.0
# ISO/IEC 7816-4 5.6: the command was not carried out, for its length, data, parameters, instruction or class.
_NOT_READ: Final = frozenset({b"\x67", b"\x6a", b"\x6b", b"\x6d", b"\x6e"})
_WAITING: Final = 2  # tries that may be owed after the right BPIN was typed: that a card lost them is not likely
_ATTEMPTS: Final = 3  # to give tries back, where the card is lost meanwhile
_RESERVE: Final = _ATTEMPTS * ANSWER.nv_writes
_UNPROVEN: Final = "nothing is typed before the card took the right BPIN"


class SafeCard:
    """A guarded card; itself a card. Unsafe is raised for what is not sent, SafetyStop where the run must end."""

    def __init__(self, card: Card, policy: Policy, ledger: Ledger, journal: Journal) -> None:
        self._card: Final = card
        self._policy: Final = policy
        self._ledger: Final = ledger
        self._journal: Final = journal
        self._tries: Final = Tries(ledger, policy.tries, policy.floor)
        self._prompt = ""
        self._identity: tuple[bytes, bytes] | None = None
        self._reserve = 0  # writes that are put down for giving tries back
        self._begun = False
        self._doubtful = False  # the right BPIN was typed, and what the card says to it is still to be fetched
        self.account: Final = Account(self._tries)
        self.untyped = ""
        """Why nothing is typed; nothing where the right BPIN was taken."""
        self.on_loss: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Have the card take the right BPIN, before anything else is done to it; it is left reset.

        SafetyStop if it does not, and if it has fewer tries than are kept. Called again, it does nothing.
        """
        if self._begun or self._policy.unsafe:
            return
        self._begun = True
        tries = self._tries
        if tries.too_few:
            owed = f"; {tries.owed} of them were spent and not given back ({self._ledger.path})" if tries.owed else ""
            raise SafetyStop(f"the BPIN has {tries.left} tries left, and {self._policy.floor} are kept{owed}")
        self.untyped = self._why_untyped()
        if not self.untyped:
            with uninterrupted():
                self._give_back(begins=True)

    def reset(self) -> bytes:
        """Power-cycle the card; answers the ATR. A card that is gone is waited for; tries it lost are given back."""
        self._prompt, self._doubtful = "", False
        atr = self._kept(self._card.reset)
        if self._tries.urgent or self._tries.owed > _WAITING or not self._tries.room:
            self._settle()
        return atr

    def leave(self) -> None:
        """Leave the card reset, all tries given back that it may have lost."""
        if not self._tries.owed:
            self.reset()
            return
        with uninterrupted():
            self.reset()
            self._settle()

    def transmit(self, command: bytes) -> bytes:
        """Send one command, if it is permitted."""
        typed = self._judge(command)
        if typed is None or self._policy.unsafe:
            response = self._kept(lambda: self._exchange(command))
        else:
            # Between a try and what gives it back nobody interrupts.
            with uninterrupted():
                response = self._kept(lambda: self._type(command, typed))
        if self.account.sent % HEALTH_EVERY == 0:
            self.healthy()
        return response

    def _exchange(self, command: bytes) -> bytes:
        """Send a command, written down before; and take note of what the card asks."""
        self._write_down(command)
        response = self._answer(command)
        self._note(command, response)
        return response

    def _write_down(self, command: bytes) -> None:
        self._journal.about_to(shown(command))
        self.account.sent += 1

    def healthy(self) -> None:
        """Look whether the card still answers as a card; SafetyStop if it does not."""
        status = encode(spec().applets["uicc"].commands["STATUS"], {"indication": 0, "form": 12}).encode()
        told = self.transmit(status)
        if told[-2] not in _HEALTHY:
            raise SafetyStop(f"the card answers STATUS with {told[-2:].hex().upper()}: it does not work any more")

    def _answer(self, command: bytes) -> bytes:
        response = self._card.transmit(command)
        if len(response) < 2:
            raise CardMute("no status word")
        return response

    def _judge(self, command: bytes) -> str | None:
        """Refuse what is not permitted: Unsafe. Answers what is about to be typed, if that is what the command does."""
        if not LEAST <= len(command) <= MOST:
            raise self._refusal(command, "is none that a reader carries")
        danger, policy = danger_of(command), self._policy
        found = declared(command) if len(command) >= 4 else []
        typed = typed_text(command) if any(entry.name == ANSWER.name for entry in found) else None
        if not policy.unsafe:
            if danger is Danger.IRREVERSIBLE:
                raise self._refusal(command, "changes what nothing brings back")
            if words := next(filter(None, map(never, found)), ""):
                raise self._refusal(command, words)
            if danger is Danger.CONSUMES_TRY and not {entry.name for entry in found} <= ASKS:
                raise self._refusal(command, "may spend a try of a PIN or key that is never guessed")
            if danger is not Danger.SAFE and not policy.writes:
                raise self._refusal(command, "changes what the card keeps")
            if typed is not None:
                self._judge_typed(command, typed)
        costs = self._costs(typed, danger, max((entry.nv_writes for entry in found), default=0))
        if costs and not self._ledger.write(costs, policy.max_writes):
            raise self._refusal(command, f"would go beyond the card's budget of {policy.max_writes} writes")
        self.account.writes += costs
        if typed is not None:
            self._reserve = _RESERVE
        lasting = danger is Danger.IRREVERSIBLE or any(entry.name in USES_UP for entry in found)
        self.account.irreversible += lasting
        return typed

    def _costs(self, typed: str | None, danger: Danger, writes: int) -> int:
        """How many writes to account for; with what is typed, those of all that may be typed to give tries back."""
        if typed is None:
            return writes if danger in {Danger.WRITES, Danger.IRREVERSIBLE} else 0
        return writes if self._policy.unsafe else writes + _RESERVE - self._reserve

    def _judge_typed(self, command: bytes, typed: str) -> None:
        """Type the right BPIN where the BPIN is asked for, a wrong one only above the floor, and no new BPIN ever."""
        if (self._prompt and CURRENT not in self._prompt) or NEW in self._prompt:
            raise self._refusal(command, "would change the BPIN")
        if not self._tries.proven:
            raise self._refusal(command, f"types something; {self.untyped or _UNPROVEN}")
        wrong = typed != self._policy.bpin
        if not self._tries.room or (wrong and not (self._policy.wrong and CURRENT in self._prompt)):
            raise self._refusal(command, "could spend a try that is kept")

    def _refusal(self, command: bytes, words: str) -> Unsafe:
        self.account.refused += 1
        return Unsafe(f"{command[:4].hex().upper()} was not sent: it {words}")

    def _type(self, command: bytes, typed: str) -> bytes:
        """Type what is permitted; a try is spent before, and given back when the card has taken the right BPIN."""
        prompt, wrong = self._prompt, typed != self._policy.bpin
        self._tries.spend(wrong=wrong)
        response = self._exchange(command)
        if wrong and response[-2:-1] in _NOT_READ:
            return response  # the try stays counted until the card is reset, which settles it
        if wrong:
            self._repair(response)
        elif CURRENT in prompt and performed(command):
            self._doubtful = response[-2:-1] == WAITS
            if response[-2:] == OK:
                self._proven()
        return response

    def _repair(self, response: bytes) -> None:
        """The card asks again after a wrong BPIN: it is given the right one, and only then is anything objected to."""
        objection = ""
        command = fetched(self._exchange(FETCH)) if response[-2:-1] == WAITS else None
        if command is None or CURRENT not in command.text:
            objection = "a wrong BPIN was typed, and the card does not ask again"
            self._give_back()
        else:
            objection = self._tries.objection(command.text)
            self._reserve -= ANSWER.nv_writes
            self._tries.spend(wrong=False)
            response = self._exchange(answer(command, self._policy.bpin))
            self._doubtful = response[-2:-1] == WAITS
            if response[-2:] == OK:
                self._proven()
            elif not self._doubtful or objection:
                objection = objection or "the right BPIN was not taken after a wrong one"
                self._give_back()
        if objection:
            raise SafetyStop(objection)

    def _give_back(self, *, begins: bool = False) -> None:
        """Have the card take the right BPIN, which gives all tries back; SafetyStop if it does not."""
        owed = self._tries.owed
        for _ in range(_ATTEMPTS):
            if not self._tries.last_room or self._reserve < ANSWER.nv_writes:
                break
            try:
                taken = self._retyped()
            except (CardLost, ReaderError) as fault:
                self._recover(fault)
                if self._tries.proven and not self._tries.owed:  # it was lost after it took the BPIN
                    return
                if begins and self._tries.owed > owed:  # it may be wrong, and is typed once
                    break
                continue
            finally:
                self._prompt, self._doubtful = "", False
                self._tries.missing()
            if taken:
                return
            if begins:
                self.untyped = "nothing is typed: the card does not ask for its BPIN"
                return
            break
        self._tries.proven = False
        raise SafetyStop(
            f"tries of the BPIN that may be lost and were not given back: {self._tries.owed}; nothing more is sent"
        )

    def _retyped(self) -> bool:
        """Type the right BPIN, from a reset to a reset; False if the card does not ask, SafetyStop if it refuses it."""
        self._card.reset()
        typist = Typist(self._exchange)
        asked = typist.asked()
        if asked is not None:
            self._reserve -= ANSWER.nv_writes
            self._tries.spend(wrong=False)
            if not typist.taken(answer(asked, self._policy.bpin)):
                self._tries.refused()
                raise SafetyStop(
                    f"the card does not take the BPIN it was given (--bpin), and says {typist.told!r}: a try is spent"
                )
            self._proven()
        self._card.reset()
        return asked is not None

    def _settle(self) -> None:
        """Give back what is owed, where the BPIN is known to be right."""
        if self._tries.owed and self._tries.proven and not self._policy.unsafe:
            with uninterrupted():
                self._give_back()

    def _why_untyped(self) -> str:
        """Why not even the right BPIN may be typed; if it may, writes are put down for it."""
        tries, policy = self._tries, self._policy
        if not policy.writes:
            return "nothing is typed: the card writes it down"
        if tries.left is None:
            return "nothing is typed: how many tries the BPIN has left is not known (--tries-left)"
        if not tries.last_room:
            return f"nothing is typed: the BPIN has {tries.left} tries left, and {policy.floor} are kept"
        if not self._ledger.write(_RESERVE, policy.max_writes):
            return "nothing is typed: the card's budget of writes has no room for it"
        self.account.writes += _RESERVE
        self._reserve = _RESERVE
        return ""

    def _proven(self) -> None:
        self._doubtful = False
        self._tries.given_back()

    def _note(self, command: bytes, response: bytes) -> None:
        """Take note of what the card asks."""
        if command[1:2] == FETCH[1:2] and response[-2:] == OK:
            asked = fetched(response)
            self._prompt = "" if asked is None else asked.text
            if self._doubtful and NEW in self._prompt:  # who is asked for a new one knew the old one
                self._proven()
            elif self._doubtful and CURRENT in self._prompt:  # in this coding the card does not take it
                self._tries.urgent = True
        elif command[1:2] == bytes((ANSWER.ins,)) and response[-2:-1] in TAKEN:
            self._prompt = ""

    def _kept(self, call: Callable[[], bytes]) -> bytes:
        """Do something with the card; if it is lost, wait for it, power-cycle it, and tell of the loss."""
        try:
            return call()
        except (CardLost, ReaderError) as fault:
            self._tries.missing()
            self._recover(fault)
            self._settle()
            self.on_loss()
            raise CardLost("the card was lost, and is back") from fault

    def _recover(self, fault: Exception) -> None:
        """Wait for the card, which must be the same: it is known by its ATR and its ICCID."""
        end, pause = time.monotonic() + _PATIENCE, _SOON
        while time.monotonic() < end:
            try:
                found = identity(_Plain(self._card, self._write_down))
                self._card.reset()
            except (CardLost, ReaderError) as still:
                fault = still
                # Each power cycle may make a reader lose sight of the card for a moment: asking ever more seldom, one
                # comes after that moment at last.
                time.sleep(pause)
                pause = min(2 * pause, _LATER)
                continue
            self._prompt, self._doubtful = "", False
            if self._identity is not None and found != self._identity:
                self._tries.proven = False  # of this card nothing is known: nothing is typed
                raise SafetyStop("another card is in the reader")
            self.account.recovered += 1
            return
        stop = SafetyStop if isinstance(fault, CardRemoved | NoCardError) else CardDied
        raise stop(f"the card is lost: {fault}") from fault

    def identify(self, atr: bytes, iccid: bytes) -> None:
        """Take note of the card's ATR and ICCID: a card that comes back must have the same."""
        self._identity = atr, iccid


class _Plain:
    """The card, everything written down before it is sent, for what is no business of the rules."""

    def __init__(self, card: Card, write_down: Callable[[bytes], None]) -> None:
        self.reset: Final = card.reset
        self._card: Final = card
        self._write_down: Final = write_down

    def transmit(self, command: bytes) -> bytes:
        """Send one command."""
        self._write_down(command)
        return self._card.transmit(command)
