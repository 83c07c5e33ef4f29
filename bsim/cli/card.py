"""`bsim card`: look at a card file, check it, change what protects it, keep it and go back."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bsim.cli import card_life
from bsim.cli.common import CheckFailed, add_json, add_keys, asker, keyring, note, print_json
from bsim.cli.new import PLAIN_WARNING

if TYPE_CHECKING:
    from bsim.store import Keyring, SqliteStore, Unlock

EXAMPLES = """\
examples:
  bsim card info card.bsim
  bsim card check card.bsim --json
  bsim card rekey card.bsim                             you are asked for a new passphrase
  bsim card rekey card.bsim --new-passphrase-file new.txt
  bsim card snapshot card.bsim before                   and bsim card restore card.bsim before
  bsim card factory-reset card.bsim --yes

Exit code of check: 0 whole; 1 damaged; 2 not to be opened (in use, no such file, wrong passphrase).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    verbs = parser.add_subparsers(dest="what", metavar="WHAT", title="what to do", required=True)
    _verb(verbs, "info", "tell what the file is and holds, without its secrets")
    _verb(verbs, "check", "prove that the file is whole, and every record in it this card's")
    rekey = _verb(verbs, "rekey", "seal everything anew, under another passphrase or key file")
    for name, summary in card_life.SUMMARIES.items():
        card_life.add_arguments(name, _verb(verbs, name, summary))
    new = rekey.add_mutually_exclusive_group()
    new.add_argument("--new-passphrase-file", metavar="FILE", type=Path, help="a file with it in its first line")
    new.add_argument("--new-key-file", metavar="FILE", type=Path, help="a key file, made if there is none")
    new.add_argument("--insecure-plain", action="store_true", help="protect the file by nothing")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str
) -> argparse.ArgumentParser:
    text = f"{summary[0].upper()}{summary[1:]}."
    parser = verbs.add_parser(name, help=summary, description=text, epilog=f"example:\n  bsim card {name} card.bsim")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE.bsim", help="the card file")
    add_keys(parser)
    add_json(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Do one of them."""
    return {"info": info, "check": check, "rekey": rekey}.get(args.what, card_life.run)(args)


def info(args: argparse.Namespace) -> int:
    """Tell what a card file is."""
    from bsim.lab.targets import open_file

    store = open_file(args.file, keyring(args))
    try:
        facts = _facts(args.file, store)
    finally:
        store.close()
    if args.json:
        print_json(facts)
    else:
        for name, value in facts.items():
            print(f"{name.replace('_', ' '):<12}{'yes' if value is True else 'no' if value is False else value}")
    if facts["wrapping"] == "plain":
        note(PLAIN_WARNING)
    return 0


def check(args: argparse.Namespace) -> int:
    """Open everything there is in a card file; CheckFailed if it is damaged."""
    from bsim.lab.targets import open_file
    from bsim.store import DamagedError, StoreError

    try:
        store = open_file(args.file, keyring(args))
    except DamagedError as fault:
        raise CheckFailed(str(fault)) from fault
    try:
        # Opening proved the database whole and every record this card's; what is left is what they say.
        records = len(store.read())
        _facts(args.file, store)
    except StoreError as fault:
        raise CheckFailed(str(fault)) from fault
    finally:
        store.close()
    if args.json:
        print_json({"card": args.file, "ok": True, "records": records})
    else:
        print(f"{args.file}: whole, {records} records")
    return 0


def rekey(args: argparse.Namespace) -> int:
    """Seal a card file anew."""
    from bsim.lab.targets import open_file
    from bsim.store import Given, Keyring

    # The environment has the old passphrase; BSIM_NEW_PASSPHRASE, the new one.
    fresh = Keyring(
        passphrase_file=args.new_passphrase_file,
        key_file=args.new_key_file,
        ask=asker(),
        passphrase_variable="BSIM_NEW_PASSPHRASE",  # noqa: S106 - its name, not itself
    )
    keys: Unlock = Given() if args.insecure_plain else fresh
    store = open_file(args.file, keyring(args))
    try:
        store.rekey(keys)
        wrapping = store.header.wrapping
    finally:  # a new key file stays, whatever happened: a write that failed may have reached the disk
        store.close()
    if args.json:
        print_json({"card": args.file, "wrapping": wrapping})
    else:
        print(f"{args.file}: sealed anew, under {_words(args, fresh, wrapping)}")
    if args.insecure_plain:
        note(PLAIN_WARNING)
    note("copies of the file made before still open with the old passphrase or key file")
    return 0


def _words(args: argparse.Namespace, fresh: "Keyring", wrapping: str) -> str:
    if wrapping == "key file":
        return f"the key file {fresh.made or args.new_key_file}"
    return "the new passphrase" if wrapping == "passphrase" else "nothing: its key lies in it"


def _facts(name: str, store: "SqliteStore") -> dict[str, object]:
    """What may be told of a card; StoreError if its states do not decode."""
    from bsim.applets import assets_state, issuer, wallet_state
    from bsim.profiles import stored_profile
    from bsim.spec.digits import swapped_digits
    from bsim.store import FORMAT

    records = store.read()
    wallet = wallet_state.LAYOUT.load(records)
    return {
        "card": name,
        "format": FORMAT,
        "card_id": store.header.card_id.hex(),
        "wrapping": str(store.header.wrapping),
        "profile": stored_profile(store).name,
        "iccid": swapped_digits(issuer.LAYOUT.load(records).iccid),
        "life_cycle": wallet.life_cycle,
        "seeded": wallet.has_seed,
        "slots": len(wallet.slots),
        "tries": wallet.tries,
        "assets": len(assets_state.listed(records)),
        "contacts": len(assets_state.LAYOUT.load(records).contacts),
    }
