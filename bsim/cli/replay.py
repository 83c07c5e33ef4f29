"""`bsim replay`: a recorded card, looked at or put into a reader again."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bsim.cli.common import CheckFailed, add_json, note, print_json

if TYPE_CHECKING:
    from bsim.lab.trace import Trace

EXAMPLES = """\
examples:
  bsim replay run.bsimtrace                               what is in it, and whether it is whole
  bsim replay run.bsimtrace --vpcd 127.0.0.1:35963        in the virtual reader, for any app
  bsim replay run.bsimtrace --tolerant --vpcd 35963       in any order, with other challenges
  bsim apdu --on replay:run.bsimtrace < commands.txt      the same as a target of any verb
  bsim wallet accounts --on replay:tolerant:run.bsimtrace

A command the trace has no answer to gets 6F00, and a line tells where in the trace. Exit code 1 if
there was any.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the trace, FILE.bsimtrace")
    parser.add_argument("--tolerant", action="store_true", help="answer in any order; nonces may have any value")
    parser.add_argument(
        "--nonce", metavar="FIELD", action="append", default=[], help="a field that may, with --tolerant"
    )
    parser.add_argument("--vpcd", metavar="HOST:PORT", action="append", help="put it into the reader behind vpcd")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Look at it, or serve it."""
    from bsim.lab.replay import NONCES, ReplayCard
    from bsim.lab.trace import read

    trace = read(args.file)
    if args.vpcd is None:
        _tell(trace, args)
        return 0
    from bsim.cli.serve import serve_card

    args.on = f"replay:{args.file}"
    card = ReplayCard(trace, tolerant=args.tolerant, nonces=NONCES | set(args.nonce), refuse=True)
    serve_card(card, args, replay=str(args.file))
    if card.refused:
        raise CheckFailed(f"{card.refused} commands had no answer in {args.file}")
    note(f"{card.left} of {len(trace.exchanges)} exchanges were not asked for")
    return 0


def _tell(trace: "Trace", args: argparse.Namespace) -> None:
    from bsim.lab.trace import Dialogue, Reset
    from bsim.spec.decode import MASK

    start = trace.start
    facts: dict[str, object] = {
        "trace": str(args.file),
        "recorded": start.when,
        "target": start.target,
        "link": start.link,
        "spec": start.spec,
        "exchanges": len(trace.exchanges),
        "resets": sum(isinstance(event, Reset) for event in trace.events),
        "dialogues": sum(isinstance(event, Dialogue) for event in trace.events),
        "redacted": sum(MASK in one.command + one.response for one in trace.exchanges),
        "lost": sum(bool(one.lost) for one in trace.exchanges),
        "torn": trace.torn,
    }
    if args.json:
        print_json(facts)
        return
    for name, value in facts.items():
        print(f"{name:<11}{'yes' if value is True else 'no' if value is False else value}")
