"""`bsim fuzz`: sequences of commands that no wallet would send, and what must not come of them."""

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final

from bsim.cli.ends import handled, in_main_thread

EXAMPLES = """\
examples:
  bsim fuzz run --max-time 60                  the emulated cards, for a minute; 1 if anything found
  bsim fuzz run --seed 7 --checks secret-leak,crash --json
  bsim fuzz run --plant length --dir practice  what a finding looks like
  bsim fuzz campaign --dir night               until Ctrl-C; goes on from what is in the folder
  bsim fuzz replay night                       what was found: does it still stand?
  bsim fuzz show night/findings/7QK2.txt --format pytest > test_7qk2.py
  bsim fuzz report night                       its reports: HTML, JUnit, SARIF, NDJSON, Markdown
  bsim fuzz learn --dot card.dot               what the card does, against the declaration
  bsim fuzz bench                              planted faults, engines side by side

`bsim fuzz WHAT --help` has more. Exit codes: 0 clean, 1 findings, 2 wrong usage or no such card,
3 stopped by a safety rule, 130 interrupted by Ctrl-C or SIGTERM (the report is
written all the same).
"""
PARTS: Final = (
    "fuzz_run",
    "fuzz_cases",
    "fuzz_diff",
    "fuzz_report",
    "fuzz_learn",
    "fuzz_corpus",
    "fuzz_scan",
    "fuzz_doctor",
    "fuzz_bench",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what there is to do; each module of `PARTS` adds its own."""
    verbs = parser.add_subparsers(dest="what", metavar="WHAT", title="what to do", required=True)
    for name in PARTS:
        import_module(f"bsim.cli.{name}").add(verbs)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    from bsim.cli.fuzz_plant import planted

    with ended_as_by_ctrl_c(), planted(args):
        return int(args.do(args))


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM, and a terminal that is closed, end what is inside as Ctrl-C does.

    The report is written, and a card in a reader is left reset. What `nohup` has ignored stays so.
    """
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # no SIGHUP on Windows
    ends = [
        number for number in (getattr(signal, name) for name in names) if signal.getsignal(number) != signal.SIG_IGN
    ]
    with handled(ends if in_main_thread() else (), signal.default_int_handler):
        yield
