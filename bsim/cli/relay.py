"""`bsim relay`: stand between an app and a card, and show, record, edit or add to what they say."""

import argparse
from typing import TYPE_CHECKING

from bsim.cli.common import Style, UsageError, add_handset, add_json, add_keys, print_json
from bsim.cli.wrappers import add_wrappers

if TYPE_CHECKING:
    from bsim.ports import CardLost
    from bsim.spec.decode import Answer, Decoded

EXAMPLES = """\
examples:
  bsim relay --from vpcd --to reader:0               a real card behind the virtual reader
  bsim relay --from vpcd:127.0.0.1:35964 --to reader:ACR --record run.bsimtrace
  bsim relay --from vpcd --to reader:0 --rules edits.txt
  bsim relay --from vpcd --to reader:0 --fault "on GET_VERSION set response byte 2 52"

Rules are those of docs/faults.md: they answer, delay, edit and inject. Ctrl-C ends it.
"""
_FROM = "vpcd"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--from", dest="source", metavar="vpcd[:HOST:PORT]", required=True, help="where the app is")
    parser.add_argument("--to", dest="on", metavar="TARGET", required=True, help="the card: reader:NAME, or any target")
    parser.add_argument("--quiet", action="store_true", help="show nothing of what is said")
    add_keys(parser)
    add_handset(parser)
    add_wrappers(parser, link="vpcd", rules="--rules")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Relay until interrupted."""
    from bsim.cli.phone import opened
    from bsim.cli.serve import address_of, serve_card
    from bsim.lab.relay import Watched

    link, _, address = args.source.partition(":")
    if link != _FROM:
        raise UsageError(f"--from takes vpcd or vpcd:HOST:PORT, not {args.source!r}")
    args.vpcd = [address] if address else None
    address_of(args.vpcd)
    with opened(args) as session:
        card = session.card if args.quiet else Watched(session.card, _Printer(args.json))
        serve_card(card, args)
    return 0


class _Printer:
    """Prints what goes by, secrets masked."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._style = Style()

    def reset(self, atr: bytes) -> None:
        if self._json:
            print_json({"reset": True, "atr": atr.hex().upper()})
        else:
            print(f"RESET\n  < {atr.hex().upper()}", flush=True)

    def exchange(self, command: "Decoded", answer: "Answer") -> None:
        from bsim.cli.show import exchange
        from bsim.spec.decode import exchange_json

        if self._json:
            print_json(exchange_json(command, answer))
        else:
            print("\n".join(exchange(command, answer, self._style)), flush=True)

    def lost(self, command: "Decoded", loss: "CardLost") -> None:
        if self._json:
            print_json({"command": command.shown.replace(" ", ""), "name": command.name, "lost": str(loss)})
        else:
            print(f"{command.name or '?'}\n  > {command.shown}\n  {self._style.bad(str(loss))}", flush=True)
