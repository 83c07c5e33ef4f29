"""`bsim fuzz doctor`: what fuzzing has to work with: extras, declaration, determinism, readers and their ledgers."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Final

from bsim.cli.common import Style, add_json, print_json
from bsim.cli.doctor import Finding
from bsim.cli.fuzz_part import Parts, part

_DOCTOR: Final = """\
examples:
  bsim fuzz doctor
  bsim fuzz doctor --json

Cards in readers are reset and asked for their ICCID, and nothing else. Exit code 1 if the emulated card is not fuzzed
as it must be.
"""
_EXTRAS: Final = (("AALpy", "aalpy", "fuzz"), ("atheris", "atheris", "fuzz"), ("Ray", "ray", "cluster"))
_APDUS: Final = 5_000
_SEED: Final = 1


def add(parts: Parts) -> None:
    """Declare it."""
    one = part(parts, "doctor", "look at what fuzzing has to work with", _DOCTOR, execute)
    one.add_argument("--ledger", metavar="DIR", type=Path, help="where cards' accounts are kept over runs")
    add_json(one)


def execute(args: argparse.Namespace) -> int:
    """Look at everything."""
    found = [*_emulated(), *_extras(), *_readers(args.ledger)]
    healthy = all(one.ok for one in found if one.base)
    if args.json:
        print_json({"ok": healthy, "findings": [asdict(one) for one in found]})
        return 0 if healthy else 1
    style = Style()
    for one in found:
        mark = style.good("ok     ") if one.ok else style.bad("wrong  ") if one.base else style.dim("missing")
        print(f"  {mark}  {one.name:<14}{one.detail}")
        if one.fix and not one.ok:
            print(f"  {'':<9}{'':<14}fix: {one.fix}")
    return 0 if healthy else 1


def _emulated() -> Iterator[Finding]:
    """The same seed twice: the same states, status words, and nothing found."""
    from bsim.fuzz.campaign import Campaign, Options

    first, second = (Campaign(Options(_SEED, max_apdus=_APDUS)) for _ in range(2))
    report, again = first.run(), second.run()
    covered = report.coverage
    every = covered.commands_seen == covered.commands
    yield Finding("commands", every, f"{covered.commands_seen} of {covered.commands} declared are sent", base=True)
    pairs = f"{covered.pairs_seen} of {covered.pairs} declared are seen in {report.apdus:,} APDUs"
    yield Finding("status words", True, pairs)
    same = first.explorer.pairs == second.explorer.pairs and first.explorer.states == second.explorer.states
    told = f"{report.states:,} states and {report.apdus:,} APDUs, twice from one seed"
    yield Finding("determinism", same and report.apdus == again.apdus, told, base=True)
    yield Finding("stability", report.stability == 1.0, f"{100 * report.stability:.0f} %", base=True)
    clean = not report.findings
    yield Finding("clean", clean, f"{len(report.findings)} findings", "bsim fuzz run --seed 1", base=True)
    yield Finding("speed", True, f"{report.apdus / report.seconds:,.0f} APDUs a second, every phase")


def _extras() -> Iterator[Finding]:
    for name, module, extra in _EXTRAS:
        there = find_spec(module) is not None
        yield Finding(name, there, "installed" if there else "not installed", f"pip install 'bsim[{extra}]'")
    drawn = which("dot") is not None
    yield Finding("Graphviz", drawn, "installed" if drawn else "not installed", "apt-get install graphviz")


def _readers(ledgers: Path | None) -> Iterator[Finding]:
    from bsim.lab.reader import ReaderError, readers

    try:
        names = readers()
    except ReaderError as fault:
        yield Finding("readers", False, str(fault))
        return
    yield Finding("readers", bool(names), f"{len(names)}", "connect one, or start one with `bsim serve`")
    for number, name in enumerate(names):
        yield Finding(f"reader:{number}", True, f"{name}: {_card(number, ledgers)}")


def _card(number: int, ledgers: Path | None) -> str:
    """The card in a reader: its ATR, and what its ledger says was done to it."""
    from bsim.cli.fuzz_reader import state_folder
    from bsim.fuzz.card_run import digits
    from bsim.fuzz.identity import identity
    from bsim.fuzz.ledger import account_of
    from bsim.lab.reader import ReaderError
    from bsim.lab.targets import open_target
    from bsim.ports import CardLost

    try:
        card = open_target(f"reader:{number}")
        try:
            atr, iccid = identity(card)
        finally:
            card.close()
    except (CardLost, ReaderError) as fault:
        return str(fault)
    account = account_of(ledgers or state_folder(), atr + iccid)
    known = "never fuzzed" if account is None else f"{account[0]:,} writes in {account[1]} runs"
    if account is not None and account[2]:
        known += f", BPIN tries not given back: {account[2]}"
    return f"ATR {atr.hex().upper()}, ICCID ends {digits(iccid)[-4:] or '?'}, {known}"
