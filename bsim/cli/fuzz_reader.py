"""`bsim fuzz run --on reader:NAME`: what may be done to the card, and where its account is kept."""

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bsim.cli.common import UsageError, add_reader, check_bpin, note, reader_options
from bsim.cli.fuzz_report import DEFAULT

_LET_GO: Final = 10.0  # seconds for a card to be reset, and let go of

if TYPE_CHECKING:
    from bsim.cli.fuzz_told import LiveLine
    from bsim.fuzz.campaign import Options
    from bsim.fuzz.card_run import Place
    from bsim.fuzz.crew import Crew
    from bsim.fuzz.policy import Policy
    from bsim.fuzz.result import RunReport
    from bsim.fuzz.safe import SafeCard
    from bsim.lab.targets import OpenCard


def add_reader_options(parser: argparse.ArgumentParser) -> None:
    """What is done to a card in a reader, and what is not."""
    parser.add_argument("--allow-card", metavar="ATR|ICCID", action="append", default=[], help="a card that is yours")
    parser.add_argument("--tries-left", metavar="N", type=int, help="its BPIN tries; without it nothing is typed")
    parser.add_argument("--pin-floor", metavar="N", type=int, default=2, help="tries that are never spent (default: 2)")
    parser.add_argument("--bpin", default="123456", help="the card's BPIN (default: 123456); typed once first")
    parser.add_argument("--max-nv-writes", metavar="N", type=int, default=20_000, help="in all runs (default: 20000)")
    parser.add_argument("--no-writes", action="store_true", help="send only commands that change nothing")
    parser.add_argument("--no-pretest", action="store_true", help="do not try sequences on the twin in memory first")
    parser.add_argument("--ledger", metavar="DIR", type=Path, help="where cards' accounts are kept over runs")
    parser.add_argument("--unsafe", action="store_true", help="no rules on a reader; needs --i-own-this-card")
    parser.add_argument("--i-own-this-card", metavar="ATR|ICCID", help="typed out")
    add_reader(parser)


def given_for_reader(args: argparse.Namespace) -> list[str]:
    """Which options of `add_reader_options` were given, with another value than theirs."""
    parser = argparse.ArgumentParser()
    add_reader_options(parser)
    usual = vars(parser.parse_args([]))
    return [f"--{name.replace('_', '-')}" for name, value in usual.items() if vars(args)[name] != value]


def run_on_reader(args: argparse.Namespace, options: "Options", line: "LiveLine") -> "RunReport":
    """Fuzz the card in a reader; the card is let go of whatever happens."""
    from bsim.fuzz.card_run import CardCampaign

    with _admitted(args) as (card, policy, _):
        place = _place(args)
        campaign = CardCampaign(
            card,
            replace(options, folder=args.dir),
            policy,
            place,
            args.on,
            pretest=not args.no_pretest,
            on_finding=line.found,
        )
        line.begin()
        return campaign.run(line.show)


def run_on_readers(args: argparse.Namespace, options: "Options", line: "LiveLine") -> "RunReport":
    """Fuzz the cards in several readers: a process, or an actor of a cluster, for each."""
    from functools import partial

    from bsim.fuzz.crew import lead
    from bsim.fuzz.farm import CardWorker, Farm, check_readers, targets_of
    from bsim.fuzz.workers import SLICE, Coordinator

    if args.unsafe:
        raise UsageError("--unsafe is for one card: with several readers the rules are kept")
    targets = targets_of(args.on)
    if args.cluster is None:
        check_readers()
    place = _place(args)
    allowed = frozenset(args.allow_card)
    reader, pretest = reader_options(args), not args.no_pretest
    farm = Farm(targets, allowed, _policy(args), place.ledgers, place.journal.parent, reader, pretest)
    make = partial(CardWorker, farm)
    crew: Crew
    if args.cluster is None:
        from bsim.fuzz.parallel import Processes

        crew = Processes(options, SLICE, make, _LET_GO)
    else:
        from bsim.fuzz.cluster import Actors, connect

        crew = Actors(connect(args.cluster, len(targets)), options, SLICE, make, _LET_GO)
    coordinator = Coordinator(options, args.on)
    line.begin()
    return lead(crew, len(targets), coordinator, line.show, line.found, replace=False)


@contextmanager
def safe_card(args: argparse.Namespace, *, typed: bool = True, wrong: bool = True) -> Iterator["SafeCard"]:
    """The card in a reader, every rule of safe mode around it; at the end it is left reset. SafetyStop if it is lost.

    `typed` says whether anything is going to be typed, `wrong` whether a wrong BPIN may be.
    """
    from bsim.fuzz.ledger import Journal, Ledger
    from bsim.fuzz.policy import SafetyStop
    from bsim.fuzz.safe import SafeCard
    from bsim.ports import CardLost

    with _admitted(args) as (card, policy, (atr, iccid)), ExitStack() as open_files:
        place = _place(args)
        journal = Journal(place.journal)
        open_files.callback(journal.close)
        ledger = Ledger(place.ledgers, atr + iccid)
        open_files.callback(ledger.close)
        safe = SafeCard(card, replace(policy, wrong=wrong), ledger, journal)
        safe.identify(atr, iccid)
        try:
            if typed:
                safe.begin()
            if safe.untyped:
                note(safe.untyped)
            yield safe
        except BaseException as end:
            with suppress(CardLost, SafetyStop):  # what ended it is told
                safe.leave()
            if isinstance(end, CardLost):
                raise SafetyStop(str(end)) from end
            raise
        safe.leave()


@contextmanager
def _admitted(args: argparse.Namespace) -> Iterator["tuple[OpenCard, Policy, tuple[bytes, bytes]]"]:
    """The card in a reader, if it may be fuzzed; and what may be done to it, and its ATR and ICCID."""
    from bsim.fuzz.card_run import check_allowed, digits
    from bsim.fuzz.identity import identity
    from bsim.lab.targets import is_real

    policy = _policy(args)
    card = _opened(args)
    try:
        atr, iccid = identity(card)
        if args.unsafe:
            typed = (args.i_own_this_card or "").replace(" ", "").upper()
            if not typed or typed not in {atr.hex().upper(), digits(iccid)}:
                raise UsageError("--unsafe needs --i-own-this-card with the card's ATR or ICCID, typed out")
            note("unsafe: this card may be blocked or broken for good")
        elif is_real(args.on):
            check_allowed(atr, iccid, frozenset(args.allow_card))
        yield card, policy, (atr, iccid)
    finally:
        card.close()


def _opened(args: argparse.Namespace) -> "OpenCard":
    """The card in a reader; of a card file a copy, as everywhere where cards are examined."""
    from bsim.lab.targets import SUFFIX, open_target, records_of
    from bsim.profiles import power_on
    from bsim.store import RamStore

    if not args.on.endswith(SUFFIX):
        return open_target(args.on, None, reader_options(args))
    note(f"a copy of {args.on} in memory; the file stays as it is")
    return power_on(RamStore(records_of(args.on)))


def _place(args: argparse.Namespace) -> "Place":
    """Where the card's account is, and the journal of this run."""
    from bsim.fuzz.card_run import Place

    folder = getattr(args, "dir", None) or DEFAULT
    place = Place(args.ledger or state_folder(), folder / f"journal-{int(time.time())}.txt")
    note(f"journal {place.journal}")
    return place


def _policy(args: argparse.Namespace) -> "Policy":
    from bsim.fuzz.policy import Policy

    check_bpin(args)
    if args.pin_floor < 1:
        raise UsageError("--pin-floor is 1 or more: with no try left the BPIN is blocked for good")
    if args.max_nv_writes < 0:
        raise UsageError("--max-nv-writes is 0 or more")
    return Policy(args.bpin, args.tries_left, args.pin_floor, args.max_nv_writes, not args.no_writes, args.unsafe)


def state_folder() -> Path:
    """Answer where accounts are kept over runs. XDG Base Directory Specification."""
    configured = os.environ.get("XDG_STATE_HOME", "")
    base = Path(configured) if os.path.isabs(configured) else Path.home() / ".local" / "state"
    return base / "bsim" / "fuzz-cards"
