"""`bsim card snapshot|restore|factory-reset|terminate`: what happens to a card file as a whole."""

import argparse
from typing import TYPE_CHECKING

from bsim.cli.common import UsageError, keyring, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from bsim.store import SqliteStore

SUMMARIES = {
    "snapshot": "keep the card as it is under a name, in a file beside it",
    "restore": "go back to a snapshot",
    "factory-reset": "empty the card: no seed, no keys, the BPIN it was shipped with; needs --yes",
    "terminate": "take the card out of use for ever; needs --yes",
}
NAMED = ("snapshot", "restore")


def add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare what a verb takes beside the file."""
    if name in NAMED:
        parser.add_argument("name", metavar="NAME", help="the snapshot's name: letters, digits, dots, - and _")
    else:
        parser.add_argument("--yes", action="store_true", help="do it; it cannot be undone")


def run(args: argparse.Namespace) -> int:
    """Do one of them."""
    from bsim.lab.targets import open_file
    from bsim.profiles.life import factory_reset, terminate

    actions: dict[str, Callable[[SqliteStore], None]] = {
        "snapshot": lambda store: store.snapshot(args.name),
        "restore": lambda store: store.restore(args.name),
        "factory-reset": factory_reset,
        "terminate": terminate,
    }
    if args.what not in NAMED and not args.yes:
        raise UsageError(f"bsim card {args.what} cannot be undone; add --yes if you mean it")
    store = open_file(args.file, keyring(args))
    try:
        actions[args.what](store)
    finally:
        store.close()
    if args.json:
        print_json({"card": args.file, "done": args.what})
    else:
        print(f"{args.file}: {_words(args)}")
    return 0


def _words(args: argparse.Namespace) -> str:
    return {
        "snapshot": f"kept as it is; bsim card restore {args.file} {getattr(args, 'name', '')} goes back to this",
        "restore": "as it was in the snapshot",
        "factory-reset": "empty, as it left the factory; snapshots made before still hold its seed",
        "terminate": "out of use for ever; snapshots made before still hold the card as it was",
    }[str(args.what)]
