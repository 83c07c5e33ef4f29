"""`bsim new`: make a card file."""

import argparse
import sys
from typing import TYPE_CHECKING

from bsim.cli.common import DEFAULT_BPIN, UsageError, add_json, add_keys, keyring, note, print_json
from bsim.cli.subscriber import add_subscriber, read_subscriber

if TYPE_CHECKING:
    from bsim.store import Unlock

EXAMPLES = """\
examples:
  bsim new card.bsim                       a new seed, which never leaves the card but as a backup
  bsim new card.bsim --mnemonic - < words  a mnemonic's seed; process lists do not show it
  bsim new blank.bsim --blank              a card without a seed: bsim wallet restore gives it one
  bsim new old.bsim --profile strict       the real card's commands and no other
  bsim new locked.bsim --state locked      no BPIN try left; the other states are named below
  bsim new throwaway.bsim --insecure-plain a card that whoever has the file can read
  bsim new sim.bsim --imsi 460110123456789 --msisdn +8618900000000 --pin1 4321
                                           a SIM of a subscriber, which asks for its PIN
  bsim new lab.bsim --network 460-11 --ki 00112233445566778899AABBCCDDEEFF
                                           with a test network's key; --opc goes with it

The file is sealed under a passphrase: that of --passphrase-file or BSIM_PASSPHRASE, or you are
asked for one on a terminal. Elsewhere, or if you type none, a key file is made in your own key
folder, and found there again. It is a test card all the same: never put funds on it.
"""
STATES = ("one-try-left", "locked", "recovery", "full-127", "factory", "bpin-unset", "terminated")
PLAIN_WARNING = (
    "NOT PROTECTED: the key lies in the file, and whoever reads it has the seed; bsim card rekey protects it"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("file", metavar="FILE.bsim", help="the card file to make; never overwritten")
    seed = parser.add_mutually_exclusive_group()
    seed.add_argument("--mnemonic", metavar="TEXT", help="the seed's BIP-39 mnemonic, 12 to 24 words; - reads stdin")
    seed.add_argument("--blank", action="store_true", help="no seed")
    parser.add_argument("--bpin", default=DEFAULT_BPIN, help="the card's BPIN, six digits (default: 123456)")
    parser.add_argument("--profile", default="extended", help="strict (the real card's commands) or extended (default)")
    parser.add_argument("--state", metavar="NAME", help=f"an awkward card, ready-made: {', '.join(STATES)}")
    add_subscriber(parser)
    add_keys(parser).add_argument("--insecure-plain", action="store_true", help="protect the file by nothing")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Make the file."""
    from bsim.applets.issuer import LAYOUT
    from bsim.lab.targets import card_path
    from bsim.profiles import personalisation, personalise
    from bsim.spec.digits import swapped_digits
    from bsim.store import Given, SqliteStore

    path = card_path(args.file)
    mnemonic = sys.stdin.read() if args.mnemonic == "-" else args.mnemonic
    try:
        card = personalisation(
            mnemonic=mnemonic,
            blank=args.blank,
            bpin=args.bpin,
            profile=args.profile,
            state=args.state,
            iccid=args.iccid,
            sim=read_subscriber(args),
        )
    except ValueError as fault:
        raise UsageError(str(fault)) from fault
    keys: Unlock = Given() if args.insecure_plain else keyring(args)
    store = None
    try:
        store = SqliteStore(path, create=True, unlock=keys)
        personalise(store, card)
        iccid = swapped_digits(LAYOUT.load(store.read()).iccid)
        wrapping = store.header.wrapping
    except BaseException:
        if store is not None:
            store.close()
            path.unlink()  # half a card is none
        keyring(args).forget()
        raise
    store.close()
    _tell(
        args, {"card": args.file, "profile": card.profile.name, "iccid": iccid, "seeded": bool(card.entropy)}, wrapping
    )
    return 0


def _tell(args: argparse.Namespace, made: dict[str, str | bool], wrapping: str) -> None:
    if args.json:
        print_json({**made, "wrapping": wrapping})
    else:
        seed = "with a seed" if made["seeded"] else "without a seed"
        print(f"{made['card']}: {made['profile']} card {seed}, ICCID {made['iccid']}")
    if args.insecure_plain:
        note(PLAIN_WARNING)
    elif wrapping == "passphrase":
        note("sealed under the passphrase; without it the card is lost")
    else:
        key_file = keyring(args).made or args.key_file
        note(f"sealed under the key file {key_file}; without it the card is lost")
    note("this is a test card, not to hold real funds")
