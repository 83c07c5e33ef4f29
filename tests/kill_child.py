"""A process that uses a card file until it is killed: says what it begins, and what is done, one line each."""

import random
import sys
from contextlib import closing
from pathlib import Path

from asset_oracle import Token, count, stream
from card_files import KEY_FILE
from helpers import DIGEST, KEY2, apdu, enter, fetch, respond, seal, select

from bsim.applets.proactive import CommandType, ProactiveCommand
from bsim.applets.wallet_state import MAX_SLOTS
from bsim.card import tables
from bsim.chains import asset_stream, timestamp
from bsim.ports import Card
from bsim.profiles import power_on
from bsim.store import Given, SqliteStore

_ALWAYS = ["verify", "wrong", "change", "sign", "list", "attest"]
_MOST_ASSETS = 40
OK = b"\x90\x00"
ISSUED = 1_800_000_000
MESSAGE = """example.org wants you to sign in with your Ethereum account:
{address}


URI: https://example.org/login
Version: 1
Chain ID: 1
Nonce: 32891756
Issued At: {issued}"""


def power(card: Card) -> None:
    """Power-cycle the card: no dialogue of before is open."""
    card.reset()
    select(card)
    card.transmit(apdu("TERMINAL_PROFILE", profile=b"\xff\xff\xff\xff"))


def transfer(card: Card, number: int) -> bool:
    """Sign a transfer, whatever was signed before; whether the card did."""
    terms = {"nonce": b"\7", "gas": b"\xff\xff", "max_fee": b"\xff", "max_priority_fee": b"\1", "amount": b""}
    terms |= {"storage_limit": b"", "epoch_height": b"", "number": number.to_bytes(4, "big"), "to": bytes(range(20))}
    response = card.transmit(apdu("TRANSFER_ASSET", purpose="GIFT", attempt="AGAIN", **terms))
    while response[-2] == 0x91:
        page = fetch(card, response)
        response = respond(card, page, "\1" if page.type == CommandType.GET_INKEY else None)
    return card.transmit(apdu("GET_RESULT"))[-2:] == OK


def login(card: Card, issued: int) -> bool:
    """Sign in to a site, and let the card do so by itself if it asks; whether it signed."""
    address = card.transmit(apdu("GET_ADDRESS", slot=1))[:-2].decode()
    message = MESSAGE.format(address=address, issued=timestamp.encode(issued)).encode()
    raw = apdu("LOGIN", slot=1, family="ETHEREUM", uses=60_000, until=0xFFFF_FFFF, message=message)
    response = card.transmit(raw)
    while response[-2] == 0x91:
        page = fetch(card, response)
        response = respond(card, page, "\1" if page.type == CommandType.GET_INKEY else None)
    return card.transmit(apdu("GET_RESULT"))[-2:] == OK


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
            *["transfer"] * (assets > 0 and slots > 0),
            *["login"] * (slots > 0),
        ]
    )


def asked_for_the_bpin(card: Card, asked: ProactiveCommand, bpin: str, action: str, new: str, envelope: bytes) -> bool:
    """What is done while the card asks for the BPIN, or with it; whether it was."""
    if action == "restore":
        return card.transmit(apdu("RESTORE_SEED", key2=KEY2, ciphertext=envelope)) == OK
    if action == "wrong":
        return enter(card, respond(card, asked, "x" * 6), bpin) == OK
    verified = respond(card, asked, bpin) == OK
    if action == "add":
        return card.transmit(apdu("ADD_ASSET", asset=Token(int(new)).new()))[-2:] == OK
    if action == "login":
        return login(card, ISSUED + int(new))
    if action == "remove":
        return card.transmit(apdu("REMOVE_ASSET", number=int(new))) == OK
    return transfer(card, int(new)) if action == "transfer" else verified


def main(path: Path, seed: int) -> None:
    rng = random.Random(seed)
    envelope = seal(bytes(range(16)), KEY2)
    with closing(SqliteStore(path, unlock=Given(KEY_FILE))) as store:
        card = power_on(store)
        power(card)
        for table in (*tables.WALLET, *tables.SIGNING, *tables.COLLECTIBLES):
            table.load()  # what is imported late takes longer than most are given to live
        print("ready", flush=True)
        bpin = sys.stdin.readline().strip()
        while True:
            slots = len(store.read()["wallet.slots"]) // 71
            action = choose(rng, card, slots)
            new = f"{rng.randrange(10**6):06}"
            if action in {"remove", "transfer"}:
                new = str(rng.choice(list(asset_stream.split(stream(card)))))
            print("begin", action, new, flush=True)
            if action == "derive":
                done = card.transmit(apdu("DERIVE_KEY", coin_type=60, algorithm=1)) == OK
            elif action == "sign":
                card.transmit(apdu("SIGN", coin_type=60, slot=1, digest=DIGEST))
                done = True
            elif action == "attest":
                done = card.transmit(apdu("GET_CERTIFICATE", part="FIRST"))[-2:] == b"\x63\0"
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
                done = asked_for_the_bpin(card, asked, bpin, action, new, envelope)
            print("done" if done else "failed", action, new, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
