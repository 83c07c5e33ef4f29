"""`bsim wallet backup | restore`: the seed under a password, and the derivations that make the same keys of it."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping
from getpass import getpass
from itertools import groupby
from pathlib import Path
from typing import Final

from bsim.cli.common import CheckFailed, UsageError, note, print_json
from bsim.cli.json_file import read_object
from bsim.cli.phone import opened, require_bpin, verified
from bsim.cli.wallet_keys import account_json, table
from bsim.client import Account, CardError
from bsim.crypto.algorithm import Algorithm
from bsim.sw import SW

Run = tuple[int, Algorithm]

_FORMAT: Final = "bsim-backup-1"
_LONGEST_KEY2: Final = 255
_MOST_SLOTS: Final = 127


def backup(args: argparse.Namespace) -> int:
    """Write ciphertext, version and derivation runs as JSON."""
    if args.file and Path(args.file).exists():
        raise UsageError(f"{args.file}: exists already; a backup is never overwritten")
    key2 = _key2(args, twice=True)
    with opened(args) as session:
        wallet = session.wallet()
        require_bpin(session, wallet)
        ciphertext, version, accounts = wallet.backup(key2), wallet.version(), wallet.accounts()
    made = {
        "format": _FORMAT,
        "version": version.hex(),
        "ciphertext": ciphertext.hex(),
        "runs": list(_runs(accounts)),
    }
    if not args.file or args.file == "-":
        print_json(made)
        return 0
    _write(Path(args.file), json.dumps(made, indent=2) + "\n")
    if args.json:
        print_json({"file": args.file, "accounts": len(accounts)})
    else:
        print(f"{args.file}: the seed under key2, and {len(accounts)} derivations")
    return 0


def restore(args: argparse.Namespace) -> int:
    """Restore a backup and replay its derivations."""
    if args.file == "-" and args.key2 == "-":
        raise UsageError("stdin cannot be both the backup and key2")
    ciphertext, runs = _read(args.file)
    key2 = _key2(args)
    with opened(args) as session:
        wallet = session.wallet()
        try:
            # A card without a seed takes a backup whatever the BPIN; one that has a seed refuses it without.
            verified(session, wallet)
        except CardError as refusal:
            if session.user is not None or refusal.sw != SW.CONDITIONS_NOT_SATISFIED:
                raise
        try:
            wallet.restore(key2, ciphertext, runs)
        except CardError as refusal:
            if refusal.sw == SW.WRONG_DATA and refusal.command == "RESTORE_SEED":
                raise CheckFailed(f"{refusal}: key2 is not this backup's, or the backup is damaged") from refusal
            raise
        accounts = wallet.accounts()
    if args.json:
        print_json([account_json(account) for account in accounts])
    else:
        print("\n".join(table(accounts)))
    return 0


def _runs(accounts: Iterable[Account]) -> Iterable[dict[str, object]]:
    for (coin_type, algorithm), run in groupby(accounts, key=lambda account: (account.coin_type, account.algorithm)):
        yield {"coin_type": coin_type, "algorithm": algorithm.name.lower(), "count": len(list(run))}


def _write(path: Path, text: str) -> None:
    try:
        # It opens with a password that people choose: nobody else needs to have it.
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as fault:
        raise UsageError(f"{path}: cannot be written ({fault.strerror})") from fault


def _read(name: str) -> tuple[bytes, list[Run]]:
    found = read_object(name)
    try:
        if found is None or found.get("format") != _FORMAT:
            raise ValueError("not a backup made by `bsim wallet backup`")
        ciphertext = bytes.fromhex(_text(found, "ciphertext"))
        given = found["runs"]
        if not isinstance(given, list):
            raise TypeError("runs: a list is wanted")
        runs = [one for run in given for one in _expand(run)]
    except (ValueError, KeyError, TypeError) as fault:
        words = f"{fault.args[0]} is missing" if isinstance(fault, KeyError) else str(fault)
        raise UsageError(f"{name}: {words}") from fault
    if len(runs) > _MOST_SLOTS:
        raise UsageError(f"{name}: runs: a card has {_MOST_SLOTS} slots")
    return ciphertext, runs


def _expand(run: Mapping[str, object]) -> list[Run]:
    coin_type, count, name = run["coin_type"], run["count"], _text(run, "algorithm").upper()
    if not isinstance(coin_type, int) or not 0 <= coin_type < 1 << 31:
        raise ValueError("runs: coin_type is a number below 2^31")
    if not isinstance(count, int) or not 0 < count <= _MOST_SLOTS:
        raise ValueError(f"runs: count is a number from 1 to {_MOST_SLOTS}")
    if name not in Algorithm.__members__:
        raise ValueError(f"runs: no algorithm {name.lower()}")
    return [(coin_type, Algorithm[name])] * count


def _text(found: Mapping[str, object], name: str) -> str:
    value = found[name]
    if not isinstance(value, str):
        raise ValueError(f"{name}: text is wanted")  # noqa: TRY004 - one fault of the file among others
    return value


def _key2(args: argparse.Namespace, *, twice: bool = False) -> bytes:
    """The password from wherever it comes, as the bytes the card takes: Latin-1, as the wallet app sends it."""
    try:
        key2 = _key2_text(args, twice).encode("latin-1")
    except UnicodeEncodeError:
        raise UsageError("key2 has characters outside Latin-1") from None
    if not 1 <= len(key2) <= _LONGEST_KEY2:
        raise UsageError(f"key2 has 1 to {_LONGEST_KEY2} characters")
    if twice and not _strong(key2):
        note("the wallet app takes only a key2 of 8 characters or more with small and capital letters and digits")
    return key2


def _key2_text(args: argparse.Namespace, twice: bool) -> str:
    if args.key2 is not None:
        text: str = sys.stdin.readline().rstrip("\r\n") if args.key2 == "-" else args.key2
        return text
    if args.key2_file is not None:
        try:
            return Path(args.key2_file).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as fault:
            raise UsageError(f"{args.key2_file}: cannot be read") from fault
    if "BSIM_KEY2" in os.environ:
        return os.environ["BSIM_KEY2"]
    if not sys.stdin.isatty():
        raise UsageError("key2 is wanted: --key2-file FILE, or BSIM_KEY2 in the environment")
    typed = getpass("key2: ")
    if twice and getpass("key2 again: ") != typed:
        raise UsageError("the two differ")
    return typed


def _strong(key2: bytes) -> bool:
    kinds = (bytes.islower, bytes.isupper, bytes.isdigit)
    return len(key2) >= 8 and all(any(kind(bytes((byte,))) for byte in key2) for kind in kinds)
