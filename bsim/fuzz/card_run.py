"""A run against a card in a reader: allowed by name, accounted for, ended in order."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsim import __version__
from bsim.fuzz import cards
from bsim.fuzz.campaign import Options, Progress
from bsim.fuzz.card_engine import CardExplorer
from bsim.fuzz.card_replay import CardReplayer
from bsim.fuzz.engine import Candidate
from bsim.fuzz.files import Folder
from bsim.fuzz.finding import Finding, make, spec_hash
from bsim.fuzz.grammar import grammar
from bsim.fuzz.identity import identity
from bsim.fuzz.ledger import Journal, Ledger, LedgerError
from bsim.fuzz.minimise import Minimiser
from bsim.fuzz.oracles import OUTSIDE, Judge
from bsim.fuzz.policy import Policy, SafetyStop
from bsim.fuzz.result import Exit, RunReport, coverage
from bsim.fuzz.safe import SafeCard
from bsim.fuzz.steps import Step
from bsim.ports import Card, CardLost

_SLICE: Final = 200
_LIKE: Final = "operational"  # the kind of emulated card that cards in readers are taken to be
_REPLAYS: Final = 60  # a card in a reader is slow, and each replay wears it


class NotAllowed(Exception):  # noqa: N818 - a decision, told to people
    """A card that is not on the list; the message says how it gets there."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the accounts of cards are kept, and the journal of this run."""

    ledgers: Path
    journal: Path


def check_allowed(atr: bytes, iccid: bytes, allowed: frozenset[str]) -> None:
    """Refuse a card that is not on the list: NotAllowed says what to put there."""
    names = {atr.hex().upper(), digits(iccid)} - {""}
    if not names & {one.replace(" ", "").upper() for one in allowed}:
        raise NotAllowed(
            "this card is not on the list of cards that may be fuzzed; if it is yours to fuzz, name it with "
            f"--allow-card {digits(iccid) or atr.hex().upper()}"
        )


def digits(iccid: bytes) -> str:
    """Read EF.ICCID: BCD with its nibbles swapped. ETSI TS 102 221 13.2."""
    return "".join(f"{byte & 15:X}{byte >> 4:X}" for byte in iccid).rstrip("F")


class CardCampaign:
    """One run; `report` tells what it came to, whatever ended it."""

    def __init__(
        self,
        card: Card,
        options: Options,
        policy: Policy,
        place: Place,
        target: str,
        *,
        pretest: bool = True,
        on_finding: Callable[[Finding], None] = lambda _: None,
    ) -> None:
        self._options, self._target, self._on_finding = options, target, on_finding
        atr, iccid = identity(card)
        self._journal: Final = Journal(place.journal)
        try:
            self._ledger: Final = Ledger(place.ledgers, atr + iccid)
        except LedgerError:
            self._journal.close()
            raise
        self.safe: Final = SafeCard(card, policy, self._ledger, self._journal)
        self.safe.identify(atr, iccid)
        judge = Judge(options.checks & OUTSIDE)
        self.explorer: Final = CardExplorer(
            grammar(), judge, self.safe, policy.bpin, options.seed, pretest=pretest, commands=options.commands
        )
        self.explorer.on_hit, self.explorer.on_death = self._hit, self._died
        self._replayer: Final = CardReplayer(grammar(), judge, self.explorer.rig, self.safe)
        self._folder: Final = None if options.folder is None else Folder(options.folder)
        self.findings: dict[str, Finding] = {}
        self.known: set[str] = {one.key for one in options.standing}
        """Keys that are findings already, of earlier runs or on other cards."""
        self._doubts: list[str] = []
        self._unverified: Counter[str] = Counter()
        self._began: Final = time.monotonic()
        self.stopped = ""
        """Why it ended, if no budget was spent; or how the card was left, if it is not as it should be."""
        self.exit = Exit.CLEAN

    def run(self, progress: Callable[[Progress], None] = lambda _: None) -> RunReport:
        """Go on until a budget is spent, a safety rule stops it, or Ctrl-C; the card is left reset."""
        try:
            self.safe.begin()
            self._sow()
            while not self._over():
                self.explorer.explore(_SLICE)
                progress(self.progress())
        except SafetyStop as stop:
            self.stopped, self.exit = str(stop), Exit.SAFETY
        except KeyboardInterrupt:
            self.exit = Exit.INTERRUPTED
        finally:
            self.tear_down()
        return self.report()

    def progress(self) -> Progress:
        """Answer where the run is."""
        account = self.safe.account
        tries = "" if account.lowest_tries is None else f"  tries >= {account.lowest_tries}"
        return Progress(
            time.monotonic() - self._began,
            account.sent,
            len(self.explorer.states),
            0,
            coverage(grammar(), self.explorer.pairs),
            1.0,
            len(self.findings),
            f"{tries}  nv {account.writes}",
        )

    def notes(self) -> list[str]:
        """Answer what is to be known beside the findings."""
        dropped = self.explorer.dropped
        notes = [self.safe.untyped, f"{dropped} moves dropped after the twin" if dropped else "", *self._doubts]
        notes += [f"{key} was hit {count} times and could not be repeated" for key, count in self._unverified.items()]
        return [one for one in notes if one]

    def report(self) -> RunReport:
        """Answer what the run came to, and write it to the folder."""
        options, explorer = self._options, self.explorer
        found = (*options.standing, *self.findings.values())
        exit_ = self.exit or (Exit.FINDINGS if found else Exit.CLEAN)
        report = RunReport(
            seed=options.seed,
            engine="state",
            target=self._target,
            spec=spec_hash(),
            version=__version__,
            checks=tuple(sorted(options.checks & OUTSIDE)),
            seconds=time.monotonic() - self._began,
            apdus=self.safe.account.sent,
            sequences=explorer.sequences,
            states=len(explorer.states),
            stability=1.0,
            coverage=coverage(grammar(), explorer.pairs),
            findings=found,
            exit=exit_,
            notes=tuple(one for one in (self.stopped, *self.notes()) if one),
            safety=self.safe.account.as_dict(),
        )
        if self._folder is not None:
            self._folder.save_report(report)
        return report

    def _sow(self) -> None:
        """Run sequences that were worth keeping before, or elsewhere, on a card as this one is taken to be."""
        for seed in self._options.seeds:
            if self._over():
                return
            if seed.root in {cards.CARD, _LIKE}:
                self.explorer.follow(seed.steps)

    def _hit(self, candidate: Candidate) -> None:
        """Verify three times, minimise within few replays, keep one a root cause. What ends the run loses nothing."""
        key, replayer = candidate.hit.key, self._replayer
        if key in self.findings or key in self.known:
            return
        small = Minimiser(replayer, candidate.root, candidate.steps, key, _REPLAYS, roots=())
        try:
            for _ in range(3):
                hit, _ = replayer.run(candidate.root, candidate.steps, key)
                if hit is None and replayer.refused:
                    self._keep(candidate, candidate.steps, f"was not verified: {replayer.refused}")
                    return
                if hit is None or hit.key != key:
                    self._unverified[key] += 1
                    return
            before = replayer.refusals
            if self._options.shrink:
                self._save(self._made(candidate, candidate.steps))  # a run that is killed meanwhile has it
                small.run()
        except (SafetyStop, KeyboardInterrupt):
            replayer.gone = True
            self._keep(candidate, small.steps, "was not verified and minimised to the end: the run was ended")
            raise
        missed = replayer.refusals - before
        doubt = f"might be smaller: {missed} replays were not carried out ({replayer.reason})" if missed else ""
        self._keep(candidate, small.steps, doubt)

    def _died(self, candidate: Candidate) -> None:
        """There is no card any more to verify it with."""
        if candidate.hit.key not in self.findings and candidate.hit.key not in self.known:
            self._replayer.gone = True
            self._keep(candidate, candidate.steps, "was not verified: the card does not come back")

    def _keep(self, candidate: Candidate, steps: Sequence[Step], doubt: str = "") -> None:
        stop: BaseException | None = None
        try:
            self._replayer.trace(candidate.root, steps)
        except (SafetyStop, KeyboardInterrupt) as fault:
            self._replayer.gone, stop = True, fault
        found = self._made(candidate, steps)
        if doubt:
            self._doubts.append(f"{found.id} {doubt}")
        self.findings[found.key] = found
        self._save(found)
        self._on_finding(found)
        if stop is not None:
            raise stop

    def _made(self, candidate: Candidate, steps: Sequence[Step]) -> Finding:
        return make(
            candidate.hit,
            candidate.root,
            steps,
            self._replayer.trace(candidate.root, steps),
            seed=self._options.seed,
            engine="state",
            target=self._target,
            apdus=candidate.apdus,
        )

    def _save(self, found: Finding) -> None:
        if self._folder is None:
            return
        try:
            self._folder.save_finding(found)
        except OSError:  # the disk is full: what was found must not be lost with it
            self._on_finding(found)
            raise

    def _over(self) -> bool:
        options = self._options
        return (
            (options.max_apdus is not None and self.safe.account.sent >= options.max_apdus)
            or (options.max_time is not None and time.monotonic() - self._began >= options.max_time)
            or (options.max_failures is not None and len(self.findings) >= options.max_failures)
        )

    def tear_down(self) -> None:
        """Leave the card reset: no channel open, no dialogue, nothing verified."""
        try:
            self.safe.leave()
        except (CardLost, SafetyStop) as fault:
            self.stopped = self.stopped or f"at the end the card did not answer: {fault}"
            self.exit = self.exit or (Exit.SAFETY if isinstance(fault, SafetyStop) else Exit.CLEAN)
        except KeyboardInterrupt:  # a card that is gone is waited for no longer, and the report is made all the same
            self.stopped = self.stopped or "Ctrl-C at the end: how the card was left is not known"
            self.exit = Exit.INTERRUPTED
        finally:
            self._ledger.close()
            self._journal.close()
