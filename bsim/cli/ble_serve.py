"""`bsim serve --ble`: put a card on the air, for apps that talk to it over Bluetooth LE."""

import argparse
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bsim.cli.common import UsageError, ending, keyring, note
from bsim.cli.slots import announced, stopped_by_signals
from bsim.cli.wrappers import told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bsim.lab.fault_rules import Rule
    from bsim.links.ble_link import BleLink
    from bsim.ports import Card

INSTALL = "pip install 'bsim[ble]'"


def add_ble(parser: argparse.ArgumentParser) -> None:
    """`--ble` and `--ble-name`."""
    parser.add_argument(
        "--ble",
        metavar="TRANSPORT",
        help="serve over Bluetooth LE: usb:0, android-netsim, tcp-client:HOST:PORT or another transport of bumble's, or"
        " virtual:HOST:PORT, a radio link in this process whose other end a phone's stack gets there",
    )
    parser.add_argument("--ble-name", metavar="NAME", help="the name it advertises (default: CT-BSIM)")


def serve_ble(args: argparse.Namespace) -> int:
    """Keep a card on the air until interrupted."""
    from bsim.cli.phone import opened
    from bsim.lab.targets import profile_name

    if args.vpcd or args.cards is not None:
        raise UsageError("--ble is for one card: leave out --vpcd and --cards; --http goes with it")
    profile = profile_name(args.on, keyring(args))
    args.link = "ble"
    with opened(args) as session, _told_of_trouble():
        link = _link(session.card, args, session.link_rules)
        ready: dict[str, object] = {"ready": True, **facts(link, args), "card": args.on, "profile": profile}
        words = f"ready: {args.on} is {where(link)}; Ctrl-C ends"
        with told(), stopped_by_signals(link, ending(args)), announced([link], ready if args.json else words):
            link.run()
    return 0


@contextmanager
def on_air(card: "Card", args: argparse.Namespace, rules: "Iterable[Rule]") -> "Iterator[BleLink]":
    """Keep a card on the air beside another link."""
    with _told_of_trouble():
        link = _link(card, args, tuple(rules))
        with link:
            yield link


def facts(link: "BleLink", args: argparse.Namespace) -> dict[str, object]:
    """What a ready line tells of a link."""
    told: dict[str, object] = {"ble": args.ble, "name": link.name, "address": str(link.address).removesuffix("/P")}
    return told | ({"phone": link.phone} if link.phone else {})


def where(link: "BleLink") -> str:
    """Where the card is, for people."""
    phone = f", a phone's stack gets its controller at {link.phone}" if link.phone else ""
    return f"on the air as {link.name}{phone}"


@contextmanager
def _told_of_trouble() -> "Iterator[None]":
    """UsageError for what is wrong with a transport, a name, or this installation."""
    try:
        from bsim.links.ble_link import BleError
    except ModuleNotFoundError as fault:
        raise UsageError(f"Bluetooth needs bumble ({fault}): {INSTALL}") from fault
    try:
        yield
    except BleError as fault:
        raise UsageError(f"--ble: {fault}") from fault


def _link(card: "Card", args: argparse.Namespace, rules: "tuple[Rule, ...]") -> "BleLink":
    from bsim.lab.link_faults import LinkFaults
    from bsim.links.ble_link import DEFAULT_NAME, BleLink

    faults = LinkFaults(rules, seed=args.fault_seed)
    if rules and args.fault_seed is None:
        note(f"--fault-seed {faults.seed} makes the link's faults the same again")
    try:
        return BleLink(card, args.ble, name=args.ble_name or DEFAULT_NAME, faults=faults)
    except ValueError as fault:
        raise UsageError(f"--ble-name: {fault}") from fault
