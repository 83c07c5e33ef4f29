"""`bsim serve`: put a card where programs find it: a PC/SC reader (vpcd), a web server, the air (BLE), a modem (AT)."""

import argparse
from typing import TYPE_CHECKING

from bsim.cli.ble_serve import add_ble, serve_ble
from bsim.cli.common import UsageError, add_handset, add_json, add_like, add_target, ending, keyring
from bsim.cli.slots import announced, host_of, place, stopped_by_signals
from bsim.cli.web_serve import add_http, serve_http
from bsim.cli.wrappers import add_wrappers, told

if TYPE_CHECKING:
    from bsim.ports import Card

EXAMPLES = """\
examples:
  bsim serve                                  a new card in the first slot; the user types 123456
  bsim serve --on card.bsim --handset ask     a card file; you are asked for the BPIN here
  bsim serve --on card.bsim --handset none    no phone: what speaks to the reader serves 91xx itself
  bsim serve --vpcd 127.0.0.1:35964 --json    the second slot; a JSON line when ready
  bsim serve --like uicc                      about as slow as a real card; or FILE, a learned one
  bsim serve --record run.bsimtrace --fault "on SIGN nth 3 answer 6985"   recorded, and misbehaving
  bsim serve --cards 4 --fleet-seed "load test 7" --vpcd 35963 --vpcd 35973   two readers
  bsim serve --http 127.0.0.1:8080            API and console; you are the user, on the page
  bsim serve --http 127.0.0.1:0 --handset right --json   any free port; a script types 123456
  bsim serve --ble usb:0                      over Bluetooth LE, by a USB dongle (docs/ble.md)
  bsim serve --ble virtual:127.0.0.1:0        over a virtual link, for tests of a phone's side
  bsim serve --ble usb:0 --http 127.0.0.1:8080   the same, and you type the BPIN on the page
  bsim serve --modem pty                      in a modem: AT on a pseudo-terminal
  bsim serve --modem tcp:7000 --handset ask   AT over TCP; you answer what no AT client takes

It waits for pcscd where there is none, and goes on through its restarts. Ctrl-C ends it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_target(parser, default="ram")
    parser.add_argument(
        "--vpcd", metavar="HOST:PORT", action="append", help="where vpcd listens (default: 127.0.0.1:35963)"
    )
    parser.add_argument(
        "--cards",
        metavar="N",
        type=int,
        help="serve N cards of a fleet, two a reader; --vpcd may be repeated, or be a range HOST:PORT-PORT",
    )
    parser.add_argument(
        "--fleet-seed",
        metavar="TEXT|0xHEX",
        help="what those cards are made from (default: BSIM_FLEET_SEED, or a random one)",
    )
    add_http(parser)
    add_ble(parser)
    parser.add_argument(
        "--modem",
        metavar="PTY|tcp:PORT",
        help="put the card into a modem (docs/modem.md): AT commands on a pseudo-terminal (pty, or pty:FILE for a name"
        " of its own), or on a TCP port of this machine (tcp:0 takes a free one)",
    )
    add_handset(parser)
    add_json(parser)
    add_like(parser)
    add_wrappers(parser, link="vpcd")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    if args.modem is not None and (args.http is not None or args.ble is not None):
        raise UsageError("one card is in a modem or elsewhere: --modem, or --http and --ble")
    if args.http is not None:
        return serve_http(args)
    from bsim.cli.phone import opened
    from bsim.lab.targets import profile_name

    if args.token or args.cors:
        raise UsageError("--token and --cors are for --http")
    if args.ble is not None:
        return serve_ble(args)
    if args.cards is not None:
        return _serve_fleet(args)
    if args.modem is not None:
        from bsim.cli.modem import serve_modem

        return serve_modem(args)
    profile = profile_name(args.on, keyring(args))
    address_of(args.vpcd)  # what is wrong with it is said before a card is opened
    with opened(args) as session:
        serve_card(session.card, args, profile=profile)
    return 0


def serve_card(card: "Card", args: argparse.Namespace, **facts: object) -> None:
    """Keep a card in its slot until interrupted; the ready line has `facts` too, if it is JSON."""
    from bsim.card import T0
    from bsim.links.vpcd import VpcdLink

    host, port = address_of(args.vpcd)
    atr = card.reset().hex().upper()
    link = VpcdLink(T0(card), host, port)
    where = place(host, port)
    ready: dict[str, object] = {"ready": True, "vpcd": where, "card": args.on, "atr": atr, **facts}
    words = f"ready: {args.on} is in the reader behind vpcd at {where}; Ctrl-C ends"
    with told(), stopped_by_signals(link, ending(args)), announced([link], ready if args.json else words):
        link.run()


def _serve_fleet(args: argparse.Namespace) -> int:
    from bsim.cli.fleet_serve import slots_of

    if args.modem is not None:
        raise UsageError("--modem is for one card: leave it out with --cards")
    if args.record or args.fault or args.faults:
        raise UsageError("--record and --fault are for one card: leave them out with --cards")
    slots, ready = slots_of(args)
    with told(), stopped_by_signals(slots), announced(slots.links, ready):
        slots.run()
    return 0


def address_of(given: list[str] | None) -> tuple[str, int]:
    """Read `--vpcd HOST:PORT`, once at most; UsageError says what it may be."""
    from bsim.links.vpcd import DEFAULT_PORT

    if given is None:
        return host_of(None), DEFAULT_PORT
    if len(given) > 1:
        raise UsageError("one card goes into one slot: --vpcd may be repeated with --cards only")
    text = given[0]
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise UsageError(f"--vpcd takes HOST:PORT, as in 127.0.0.1:{DEFAULT_PORT}, not {text!r}")
    return host_of(host), int(port)
