"""`bsim new`: make a card file."""

import argparse
import sys

from bsim.cli.common import DEFAULT_BPIN, UsageError, add_json, note, print_json

EXAMPLES = """\
examples:
  bsim new card.bsim                       a card with a new seed, which never leaves it but as a backup
  bsim new card.bsim --mnemonic - < words  a card with the seed of a mnemonic, which stays out of the process list
  bsim new blank.bsim --blank              a card without a seed: bsim wallet restore gives it one
  bsim new old.bsim --profile strict       the real card's commands and no other

The file is a test card: it is not encrypted, so keep no keys in it that guard anything of value.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("file", metavar="FILE.bsim", help="the card file to make; never overwritten")
    seed = parser.add_mutually_exclusive_group()
    seed.add_argument("--mnemonic", metavar="TEXT", help="the seed's BIP-39 mnemonic, 12 to 24 words; - reads stdin")
    seed.add_argument("--blank", action="store_true", help="no seed")
    parser.add_argument("--bpin", default=DEFAULT_BPIN, help="the card's BPIN, six digits (default: 123456)")
    parser.add_argument("--profile", default="extended", help="strict (the real card's commands) or extended (default)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Make the file."""
    from bsim.applets.issuer import LAYOUT
    from bsim.lab.targets import card_path
    from bsim.profiles import personalisation, personalise
    from bsim.spec.objects import swapped_digits
    from bsim.store import SqliteStore

    path = card_path(args.file)
    mnemonic = sys.stdin.read() if args.mnemonic == "-" else args.mnemonic
    try:
        card = personalisation(mnemonic=mnemonic, blank=args.blank, bpin=args.bpin, profile=args.profile)
    except ValueError as fault:
        raise UsageError(str(fault)) from fault
    store = SqliteStore(path, create=True)
    try:
        personalise(store, card)
        iccid = swapped_digits(LAYOUT.load(store.read()).iccid)
    except BaseException:
        store.close()
        path.unlink()  # half a card is none
        raise
    store.close()
    seeded = bool(card.entropy)
    if args.json:
        print_json({"card": args.file, "profile": card.profile.name, "iccid": iccid, "seeded": seeded})
    else:
        print(f"{args.file}: {card.profile.name} card {'with a seed' if seeded else 'without a seed'}, ICCID {iccid}")
    note("this is a test card, not to hold real funds: its file is not encrypted yet, so keep test keys only in it")
    return 0
