"""A process that uses a card file until it is killed: says what it begins, and what is done, one line each."""

import random
import sys
from contextlib import closing
from pathlib import Path

from asset_oracle import Token, count, stream
from card_files import KEY_FILE
from helpers import DIGEST, KEY2, apdu, enter, fetch, respond, seal, select

from bsim.applets.wallet_state import MAX_SLOTS
from bsim.chains import asset_stream
from bsim.ports import Card
from bsim.profiles import power_on
from bsim.store import Given, SqliteStore

_ALWAYS = ["verify", "wrong", "change", "sign", "list"]
_MOST_ASSETS = 40
OK = b"\x90\x00"


def power(card: Card) -> None:
    """Power-cycle the card: no dialogue of before is open."""
    card.reset()
    select(card)
    card.transmit(apdu("TERMINAL_PROFILE", profile=b"\xff\xff\xff\xff"))


def choose(rng: random.Random, card: Card, slots: int) -> str:
    """What is done next; few assets and many slots are wanted."""
    assets = count(card)
    return rng.choice(
        [
            *_ALWAYS,
            *["derive"] * 2 * (slots < MAX_SLOTS),
            *["restore"] * (slots > 60),
            *["add"] * 2 * (assets < _MOST_ASSETS),
            *["remove"] * (assets > 0),
        ]
    )


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
            action = choose(rng, card, slots)
            new = f"{rng.randrange(10**6):06}"
            if action == "remove":
                new = str(rng.choice(list(asset_stream.split(stream(card)))))
            print("begin", action, new, flush=True)
            if action == "derive":
                done = card.transmit(apdu("DERIVE_KEY", coin_type=60, algorithm=1)) == OK
            elif action == "sign":
                card.transmit(apdu("SIGN", coin_type=60, slot=1, digest=DIGEST))
                done = True
            elif action == "list":
                done = bool(stream(card)) or count(card) == 0
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
                elif action == "add":
                    respond(card, asked, bpin)
                    done = card.transmit(apdu("ADD_ASSET", asset=Token(int(new)).new()))[-2:] == OK
                elif action == "remove":
                    respond(card, asked, bpin)
                    done = card.transmit(apdu("REMOVE_ASSET", number=int(new))) == OK
                else:
                    wrong = respond(card, asked, "x" * 6)
                    done = enter(card, wrong, bpin) == OK
            print("done" if done else "failed", action, new, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
