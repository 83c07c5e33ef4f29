"""`bsim record`: everything an app says to a card, in a file without secrets."""

import argparse
from pathlib import Path

from bsim.cli.common import add_handset, add_json, add_target, note
from bsim.cli.wrappers import add_faults

EXAMPLES = """\
examples:
  bsim record run.bsimtrace --on reader:0 < commands.txt    APDUs as bsim apdu takes them
  bsim record run.bsimtrace --on reader:0 --vpcd 35963      any app's, through the virtual reader
  bsim record run.bsimtrace --on card.bsim --vpcd 35963 --handset ask

PINs, passwords, session keys and what the phone's user types never reach the disk. A trace that is
there is gone on with.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("record", metavar="FILE", type=Path, help="the trace, FILE.bsimtrace")
    add_target(parser)
    parser.add_argument(
        "--vpcd", metavar="HOST:PORT", action="append", help="put the card into the reader behind vpcd, for any app"
    )
    parser.add_argument("--redact-ciphertext", action="store_true", help="leave exported seeds out of the trace too")
    add_faults(parser)
    add_handset(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Record until stdin or the user ends it."""
    from bsim.cli.apdu import send
    from bsim.cli.phone import opened
    from bsim.cli.serve import address_of, serve_card

    if args.vpcd is None:
        args.link, args.apdu, args.raw, args.show_secrets = "in-process", [], False, False
        return send(args)
    args.link = "vpcd"
    address_of(args.vpcd)
    with opened(args) as session:
        serve_card(session.card, args, record=str(args.record))
    note(f"{args.record} is written; bsim trace show {args.record}")
    return 0
