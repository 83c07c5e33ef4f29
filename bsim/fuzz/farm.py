"""Cards in several readers at once: a worker for each reader, with a card of its own that safe mode guards.

A worker's card is let go of, reset, whatever ends the worker; what a card's rule stops ends that worker alone.
"""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bsim.fuzz.campaign import Options
from bsim.fuzz.card_run import CardCampaign, NotAllowed, Place, check_allowed
from bsim.fuzz.files import Seed
from bsim.fuzz.identity import identity
from bsim.fuzz.ledger import LedgerError
from bsim.fuzz.policy import Policy, SafetyStop
from bsim.fuzz.result import Exit
from bsim.fuzz.workers import SLICE, SliceResult
from bsim.lab.reader import ReaderError, ReaderOptions, readers
from bsim.lab.targets import TargetError, is_real, open_target
from bsim.ports import CardLost

_STEP: Final = 50


@dataclass(frozen=True, slots=True)
class Farm:
    """The readers, the cards that may be in them, and what may be done to each."""

    targets: tuple[str, ...]
    allowed: frozenset[str]
    policy: Policy
    ledgers: Path
    journals: Path
    reader: ReaderOptions
    pretest: bool = True


def targets_of(text: str) -> tuple[str, ...]:
    """Read readers with commas between; TargetError where one is none."""
    targets = tuple(one.strip() for one in text.split(","))
    if others := [one for one in targets if not is_real(one)]:
        raise TargetError(f"no reader: {', '.join(map(repr, others))}; with commas between there are reader:NAME only")
    return targets


def check_readers() -> None:
    """See that there are readers on this machine; PcscUnavailable or ReaderError otherwise."""
    if not readers():
        raise ReaderError("PC/SC runs, and no reader is connected")


class CardWorker:
    """Fuzzes the card in one reader; the reader's place in the farm is the worker's index."""

    def __init__(self, farm: Farm, options: Options, index: int) -> None:
        digest = hashlib.sha256(f"{options.seed}/{index}".encode()).digest()
        self._campaign: CardCampaign | None = None
        self._told: set[str] = set()
        self._last = SliceResult(0, 0, 0, 0, 0, (), (), ())
        target = farm.targets[index]
        self._target: Final = target
        try:
            card = open_target(target, None, farm.reader)
        except (CardLost, ReaderError, TargetError) as fault:
            self._stop(fault)
            return
        self._close = card.close
        try:
            atr, iccid = identity(card)
            check_allowed(atr, iccid, farm.allowed)
            self._campaign = CardCampaign(
                card,
                replace(options, seed=int.from_bytes(digest[:6], "big"), folder=None),
                farm.policy,
                Place(farm.ledgers, farm.journals / f"journal-{int(time.time())}-{index}.txt"),
                target,
                pretest=farm.pretest,
            )
        except (CardLost, ReaderError, NotAllowed, LedgerError) as fault:
            self._stop(fault)
            card.close()

    def slice(
        self,
        seconds: float = SLICE,
        seeds: Iterable[Seed] = (),  # noqa: ARG002 - what others' sequences did to their cards they might do to this
        known: Iterable[str] = (),
    ) -> SliceResult:
        """Go on for so long. Seeds of others are not run."""
        campaign = self._campaign
        if campaign is None:
            return self._last
        campaign.known |= set(known)
        end = time.monotonic() + seconds
        try:
            campaign.safe.begin()
            while time.monotonic() < end:
                campaign.explorer.explore(_STEP)
        except SafetyStop as stop:
            self._stop(stop)
            return self.close()
        return self._result(campaign)

    def close(self) -> SliceResult:
        """Leave the card reset, and let go of it; answers how it was left."""
        campaign, self._campaign = self._campaign, None
        if campaign is not None:
            campaign.tear_down()
            self._close()
            if campaign.exit is Exit.SAFETY:
                self._stop(campaign.stopped)
            self._last = self._result(campaign)
        return self._last

    def _stop(self, why: object) -> None:
        """Do not go on; the first reason counts."""
        self._last = replace(self._last, stopped=self._last.stopped or f"{self._target}: {why}")

    def _result(self, campaign: CardCampaign) -> SliceResult:
        found = [one for key, one in campaign.findings.items() if key not in self._told]
        self._told |= {one.key for one in found}
        explorer, account = campaign.explorer, campaign.safe.account
        notes = [f"{self._target}: {note}" for note in (campaign.stopped, *campaign.notes()) if note]
        return SliceResult(
            account.sent,
            explorer.sequences,
            len(explorer.states),
            0,
            0,
            tuple(explorer.pairs),
            tuple(found),
            (),
            stopped=self._last.stopped,
            safety=tuple(account.as_dict().items()),
            notes=tuple(note for note in notes if note != self._last.stopped),
        )
