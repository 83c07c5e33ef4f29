"""A run against a card in a reader: allowed by name, accounted for, ended in order."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsim import __version__
from bsim.fuzz.campaign import Options, Progress
from bsim.fuzz.card_engine import CardExplorer, CardReplayer
from bsim.fuzz.engine import Candidate
from bsim.fuzz.files import Folder
from bsim.fuzz.finding import Finding, make, spec_hash
from bsim.fuzz.grammar import grammar
from bsim.fuzz.identity import identity
from bsim.fuzz.ledger import Journal, Ledger, LedgerError
from bsim.fuzz.minimise import Minimiser
from bsim.fuzz.oracles import OUTSIDE, Judge
from bsim.fuzz.result import Exit, RunReport, coverage
from bsim.fuzz.safe import Policy, SafeCard, SafetyStop
from bsim.ports import Card, CardLost

_SLICE: Final = 200
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
        self.explorer: Final = CardExplorer(grammar(), judge, self.safe, policy.bpin, options.seed, pretest=pretest)
        self.explorer.on_hit = self._hit
        self._replayer: Final = CardReplayer(grammar(), judge, self.explorer.rig)
        self._folder: Final = None if options.folder is None else Folder(options.folder)
        self.findings: dict[str, Finding] = {}
        self.known: set[str] = set()
        """Keys that are findings already, on other cards."""
        self._began: Final = time.monotonic()
        self._stopped = ""
        self._exit = Exit.CLEAN

    def run(self, progress: Callable[[Progress], None] = lambda _: None) -> RunReport:
        """Go on until a budget is spent, a safety rule stops it, or Ctrl-C; the card is left reset."""
        try:
            self.safe.begin()
            while not self._over():
                self.explorer.explore(_SLICE)
                progress(self.progress())
        except SafetyStop as stop:
            self._stopped, self._exit = str(stop), Exit.SAFETY
        except KeyboardInterrupt:
            self._exit = Exit.INTERRUPTED
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

    def report(self) -> RunReport:
        """Answer what the run came to, and write it to the folder."""
        options, explorer = self._options, self.explorer
        found = tuple(self.findings.values())
        exit_ = self._exit or (Exit.FINDINGS if found else Exit.CLEAN)
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
            notes=tuple(
                one
                for one in (self._stopped, self.safe.untyped, f"{explorer.dropped} moves dropped after the twin")
                if one
            ),
            safety=self.safe.account.as_dict(),
        )
        if self._folder is not None:
            self._folder.save_report(report)
        return report

    def _hit(self, candidate: Candidate) -> None:
        """Verify three times, minimise within few replays, keep one a root cause."""
        key = candidate.hit.key
        if key in self.findings or key in self.known:
            return
        for _ in range(3):
            hit, _ = self._replayer.run(candidate.root, candidate.steps, key)
            if hit is None or hit.key != key:
                return
        small = Minimiser(self._replayer, candidate.root, candidate.steps, key, _REPLAYS, roots=())
        small.run()
        found = make(
            candidate.hit,
            candidate.root,
            small.steps,
            self._replayer,
            seed=self._options.seed,
            engine="state",
            target=self._target,
            apdus=candidate.apdus,
        )
        self.findings[key] = found
        if self._folder is not None:
            self._folder.save_finding(found)
        self._on_finding(found)

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
            self._stopped = self._stopped or f"at the end the card did not answer: {fault}"
            self._exit = self._exit or (Exit.SAFETY if isinstance(fault, SafetyStop) else Exit.CLEAN)
        finally:
            self._ledger.close()
            self._journal.close()
