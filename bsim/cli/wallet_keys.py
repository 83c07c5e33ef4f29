"""`bsim wallet accounts | derive | sign | version | iccid`."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Final

from bsim.cli.coins import algorithm, coin, label
from bsim.cli.common import CheckFailed, Style, UsageError, parse_hex, print_json
from bsim.cli.phone import opened, require_bpin
from bsim.client import Account, Wallet
from bsim.crypto import ed25519, p256, sm2, verify
from bsim.crypto.algorithm import Algorithm

_DIGEST: Final = 32


def accounts(args: argparse.Namespace) -> int:
    """List the keys in the card's slots."""
    with opened(args) as session:
        _print(session.wallet().accounts(), args.json)
    return 0


def derive(args: argparse.Namespace) -> int:
    """Make the key of the next free slot."""
    coin_type = coin(args.coin)
    with opened(args) as session:
        account = session.wallet().derive(coin_type, algorithm(args.algorithm, coin_type))
    if args.json:
        print_json(account_json(account))
    else:
        print("\n".join(table([account])))
    return 0


def sign(args: argparse.Namespace) -> int:
    """Sign, and check the signature with a library that did not make it."""
    digest = parse_hex(args.digest, "the digest")
    with opened(args) as session:
        wallet = session.wallet()
        account = _account(wallet, args.slot)
        coin_type = coin(args.coin) if args.coin else account.coin_type
        _check_length(account, digest)
        require_bpin(session, wallet)
        signature = wallet.sign(coin_type, args.slot, digest)
    found = checked(account, digest, signature)
    if args.json:
        print_json(found)
    else:
        style = Style()
        for name, value in found.items():
            print(f"{name:<12}{style.good('yes') if value is True else style.bad('no') if value is False else value}")
    if not found["verified"]:
        raise CheckFailed("the signature is not one of this slot's key")
    return 0


def _check_length(account: Account, digest: bytes) -> None:
    """UsageError for what the card is going to refuse, before its user types anything."""
    if account.algorithm is not Algorithm.ED25519 and len(digest) != _DIGEST:
        raise UsageError(
            f"slot {account.slot} signs a digest of {_DIGEST} bytes, and this has {len(digest)};"
            " bsim apdu sends a card whatever you like"
        )


def version(args: argparse.Namespace) -> int:
    """Print the applet's version."""
    with opened(args) as session:
        number = session.wallet().version().hex()
    _print_one("version", number, args.json)
    return 0


def iccid(args: argparse.Namespace) -> int:
    """Print the card's ICCID."""
    with opened(args) as session:
        digits = session.wallet().iccid()
    _print_one("iccid", digits, args.json)
    return 0


_VERIFY: Final = {
    Algorithm.ED25519: ed25519.verify,
    Algorithm.SM2: sm2.verify,
    Algorithm.P256: p256.verify,
}


def checked(account: Account, digest: bytes, signature: bytes) -> dict[str, object]:
    """What a signature says, and whether it is one of the account's key."""
    found: dict[str, object] = {
        "slot": account.slot,
        "coin_type": account.coin_type,
        "algorithm": account.algorithm.name.lower(),
        "digest": digest.hex(),
        "signature": signature.hex(),
    }
    if account.algorithm is not Algorithm.SECP256K1:
        return found | {"verified": _VERIFY[account.algorithm](account.public_key, digest, signature)}
    try:
        r, s, recovery = verify.recoverable(digest, signature, account.public_key)
    except ValueError:
        return found | {"verified": False}
    good = verify.verify(account.public_key, digest, signature)
    return found | {"r": f"{r:064x}", "s": f"{s:064x}", "recovery_id": recovery, "verified": good}


def account_json(account: Account) -> dict[str, object]:
    """One account for machines."""
    return {
        "slot": account.slot,
        "coin_type": account.coin_type,
        "coin": account.coin,
        "algorithm": account.algorithm.name.lower(),
        "address": account.address,
        "public_key": account.public_key.hex(),
    }


def table(rows: Sequence[Account]) -> Iterable[str]:
    """Accounts as columns."""
    heads = ("slot", "coin", "algorithm", "address", "public key")
    cells = [heads] + [
        (str(a.slot), label(a.coin_type), a.algorithm.name.lower(), a.address or "-", a.public_key.hex()) for a in rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    style = Style()
    for number, row in enumerate(cells):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        yield line if number else style.bold(line)


def _print(rows: Sequence[Account], as_json: bool) -> None:
    if as_json:
        print_json([account_json(account) for account in rows])
    elif rows:
        print("\n".join(table(rows)))
    else:
        print("no keys yet; bsim wallet derive makes one")


def _account(wallet: Wallet, slot: int) -> Account:
    found = wallet.accounts()
    for account in found:
        if account.slot == slot:
            return account
    there = f"slots 1 to {len(found)}" if found else "no keys yet"
    raise UsageError(f"the card has no key in slot {slot}: it has {there}")


def _print_one(name: str, value: str, as_json: bool) -> None:
    if as_json:
        print_json({name: value})
    else:
        print(value)
