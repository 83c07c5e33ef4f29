"""`bsim apdu`: send command APDUs to any card, and see each exchange by its names."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bsim.cli.common import Style, UsageError, add_handset, add_json, add_like, add_target, note, parse_hex, print_json
from bsim.cli.wrappers import add_wrappers

if TYPE_CHECKING:
    from bsim.ports import Card

EXAMPLES = """\
examples:
  bsim apdu 00A4040010A000000533C000FF860000000000054D "00CA0000 02"
  bsim apdu --on card.bsim < commands.txt    a line each; # is a comment, reset a power cycle
  bsim apdu --on reader:0 --raw 80F2000000
  bsim apdu --record run.bsimtrace --fault "on GET_VERSION answer 6985" 00CA000002

PINs and passwords are masked in what is printed, unless --show-secrets. Exit code 1 if the card
refused a command.
"""
_RESET = "reset"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_target(parser, default="ram")
    parser.add_argument("apdu", metavar="HEX", nargs="*", help="one APDU an argument, spaces allowed (default: stdin)")
    add_handset(parser)
    parser.add_argument(
        "--raw",
        action="store_true",
        help="print hex only, a line each; with a reader, 61xx and 6Cxx are shown and not served",
    )
    parser.add_argument("--show-secrets", action="store_true", help="print PINs and passwords too")
    add_json(parser)
    add_like(parser)
    add_wrappers(parser)


def run(args: argparse.Namespace) -> int:
    """Send them one by one."""
    return send(args)


def send(args: argparse.Namespace) -> int:
    """Send the APDUs of the arguments, or of stdin, to the card; 1 if it refused one."""
    from bsim.cli.phone import opened

    given = [_parse(word, f"argument {number}") for number, word in enumerate(args.apdu, 1)]
    commands: Iterable[bytes | None] = given if given else _lines()
    with opened(args) as session:
        return _converse(session.card, commands, args)


def _converse(card: "Card", commands: Iterable[bytes | None], args: argparse.Namespace) -> int:
    from bsim.cli.show import exchange
    from bsim.spec import spec
    from bsim.spec.decode import Decoder, exchange_json

    decoder, style, refused = Decoder(spec(), show_secrets=args.show_secrets), Style(), False
    for raw in commands:
        if raw is None:
            _reset(card, args)
            decoder.reset()
            continue
        command = decoder.command(raw)
        answer = decoder.response(command, card.transmit(raw))
        refused = refused or not answer.ok
        if args.json:
            print_json(exchange_json(command, answer))
        elif args.raw:
            print(f"> {command.shown.replace(' ', '')}\n< {answer.shown.replace(' ', '')}", flush=True)
        else:
            print("\n".join(exchange(command, answer, style)), flush=True)
    return 1 if refused else 0


def _reset(card: "Card", args: argparse.Namespace) -> None:
    atr = card.reset().hex().upper()
    if args.json:
        print_json({"reset": True, "atr": atr})
    else:
        print(f"< {atr}" if args.raw else f"RESET\n  < {atr}", flush=True)


def _lines() -> Iterator[bytes | None]:
    if sys.stdin.isatty():
        note("one APDU a line; Ctrl-D ends")
    for number, line in enumerate(sys.stdin, 1):
        text = line.partition("#")[0].strip()
        if text:
            yield _parse(text, f"line {number}")


def _parse(text: str, what: str) -> bytes | None:
    """Read an APDU, or `reset`, which is None."""
    if text.strip().lower() == _RESET:
        return None
    raw = parse_hex(text, what)
    if not raw:
        raise UsageError(f"{what} is empty")
    return raw
