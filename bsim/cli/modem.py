"""`bsim serve --modem`: put a card into a modem that speaks AT."""

import argparse
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from bsim.cli.common import UsageError, ending, keyring
from bsim.cli.slots import announced, host_of, stopped_by_signals

if TYPE_CHECKING:
    from bsim.handset import User
    from bsim.links.modem_wires import Listener, PseudoTerminal

_LINKS = "--modem takes pty, pty:FILE or tcp:PORT"


def serve_modem(args: argparse.Namespace) -> int:
    """Serve AT commands until interrupted."""
    from bsim.cli.phone import opened
    from bsim.cli.wrappers import told
    from bsim.handset import Handset
    from bsim.lab.targets import profile_name
    from bsim.links.modem import ModemLink
    from bsim.links.modem_phone import Phone
    from bsim.links.modem_toolkit import Toolkit

    if args.vpcd is not None:
        raise UsageError("one card is in a reader or in a modem: --vpcd or --modem")
    kind, place = where(args.modem)
    args.link = "modem"
    profile = profile_name(args.on, keyring(args))
    toolkit: Toolkit | None = None

    def phone(user: "User | None") -> Handset:
        nonlocal toolkit
        toolkit = Toolkit(user)
        return Handset(toolkit, menu=True)

    with opened(args, phone=phone) as session:
        if session.inserted is None or toolkit is None:
            raise RuntimeError("a modem is a phone")
        link = ModemLink(Phone(session.inserted, toolkit, session.card), _wire(kind, place))
        ready: dict[str, object] = {"ready": True, "modem": link.place, "card": args.on, "profile": profile}
        ready |= {"pty": link.place} if kind == "pty" else {"port": int(link.place.rpartition(":")[2])}
        words = f"ready: {args.on} is in the modem at {link.place}; Ctrl-C ends"
        with told(), stopped_by_signals(link, ending(args)), announced([link], ready if args.json else words):
            link.run()
    return 0


def where(text: str) -> tuple[str, str]:
    """Read `--modem`: `pty` or `tcp`, and what is behind it; UsageError says what it may be."""
    if "/" in text and ":" not in text:
        return "pty", text
    kind, _, place = text.partition(":")
    kind = kind.lower()
    if kind == "pty":
        return kind, place
    if kind != "tcp":
        raise UsageError(f"{_LINKS}, not {text!r}")
    host, _, port = place.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise UsageError(f"{_LINKS}, as in tcp:7000, not {text!r}")
    try:
        local = ipaddress.ip_address(host_of(host)).is_loopback
    except ValueError:
        local = False
    if not local:
        raise UsageError(f"--modem listens on this machine only: tcp:{port}, without a host before it")
    return kind, f"{host_of(host)} {port}"


def _wire(kind: str, place: str) -> "Listener | PseudoTerminal":
    from bsim.links.modem_wires import Listener, PseudoTerminal

    try:
        if kind == "pty":
            return PseudoTerminal(Path(place) if place else None)
        host, _, port = place.partition(" ")
        return Listener.on(int(port), host)
    except OSError as fault:
        raise UsageError(f"--modem {kind}: {fault.strerror}") from fault
