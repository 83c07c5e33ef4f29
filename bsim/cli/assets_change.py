"""`bsim assets add | remove | import | contacts`: what changes the lists; the card's user types the BPIN for it."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from bsim.chains.addresses import ADDRESSED, CONFLUX
from bsim.chains.asset import Asset
from bsim.cli.assets_json import asset_of, read_assets
from bsim.cli.assets_list import chain, number_of, table, width
from bsim.cli.common import CheckFailed, UsageError, note, print_json
from bsim.cli.phone import opened, require_bpin
from bsim.cli.progress import Progress
from bsim.client import CardError, Wallet
from bsim.client.asset_json import asset_json
from bsim.sw import SW

T = TypeVar("T")


def add(args: argparse.Namespace) -> int:
    """List one asset."""
    asset = _asset(args)
    with opened(args) as session:
        wallet = session.wallet()
        require_bpin(session, wallet)
        asset = asset.numbered(wallet.add_asset(asset))
    if args.json:
        print_json(asset_json(asset))
    else:
        print("\n".join(table([asset])))
    return 0


def remove(args: argparse.Namespace) -> int:
    """Take assets off the list: all, or none where one is not there."""
    numbers = list(dict.fromkeys(map(number_of, args.numbers)))
    with opened(args) as session:
        wallet = session.wallet()
        if absent := [str(number) for number in numbers if not _is_listed(wallet, number)]:
            raise CheckFailed(f"no asset of this number: {', '.join(absent)}; nothing was removed")
        require_bpin(session, wallet)
        _each(numbers, wallet.remove_asset, "removed")
    if args.json:
        print_json({"removed": numbers})
    else:
        print(f"removed {', '.join(map(str, numbers))}")
    return 0


def import_file(args: argparse.Namespace) -> int:
    """List what a file has and the card has not: done again, or after it was broken off, it does what is left."""
    given = read_assets(args.file)
    if args.slot is not None:
        given = [_in_slot(asset, args.slot) for asset in given]
    with opened(args) as session:
        wallet = session.wallet()
        known = {asset.identity for asset in wallet.assets()}
        fresh = list({asset.identity: asset for asset in given if asset.identity not in known}.values())
        if fresh:
            require_bpin(session, wallet)
            _each(fresh, wallet.add_asset, "added")
        count = wallet.count_assets()
    if args.json:
        print_json({"added": len(fresh), "known": len(given) - len(fresh), "assets": count})
    else:
        print(f"{len(fresh)} added, {len(given) - len(fresh)} there already; the card lists {count}")
    return 0


def _is_listed(wallet: Wallet, number: int) -> bool:
    try:
        wallet.asset(number)
    except CardError as refusal:
        if refusal.sw != SW.REFERENCED_DATA_NOT_FOUND:
            raise
        return False
    return True


def _each(ones: Sequence[T], do: Callable[[T], object], told: str) -> None:
    """Do it to one after the other; where that is broken off, the user is told how far it came."""
    done, refused = 0, False
    try:
        with Progress(len(ones), sys.stderr) as progress:
            for one in ones:
                do(one)
                done += 1
                progress(done)
    except CardError:
        refused = True
        raise
    finally:
        if done < len(ones):
            # What the card was asked for when it was lost, or the user had enough, it may have done.
            perhaps = "" if refused else "; perhaps one more was" if done else "; perhaps one was"
            note(f"of {len(ones)} {_first(done)} {told}{perhaps}")


def _first(count: int) -> str:
    return f"only the first {count} were" if count > 1 else "only the first was" if count else "none were"


def contacts(args: argparse.Namespace) -> int:
    """List, add or remove friends."""
    if (args.name is None) != (args.action == "list") or (args.address is None) != (args.action != "add"):
        raise UsageError("contacts [list], contacts add NAME ADDRESS, or contacts remove NAME")
    with opened(args) as session:
        wallet = session.wallet()
        require_bpin(session, wallet)
        if args.action == "add":
            wallet.add_contact(args.name, args.address)
        known = wallet.contacts()
        if args.action == "remove":
            wallet.remove_contact(args.name, address_of(known, args.name))
            del known[args.name]
    if args.json:
        print_json([{"name": name, "address": address} for name, address in known.items()])
    else:
        wide = max(map(width, known), default=0)
        lines = (f"{name}{' ' * (wide - width(name))}  {address}" for name, address in known.items())
        print("\n".join(lines) or "no contacts")
    return 0


def address_of(known: Mapping[str, str], name: str) -> str:
    """A contact's address; UsageError says whom the card knows."""
    if name not in known:
        raise UsageError(f"no contact {name!r}; the card knows {', '.join(known) or 'nobody'}")
    return known[name]


def _asset(args: argparse.Namespace) -> Asset:
    family, _ = chain(args.chain)
    usual = "permissioned" if family not in ADDRESSED else "CRC-721" if family == CONFLUX else "ERC-721"
    fields = {
        "contract": args.contract,
        "token_id": args.token,
        "standard": args.standard or usual,
        "amount": args.amount,
        "slot": args.slot,
        "name": args.name,
        "media": args.media,
        "issuer": args.issuer,
        "policy": [flag for flag in args.policy.split(",") if flag],
        "acquired_at": args.acquired,
    }
    try:
        return asset_of(fields, chain(args.chain))
    except ValueError as fault:
        raise UsageError(str(fault)) from fault


def _in_slot(asset: Asset, slot: int) -> Asset:
    try:
        return replace(asset, slot=slot)
    except ValueError as fault:
        raise UsageError(f"--slot: {fault}") from fault
