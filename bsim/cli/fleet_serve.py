"""`bsim serve --cards`: the cards of a fleet in the slots of vpcd readers, two a reader."""

import argparse
import re
import secrets
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bsim.cli.common import UsageError
from bsim.cli.fleet import seed_of
from bsim.cli.slots import host_of, place

if TYPE_CHECKING:
    from bsim.fleet import Fleet, Phone
    from bsim.links.vpcd import VpcdLink

Address = tuple[str, int]
_SLOTS: Final = 2  # of a vpcd reader: the second listens on the next port
_ADDRESS: Final = re.compile(r"(?:(?P<host>.*):)?(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?", re.ASCII)


class Slots:
    """Links in many slots, which run and end together."""

    def __init__(self, links: Sequence["VpcdLink"]) -> None:
        self.links: Final = links

    def run(self) -> None:
        """Serve all slots until `stop`."""
        for link in self.links:
            link.start()
        for link in self.links:
            link.join()

    def stop(self) -> None:
        """Take all cards out; may be called by any thread."""
        for link in self.links:
            link.stop()


def slots_of(args: argparse.Namespace) -> tuple[Slots, str | dict[str, object]]:
    """Put cards 0 to N - 1 of a fleet into links; answers them and the line that says they are ready."""
    from bsim.card import T0
    from bsim.links.vpcd import VpcdLink

    fleet = fleet_of(args, phone=_phone(args))
    addresses = ports(args.vpcd, len(fleet))
    atr = fleet[0].reset().hex().upper()
    # A link holds its card, so none of them loses power while it is in its slot.
    links = [VpcdLink(T0(card), *address) for card, address in zip(fleet, addresses, strict=True)]
    places = [place(*address) for address in addresses]
    if args.json:
        return Slots(links), {"ready": True, "vpcd": places, "atr": atr, "profile": fleet.plan.profile}
    where = places[0] if len(places) == 1 else f"{places[0]} to {places[-1]}"
    return Slots(links), f"ready: {len(fleet)} cards are in the readers behind vpcd at {where}; Ctrl-C ends"


def ports(given: Sequence[str] | None, cards: int) -> list[Address]:
    """Answer a slot for each card: HOST:PORT is a reader (its port and the next), HOST:PORT-PORT many of them."""
    from bsim.links.vpcd import DEFAULT_PORT

    slots = [slot for text in given or [str(DEFAULT_PORT)] for slot in _slots(text)]
    if len(set(slots)) < len(slots):
        raise UsageError("--vpcd names a slot twice; HOST:PORT is two slots, PORT and the next")
    if len(slots) < cards:
        raise UsageError(f"{cards} cards want as many slots, and --vpcd names {len(slots)}: repeat it, or name a range")
    return slots[:cards]


def _slots(text: str) -> list[Address]:
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise UsageError(f"--vpcd takes HOST:PORT or HOST:PORT-PORT, not {text!r}")
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else first + _SLOTS - 1
    if not 0 < first <= last < 65_536:
        raise UsageError(f"--vpcd: no ports {first} to {last}")
    return [(host_of(match["host"]), port) for port in range(first, last + 1)]


def _phone(args: argparse.Namespace) -> "Phone | None":
    from bsim.cli.phone import make_user
    from bsim.handset import in_handset

    handset = args.handset or "right"
    make_user(handset, args.bpin)  # judges both
    return None if handset == "none" else partial(in_handset, handset=handset)


def fleet_of(args: argparse.Namespace, *, phone: "Phone | None") -> "Fleet":
    """Make the fleet that `--cards` and `--fleet-seed` ask for; UsageError if it cannot be."""
    from bsim.fleet import Fleet

    if args.on != "ram":
        raise UsageError("--cards makes its own cards: leave --on out")
    seed = seed_of(args.fleet_seed) or secrets.token_bytes(32)
    try:
        return Fleet(seed, args.cards, bpin=args.bpin, phone=phone)
    except ValueError as fault:
        raise UsageError(str(fault)) from fault
