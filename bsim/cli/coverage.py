"""`bsim coverage`: which commands, parameters and status words a wallet's test run exercised."""

import argparse
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from bsim.cli.common import CheckFailed, Style, UsageError, add_json, note, print_json

if TYPE_CHECKING:
    from bsim.lab.coverage import CommandCoverage, Coverage

EXAMPLES = """\
examples:
  bsim coverage run.bsimtrace other.bsimtrace
  bsim coverage *.bsimtrace --applet wallet --fail-under 60
  bsim coverage run.bsimtrace --html coverage.html

Traces come from bsim record, or --record of bsim serve, apdu and wallet. Exit code 1 if less than
--fail-under.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("traces", metavar="TRACE", nargs="+", type=Path, help="FILE.bsimtrace")
    parser.add_argument(
        "--applet",
        metavar="NAME",
        action="append",
        default=[],
        help="of this applet only, or of what extends one: wallet, signing (repeatable)",
    )
    parser.add_argument("--fail-under", metavar="N", type=float, help="the least share, in percent")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page too")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, and print."""
    from bsim.lab.coverage import as_json, measure
    from bsim.lab.trace import read

    if args.fail_under is not None and not 0 <= args.fail_under <= 100:
        raise UsageError("--fail-under is a share in percent, 0 to 100")
    try:
        coverage = measure([read(path) for path in args.traces], args.applet)
    except ValueError as fault:
        raise UsageError(str(fault)) from fault
    if args.json:
        print_json(as_json(coverage))
    else:
        print("\n".join(table(coverage, Style())))
    if args.html is not None:
        try:
            args.html.write_text(page(coverage), encoding="utf-8")
        except OSError as fault:
            raise UsageError(f"{args.html}: {fault.strerror}") from fault
        note(f"{args.html} is written")
    if args.fail_under is not None and coverage.percent < args.fail_under:
        raise CheckFailed(f"{coverage.percent:.1f} % is less than {args.fail_under:g} %")
    return 0


def table(coverage: "Coverage", style: Style) -> Iterator[str]:
    """A line a command: how often, how much, and what is missing."""
    yield style.bold(f"{'command':<24}{'sent':>6}{'covered':>10}  not seen")
    for name, one in coverage.commands.items():
        share = f"{sum(one.items.values())}/{len(one.items)}"
        yield f"{name:<24}{one.count:>6}{share:>10}  {_missing(one)}".rstrip()
    yield ""
    for name, text in _facts(coverage):
        yield f"{name:<12}{text}"
    yield style.bold(f"{'covered':<12}{coverage.covered} of {coverage.declared}, {coverage.percent:.1f} %")


def page(coverage: "Coverage") -> str:
    """The same as one self-contained page."""
    rows = "\n".join(_row(name, one) for name, one in coverage.commands.items())
    facts = "".join(f"<li>{escape(name)}: {escape(text)}</li>" for name, text in _facts(coverage))
    return _PAGE.format(
        percent=coverage.percent, covered=coverage.covered, declared=coverage.declared, rows=rows, facts=facts
    )


def _missing(one: "CommandCoverage") -> str:
    return ", ".join(item for item, seen in one.items.items() if not seen and item != "sent") if one.count else "-"


def _facts(coverage: "Coverage") -> Iterator[tuple[str, str]]:
    from bsim.lab.coverage import SLOTS

    yield "slots", f"{_listed(coverage.slots)} of {SLOTS}"
    yield "segments", f"exports of {_listed(coverage.segments)}"
    yield "channels", _listed(coverage.channels)
    yield "links", _listed(coverage.links)
    if coverage.undeclared:
        yield "undeclared", _listed(coverage.undeclared)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in sorted(values, key=lambda value: (len(str(value)), str(value)))) or "none"


def _row(name: str, one: "CommandCoverage") -> str:
    items = " ".join(
        f'<span class="{"seen" if seen else "not"}">{escape(item)}</span>' for item, seen in one.items.items()
    )
    return f"<tr><td>{escape(name)}</td><td>{one.count}</td><td>{items}</td></tr>"


_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Protocol coverage</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ border-bottom: 1px solid #8884; padding: .3rem .5rem; text-align: left; vertical-align: top }}
span {{ border-radius: .2rem; padding: 0 .3rem; white-space: nowrap }}
.seen {{ background: #2a93; }}
.not {{ background: #d333; text-decoration: line-through }}
</style>
<h1>Protocol coverage: {percent:.1f} %</h1>
<p>{covered} of {declared} declared items were seen; what was not is struck through.</p>
<ul>{facts}</ul>
<table>
<tr><th>command</th><th>sent</th><th>items</th></tr>
{rows}
</table>
</html>
"""
