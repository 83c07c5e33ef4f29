"""`bsim fleet`: thousands of cards made from one seed."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from bsim.cli.common import CheckFailed, UsageError, parse_hex
from bsim.cli.progress import Progress

if TYPE_CHECKING:
    from bsim.fleet import Fleet, FleetAccount

EXAMPLES = """\
examples:
  bsim fleet export --seed "load test 7" --cards 1000 > accounts.csv
  bsim fleet export --seed 0x00112233445566778899aabbccddeeff --cards 100000 \\
      --coin ethereum --coin conflux --format json --output accounts.json

Same seed, same cards, however many there are. A seed is text, or 0x and hex digits; --seed shows in
process lists, and BSIM_FLEET_SEED does not. It is never written: neither are keys. `bsim serve
--cards` puts such cards in readers.
"""
_SEED_VARIABLE: Final = "BSIM_FLEET_SEED"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    verbs = parser.add_subparsers(dest="what", metavar="WHAT", title="what to do", required=True)
    summary = "write the ICCIDs, public keys and addresses of a fleet's cards"
    export = verbs.add_parser(
        "export",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument(
        "--seed", metavar="TEXT|0xHEX", help=f"what the cards are made from (default: {_SEED_VARIABLE})"
    )
    export.add_argument("--cards", metavar="N", type=int, required=True, help="how many")
    export.add_argument(
        "--coin", metavar="COIN", action="append", help="what to derive a key for; may be repeated (default: ethereum)"
    )
    export.add_argument("--format", choices=["csv", "json"], default="csv", help="default: csv")
    export.add_argument("--output", metavar="FILE", type=Path, help="where to; never overwritten (default: stdout)")
    export.add_argument("--processes", metavar="P", type=int, help="how many make cards (default: one for each core)")


def run(args: argparse.Namespace) -> int:
    """Export a fleet."""
    from bsim.fleet import FleetError, write_csv, write_json

    processes = _processes(args)
    fleet = _fleet(args)
    write = {"csv": write_csv, "json": write_json}[args.format]
    try:
        with _written(args.output) as stream, Progress(len(fleet), sys.stderr) as progress:
            write(_told(fleet, processes, progress), stream)
    except FleetError as fault:
        raise CheckFailed(str(fault)) from fault
    return 0


def seed_of(text: str | None) -> bytes | None:
    """Read a seed, or take the environment's; None where there is neither. UsageError if it is none."""
    given = text if text is not None else os.environ.get(_SEED_VARIABLE)
    if given is None:
        return None
    try:
        seed = parse_hex(given, "") if given.startswith("0x") else given.encode()
    except UsageError:
        raise UsageError("the seed begins with 0x, and what follows is not hexadecimal") from None
    if not seed:
        raise UsageError("the seed is empty")
    return seed


def _fleet(args: argparse.Namespace) -> "Fleet":
    from bsim.cli.coins import algorithm, coin
    from bsim.fleet import Fleet

    seed = seed_of(args.seed)
    if seed is None:
        raise UsageError(f"a fleet is made from a seed: --seed or {_SEED_VARIABLE}")
    coins = [coin(text) for text in args.coin or ["ethereum"]]
    try:
        return Fleet(seed, args.cards, coins=[(number, algorithm(None, number)) for number in coins])
    except ValueError as fault:
        raise UsageError(str(fault)) from fault


def _processes(args: argparse.Namespace) -> int:
    processes: int = (os.cpu_count() or 1) if args.processes is None else args.processes
    if processes < 1:
        raise UsageError("--processes takes 1 or more")
    return processes


def _told(fleet: "Fleet", processes: int, progress: Progress) -> "Iterator[FleetAccount]":
    from bsim.fleet import accounts

    for account in accounts(fleet, processes):
        yield account
        progress(account.card + 1)


@contextmanager
def _written(path: Path | None) -> Iterator[TextIO]:
    """Open the output; a file that was not written to its end is removed."""
    if path is None:
        yield sys.stdout
        return
    try:
        stream = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise UsageError(f"{path}: exists already; it is never overwritten") from None
    except OSError as fault:
        raise UsageError(f"{path}: cannot be made ({fault.strerror})") from fault
    try:
        with stream:
            yield stream
    except OSError as fault:
        path.unlink(missing_ok=True)
        raise UsageError(f"{path}: cannot be written ({fault.strerror}); it is removed") from fault
    except BaseException:
        path.unlink(missing_ok=True)
        raise
