"""`--plant FAULT`: a fault of the bench in the emulated card, to see what a finding looks like."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from bsim.cli.common import UsageError, note


def add_plant(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument("--plant", metavar="FAULT", help="practise: put a fault of `bsim fuzz bench` into the card")


@contextmanager
def planted(args: argparse.Namespace) -> Iterator[None]:
    """Have the fault in the card for as long as the command takes; UsageError names the faults there are."""
    name: str | None = getattr(args, "plant", None)
    if name is None:
        yield
        return
    from bsim.bench.planted import FAULTS

    if name not in FAULTS:
        raise UsageError(f"no fault {name}; there is {', '.join(FAULTS)}")
    elsewhere = [
        vars(args).get("on", "ram") != "ram",
        vars(args).get("jobs", "1") != "1",
        bool(vars(args).get("cluster")),
    ]
    if any(elsewhere):
        raise UsageError("--plant is for the emulated card in this process: without --on, -j and --cluster")
    note(f"planted: {FAULTS[name].title}")
    with FAULTS[name].plant():
        yield
