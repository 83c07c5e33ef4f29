"""A process that uses a card file until it is killed: says what it begins, and what is done, one line each."""

import random
import sys
from contextlib import closing
from pathlib import Path

from card_files import KEY_FILE
from helpers import DIGEST, KEY2, apdu, enter, fetch, respond, seal, select

from bsim.applets.wallet_state import MAX_SLOTS
from bsim.ports import Card
from bsim.profiles import power_on
from bsim.store import Given, SqliteStore

_ALWAYS = ["verify", "wrong", "change", "sign"]
OK = b"\x90\x00"


def power(card: Card) -> None:
    """Power-cycle the card: no dialogue of before is open."""
    card.reset()
    select(card)
    card.transmit(apdu("TERMINAL_PROFILE", profile=b"\xff\xff\xff\xff"))


def main(path: Path, seed: int) -> None:
    rng = random.Random(seed)
    envelope = seal(bytes(range(16)), KEY2)
    with closing(SqliteStore(path, unlock=Given(KEY_FILE))) as store:
        card = power_on(store)
        power(card)
        print("ready", flush=True)
        bpin = sys.stdin.readline().strip()
        while True:
            slots = len(store.read()["wallet.slots"]) // 71
            action = rng.choice([*_ALWAYS, *["derive"] * 2 * (slots < MAX_SLOTS), *["restore"] * (slots > 60)])
            new = f"{rng.randrange(10**6):06}"
            print("begin", action, new, flush=True)
            if action == "derive":
                done = card.transmit(apdu("DERIVE_KEY", coin_type=60, algorithm=1)) == OK
            elif action == "sign":
                card.transmit(apdu("SIGN", coin_type=60, slot=1, digest=DIGEST))
                done = True
            elif action == "change":
                power(card)
                told = enter(card, card.transmit(apdu("UPDATE_BPIN")), bpin, new, new)
                done = respond(card, fetch(card, told)) == OK
                bpin = new
            else:
                power(card)
                asked = fetch(card, card.transmit(apdu("VERIFY_BPIN")))
                if action == "restore":
                    done = card.transmit(apdu("RESTORE_SEED", key2=KEY2, ciphertext=envelope)) == OK
                elif action == "verify":
                    done = respond(card, asked, bpin) == OK
                else:
                    wrong = respond(card, asked, "x" * 6)
                    done = enter(card, wrong, bpin) == OK
            print("done" if done else "failed", action, new, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
