"""`bsim assets list | show`: the gallery as a table, and one asset in full."""

import argparse
from collections.abc import Collection, Iterator, Sequence
from typing import Final
from unicodedata import east_asian_width

from bsim.chains import addresses
from bsim.chains.asset import Asset, Policy, State
from bsim.chains.evm.networks import NETWORKS
from bsim.cli.common import Style, UsageError, print_json, slot_number
from bsim.cli.phone import opened
from bsim.cli.show import shortened
from bsim.client.asset_json import FAMILIES, STANDARDS, asset_json, contract_of
from bsim.client.assets import ALL, Wanted

_HEADS: Final = ("no", "slot", "chain", "standard", "token", "amount", "name", "issuer", "policy", "")
_CONFLUX: Final = {1029: "Conflux", 1: "Conflux Testnet"}
_LIMITS: Final = {Policy.GIFT_ONLY: "gift only", Policy.NOT_FOR_RESALE: "no resale"}
_NAME: Final = 28
"""Columns a name takes at most; `bsim assets show` has it whole."""


def list_assets(args: argparse.Namespace) -> int:
    """List the assets the options mean."""
    wanted = [
        *([Wanted.chain(*chain(args.chain))] if args.chain else []),
        *([Wanted.contract(_contract(args))] if args.contract else []),
        *([Wanted.slot(slot_number(args.slot))] if args.slot is not None else []),
    ]
    with opened(args) as session:
        found = session.wallet().assets(wanted[-1] if wanted else ALL)
    # The card filters by one thing; whatever else is asked for is looked at here.
    found = [asset for asset in found if all(one.means(asset) for one in wanted)]
    if args.json:
        print_json([asset_json(asset) for asset in found])
    elif found:
        print("\n".join(table(found)))
    else:
        print("no such assets" if wanted else "no assets yet; bsim assets import or add lists some")
    return 0


def show(args: argparse.Namespace) -> int:
    """Print one asset, every field of it."""
    with opened(args) as session:
        fields = asset_json(session.wallet().asset(number_of(args.number)))
    if args.json:
        print_json(fields)
    else:
        for name, value in fields.items():
            text = ", ".join(value) if isinstance(value, list) else str(value)
            print(f"{name:<13}{text}".rstrip())
    return 0


def table(found: Sequence[Asset], *, without: Collection[str] = ()) -> Iterator[str]:
    """Assets as columns, without those of some heads; a character of Chinese takes two places."""
    style = Style()
    kept = [column for column, head in enumerate(_HEADS) if head not in without]
    rows = [[row[column] for column in kept] for row in (_HEADS, *map(_row, found))]
    widths = [max(width(row[column]) for row in rows) for column in range(len(kept))]
    for number, row in enumerate(rows):
        cells = (cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True))
        line = "  ".join(cells).rstrip()
        yield line if number else style.bold(line)


def chain_name(family: int, chain_id: bytes) -> str:
    """A chain by its name where it has one here, else by its family and id."""
    number = addresses.write_chain_id(family, chain_id)
    if family == addresses.EVM and number in NETWORKS:
        return NETWORKS[int(number)].name
    if family == addresses.CONFLUX and number in _CONFLUX:
        return _CONFLUX[int(number)]
    return f"{FAMILIES.name(family)}:{number}"


def chain(text: str) -> tuple[int, bytes]:
    """Read a chain: FAMILY:ID, the id of an EVM chain, or a name. UsageError says what there is."""
    name, colon, number = text.partition(":")
    named = {one.name.lower().replace(" ", "-"): (addresses.EVM, key) for key, one in NETWORKS.items()}
    named |= {one.lower().replace(" ", "-"): (addresses.CONFLUX, key) for key, one in _CONFLUX.items()}
    try:
        if colon:
            family = FAMILIES.parse(name.lower())
            return family, addresses.read_chain_id(family, number)
        family, known = named.get(text.lower().replace(" ", "-"), (addresses.EVM, 0))
        return family, addresses.read_chain_id(family, known or text)
    except ValueError as fault:
        raise UsageError(
            f"--chain {text}: FAMILY:ID with one of {', '.join(FAMILIES)}, the id of an EVM chain, or a name such as"
            " ethereum, conflux-espace or conflux"
        ) from fault


def number_of(number: int) -> int:
    """An asset's number, as the card counts; UsageError for one that no card gives."""
    if not 0 < number < 1 << 32:
        raise UsageError(f"{number} is no number of an asset: they count from 1, as bsim assets list shows them")
    return number


def width(text: str) -> int:
    """Columns of a terminal that a text takes. Unicode Standard Annex 11."""
    return sum(2 if east_asian_width(character) in {"W", "F"} else 1 for character in text)


def clipped(text: str, most: int) -> str:
    """As much of a text as fits so many columns."""
    if width(text) <= most:
        return text
    while width(text) >= most:
        text = text[:-1]
    return text + "…"


def _row(asset: Asset) -> tuple[str, ...]:
    return (
        str(asset.number),
        str(asset.slot),
        chain_name(asset.family, asset.chain_id),
        STANDARDS.name(asset.standard),
        shortened(str(int.from_bytes(asset.token_id, "big")), 8, 4),
        shortened(str(asset.amount), 8, 4),
        clipped(asset.name or shortened(contract_of(asset), 10, 6), _NAME),
        clipped(asset.issuer, 16),
        _told(asset.policy),
        "leaving" if asset.state is State.LEAVING else "",
    )


def _told(policy: Policy) -> str:
    """What is not as usual: most assets may be handed on in any way."""
    if Policy.TRANSFERABLE not in policy:
        return "bound"
    return ", ".join(words for flag, words in _LIMITS.items() if flag in policy)


def _contract(args: argparse.Namespace) -> bytes:
    """A contract of the chain that is asked for; without one, of whatever chain writes it so."""
    try:
        if args.chain:
            return addresses.read(*chain(args.chain), args.contract)
        if args.contract.startswith("0x") or ":" in args.contract:
            return addresses.parse(args.contract).account
    except ValueError as fault:
        raise UsageError(f"--contract: {fault}") from fault
    return str(args.contract).encode()
