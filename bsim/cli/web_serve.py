"""`bsim serve --http`: the API, the JSON-RPC signer and the console, around one card or the cards of a fleet."""

import argparse
import gc
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from bsim.cli.ble_serve import facts, on_air
from bsim.cli.common import UsageError, alike, keyring, print_json, reader_options
from bsim.cli.slots import host_of, place, stopped_by_signals
from bsim.cli.wrappers import Wrapping, told, wrapping

if TYPE_CHECKING:
    from bsim.handset import User
    from bsim.lab.targets import OpenCard
    from bsim.links.web import WebServer
    from bsim.links.web.hosted import Base, Hosted, Phone
    from bsim.ports import Card

# What a WebSocket's subprotocol can carry. RFC 9110 5.6.2.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~-]{8,256}")
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")
_WEB: Final = "web"
_RAM: Final = "ram"
_RAM_PROFILE: Final = "extended"


def add_http(parser: argparse.ArgumentParser) -> None:
    """`--http`, `--token` and `--cors`."""
    parser.add_argument(
        "--http",
        metavar="HOST:PORT",
        help="serve the HTTP API, the JSON-RPC signer and the console; port 0: any that is free. The default handset is"
        " web then: dialogues wait for the API, or for you at the console",
    )
    parser.add_argument("--token", metavar="TEXT", help="ask every client for this token; needed beyond loopback")
    parser.add_argument(
        "--cors", metavar="ORIGIN", action="append", default=[], help="let pages of this origin in (may be repeated)"
    )


def serve_http(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    args.link = "http"
    gc.disable()  # a start makes much and drops little: looking for garbage would take a tenth of it
    try:
        return _serve(_server(args), args)
    finally:
        gc.unfreeze()
        gc.enable()


def _serve(server: "WebServer", args: argparse.Namespace) -> int:
    try:
        with ExitStack() as stack:
            stack.enter_context(told())
            wraps = stack.enter_context(wrapping(args))
            first = _fill(server, args, wraps)
            if args.vpcd:
                stack.enter_context(_reader(args, first))
            radio: dict[str, object] = {}
            if args.ble:
                radio = facts(stack.enter_context(on_air(first.link, args, wraps.link_rules)), args)
            stack.enter_context(stopped_by_signals(server))
            server.run(lambda: _announce(server, args, first, radio))
    finally:
        server.close()
    return 0


def _server(args: argparse.Namespace) -> "WebServer":
    from bsim.links.web import WebServer

    host, port = _address(args.http)
    if args.token is not None and not _TOKEN.fullmatch(args.token):
        raise UsageError("--token has 8 to 256 letters, digits, dots, hyphens, underscores or tildes")
    for origin in args.cors:
        if not _ORIGIN.fullmatch(origin):
            raise UsageError(f"--cors takes an origin, as in http://localhost:5173, not {origin!r}")
    try:
        return WebServer(host, port, token=args.token, origins=args.cors)
    except ModuleNotFoundError as fault:
        raise UsageError(f"--http: {fault}") from fault
    except ValueError as fault:
        raise UsageError(f"--http {args.http}: {fault}; give --token, and it may be asked from elsewhere") from fault
    except OSError as fault:
        raise UsageError(f"--http {args.http}: {fault.strerror or fault}") from fault


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise UsageError(f"--http takes HOST:PORT, as in 127.0.0.1:0, not {text!r}")
    return host_of(host), int(port)


def _fill(server: "WebServer", args: argparse.Namespace, wraps: Wrapping) -> "Hosted":
    """Put in the cards that were asked for; answers the first."""
    from bsim.links.web.rack import scripted

    bare = args.cards is None and args.on.startswith(("reader:", "replay:"))
    handset = args.handset or ("none" if bare else _WEB)
    if handset == "ask":
        raise UsageError("--handset ask is for one terminal: with --http, web is you at the console")
    try:
        scripted(handset, args.bpin)
    except ValueError as fault:
        raise UsageError(str(fault)) from fault
    if args.cards is not None:
        return _fleet(server, args, handset)
    return _one(server, args, wraps, handset)


def _fleet(server: "WebServer", args: argparse.Namespace, handset: str) -> "Hosted":
    from bsim.cli.fleet_serve import fleet_of
    from bsim.links.web.rack import scripted

    if args.record or args.fault or args.faults or args.vpcd:
        raise UsageError("--record, --fault and --vpcd are for one card: leave them out with --http and --cards")
    fleet = fleet_of(args, phone=None)
    cards = [
        server.rack.add(
            partial(_inserted, card),
            name=f"card {number} of the fleet",
            target="fleet",
            profile=fleet.plan.profile,
            handset=handset,
            script=scripted(handset, args.bpin),
        )
        for number, card in enumerate(fleet)
    ]
    return cards[0]


def _inserted(card: "Card", phone: "Phone") -> "Card":
    return phone(card)


def _one(server: "WebServer", args: argparse.Namespace, wraps: Wrapping, handset: str) -> "Hosted":
    from bsim.links.web.hosted import Misbehaviour

    opened: list[OpenCard] = []
    return server.rack.add(
        _memory_card(args) if args.on == _RAM else _target_card(args, opened),
        name=args.on,
        target=args.on,
        profile=_profile(args),
        handset=handset,
        script=_script(args, handset),
        faults=Misbehaviour(rules=wraps.rules, seed=wraps.seed),
        watch=wraps.user,
        wrap=wraps.recorded,
        close=lambda: _close(opened),
        quick=args.on == _RAM and not args.like,
    )


def _close(opened: "list[OpenCard]") -> None:
    for card in opened:
        card.close()


def _memory_card(args: argparse.Namespace) -> "Base":
    """A new card, which needs nothing of what opens files and readers."""
    from bsim.lab.emulated import EmulatedCard
    from bsim.profiles import personalisation, personalise
    from bsim.store import RamStore

    def make(phone: "Phone") -> "Card":
        store = RamStore()
        personalise(store, personalisation(bpin=args.bpin))
        return EmulatedCard(store, lambda card: phone(alike(args, card)))

    return make


def _target_card(args: argparse.Namespace, opened: "list[OpenCard]") -> "Base":
    """A card file's card, or one of a reader or a recording, which goes into `opened` for somebody to close."""
    from bsim.lab.targets import comes_bare, emulated, open_target

    def make(phone: "Phone") -> "Card":
        if comes_bare(args.on):
            opened.append(open_target(args.on, keyring(args), reader_options(args)))
            return phone(alike(args, opened[0]))
        return emulated(args.on, lambda card: phone(alike(args, card)), keyring(args))

    return make


def _profile(args: argparse.Namespace) -> str | None:
    if args.on == _RAM:
        return _RAM_PROFILE
    from bsim.lab.targets import profile_name

    return profile_name(args.on, keyring(args))


def _script(args: argparse.Namespace, handset: str) -> "User | None":
    from bsim.links.web.rack import scripted

    script = scripted(handset, args.bpin)
    if script is None or not args.on.startswith("reader:"):
        return script
    from bsim.cli.phone import WatchedUser

    return WatchedUser(script, once=True)  # a wrong guess at a real card's BPIN costs a try


@contextmanager
def _reader(args: argparse.Namespace, card: "Hosted") -> Iterator[None]:
    """The same card in a slot of vpcd."""
    from bsim.card import T0
    from bsim.cli.serve import address_of
    from bsim.links.vpcd import VpcdLink

    with VpcdLink(T0(card.link), *address_of(args.vpcd)):
        yield


def _announce(server: "WebServer", args: argparse.Namespace, card: "Hosted", radio: Mapping[str, object]) -> None:
    told: dict[str, object] = {
        "ready": True,
        "http": server.url,
        "card": card.number,
        "cards": len(server.rack),
        "atr": card.atr.hex().upper(),
        "profile": card.traits.profile,
        "handset": card.traits.handset,
        **radio,
    }
    if args.vpcd:
        told["vpcd"] = args.vpcd[0]
    gc.freeze()  # what is there now stays: it is never looked through
    gc.enable()
    if args.json:
        print_json(told)
        return
    where = place(server.host, server.port)
    print(f"ready: the console is at {server.url}/, the API at {server.url}/v1; Ctrl-C ends", flush=True)
    if args.token:
        print(f"whoever reaches {where} needs the token; the console takes it as {server.url}/#token=...", flush=True)
