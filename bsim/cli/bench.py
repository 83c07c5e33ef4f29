"""`bsim bench`: what things cost, as ratios to floors and peers in the same run."""

import argparse
from pathlib import Path

from bsim.cli.common import UsageError, add_json, note, print_json

EXAMPLES = """\
examples:
  bsim bench                        every bench; missed targets are told, and are no failure
  bsim bench sign --peers           measures other libraries too, installed into a cache folder
  bsim bench sign --plot ratios.svg
  bsim bench fleet --full --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    from bsim.bench.report import BENCHES
    from bsim.bench.runner import ROUNDS
    from bsim.crypto.ecdsa import NAMES

    benches = "; ".join(f"{name}: {what}" for name, what in BENCHES.items())
    parser.add_argument("bench", metavar="BENCH", nargs="*", help=f"which (default: all). {benches}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"interleaved rounds (default: {ROUNDS})")
    parser.add_argument("--engine", choices=NAMES, help="the signing engine of the cards (default: all, for sign)")
    parser.add_argument("--peers", action="store_true", help="install the libraries bsim is compared with")
    parser.add_argument("--full", action="store_true", help="with a fleet of 100,000 cards: some minutes")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the ratios: .svg, or .png with matplotlib")
    parser.add_argument("--update", metavar="FILE", type=Path, help="replace the generated part of a Markdown file")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure; the exit code says that it could be measured, not that targets were met."""
    from bsim.bench import peers, plot, report
    from bsim.bench.runner import BenchError, Home, Plan

    if unknown := [name for name in args.bench if name not in report.BENCHES]:
        raise UsageError(f"no bench {', '.join(unknown)}; there is {', '.join(report.BENCHES)}")
    if args.rounds < 1:
        raise UsageError("--rounds is 1 or more")
    if args.plot and args.plot.suffix not in plot.SUFFIXES:
        raise UsageError(f"--plot {args.plot}: a chart is {' or '.join(plot.SUFFIXES)}")
    try:
        home = peers.install() if args.peers else Home()
        plan = Plan(rounds=args.rounds, full=args.full, engine=args.engine, home=home)
        results = []
        for name in args.bench or report.BENCHES:
            try:
                results.append(report.measure(name, plan))
            except BenchError as fault:
                # Of all benches, those that can be measured here are; one that was asked for by name has to be.
                if args.bench:
                    raise
                note(f"{name} was left out: {fault}")
                continue
            if args.json:
                print_json(report.as_json(results[-1]))
            else:
                print(report.table(results[-1]), flush=True)
        if args.plot:
            plot.write(args.plot, results)
        if args.update:
            args.update.write_text(report.update(args.update.read_text("utf-8"), results), "utf-8")
    except (BenchError, OSError) as fault:
        raise UsageError(str(fault)) from fault
    return 0
