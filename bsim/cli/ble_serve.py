"""`bsim serve --ble`: put a card on the air, for apps that talk to it over Bluetooth LE."""

import argparse
from typing import TYPE_CHECKING

from bsim.cli.common import UsageError, keyring, note
from bsim.cli.slots import announced, stopped_by_signals
from bsim.cli.wrappers import told

if TYPE_CHECKING:
    from bsim.cli.phone import Session
    from bsim.links.ble_link import BleLink

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

    if args.vpcd or args.http is not None or args.cards is not None:
        raise UsageError("--ble is for one card that is nowhere else: leave out --vpcd, --http and --cards")
    profile = profile_name(args.on, keyring(args))
    args.link = "ble"
    with opened(args) as session:
        _serve(session, args, profile)
    return 0


def _serve(session: "Session", args: argparse.Namespace, profile: str | None) -> None:
    try:
        from bsim.links.ble_link import BleError
    except ModuleNotFoundError as fault:
        raise UsageError(f"Bluetooth needs bumble ({fault}): {INSTALL}") from fault
    try:
        link = _link(session, args)
    except (BleError, ValueError) as fault:
        raise UsageError(f"--ble: {fault}") from fault
    where = {"ble": args.ble, "name": link.name, "address": str(link.address).removesuffix("/P")}
    if link.phone:
        where["phone"] = link.phone
    ready: dict[str, object] = {"ready": True, **where, "card": args.on, "profile": profile}
    phone = f", a phone's stack gets its controller at {link.phone}" if link.phone else ""
    words = f"ready: {args.on} is on the air as {link.name} ({where['address']}){phone}; Ctrl-C ends"
    with told(), stopped_by_signals(link), announced([link], ready if args.json else words):
        try:
            link.run()
        except BleError as fault:
            raise UsageError(f"--ble: {fault}") from fault


def _link(session: "Session", args: argparse.Namespace) -> "BleLink":
    from bsim.lab.link_faults import LinkFaults
    from bsim.links.ble_link import DEFAULT_NAME, BleLink

    faults = LinkFaults(session.link_rules, seed=args.fault_seed)
    if session.link_rules and args.fault_seed is None:
        note(f"--fault-seed {faults.seed} makes the link's faults the same again")
    return BleLink(session.card, args.ble, name=args.ble_name or DEFAULT_NAME, faults=faults)
