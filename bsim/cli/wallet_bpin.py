"""`bsim wallet bpin verify | change`: both are dialogues between card and user; no BPIN is in any APDU of the app."""

import argparse

from bsim.cli.common import CheckFailed, UsageError, print_json
from bsim.cli.phone import Session, handset_of, opened, require_bpin, wait_for
from bsim.client import Wallet
from bsim.spec import spec


def bpin(args: argparse.Namespace) -> int:
    """Verify the BPIN, or change it."""
    change = args.action == "change"
    if change and args.new_bpin is None and handset_of(args) not in {"ask", "none"}:
        raise UsageError("--new-bpin says what the handset is to type as the new BPIN (or --handset ask: you type it)")
    with opened(args, args.new_bpin if change else None) as session:
        wallet = session.wallet()
        if change:
            _change(session, wallet)
        else:
            require_bpin(session, wallet)
        shown = session.user.shown if session.user else []
    # A phone elsewhere may still be asking for the new BPIN; only the one here tells how that ended.
    word = ("changed" if shown else "asked") if change else "verified"
    if args.json:
        print_json({word: True, "phone": shown})
        return 0
    for text in shown:
        print(f"phone: {text}")
    print("the card asks for the new BPIN on the phone it is in" if word == "asked" else f"the BPIN is {word}")
    return 0


def _change(session: Session, wallet: Wallet) -> None:
    texts = spec().applets["wallet"].dialogue
    wallet.update_bpin()
    if session.user is None:
        return
    last = wait_for(session, wallet, texts["bpin_changed"], texts["bpins_differ"], texts["bpin_blocked"])
    if last != texts["bpin_changed"]:
        raise CheckFailed(f"the BPIN was not changed{session.last_shown}")
