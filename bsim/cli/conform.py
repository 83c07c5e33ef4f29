"""`bsim conform`: whether a card does what the declaration says, command by command."""

import argparse
from pathlib import Path

from bsim.cli.common import keyring, note, print_json, reader_options
from bsim.cli.examine import SAFETY, add_safety, permit, scenarios, writable, write

EXAMPLES = f"""\
examples:
  bsim conform --on ram
  bsim conform --on reader:0 --dry-run                what would be sent to a real card
  bsim conform --on reader:0 --html report.html --junit report.xml
  bsim conform --on reader:0 --allow-writes --tries-left 10 --bpin 123456
  bsim conform --on card.bsim --scenario transcripts/wallet_app.txt
  bsim conform --on card.bsim --only --scenario transcripts/wallet_app.txt      nothing else

{SAFETY}
Exit codes: 0 conforms, 1 differs, 2 no such card, or it is gone.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--on", metavar="TARGET", default="ram", help="the card (default: ram, the test card)")
    parser.add_argument("--test-card", action="store_true", help="it holds the test mnemonic: judge every byte")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit XML")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write one HTML page with everything in it")
    add_safety(parser)


def run(args: argparse.Namespace) -> int:
    """Examine the card, and report."""
    from bsim import __version__
    from bsim.lab import conform, report, report_html
    from bsim.lab.subject import subject

    writable(args.junit, args.html)
    given = scenarios(args)
    examined = subject(args.on, permit(args), keyring(args), reader_options(args), test=args.test_card)
    try:
        found = conform.cases(examined, examined.look(), given, only=args.only)
        for line in conform.plan(found, examined):
            note(line)
        if args.dry_run:
            return 0
        results = list(conform.examine(found, examined, args.bpin))
    finally:
        examined.close()
    if args.json:
        print_json(report.as_json(args.on, results))
    else:
        print("\n".join(report.table(results)))
    write(args.junit, report.junit(args.on, results))
    write(args.html, report_html.page(args.on, results, __version__))
    return 0 if conform.conforms(results) else 1
