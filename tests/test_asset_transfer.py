"""TRANSFER ASSET: what policy forbids, what the user is shown, and that only a yes to all of it signs and marks."""

from dataclasses import replace
from itertools import product

import pytest
from asset_oracle import FailingStore, Token, add, ber, expected, fill, stream
from helpers import (
    BPIN,
    CONFLUX,
    ED25519,
    MNEMONIC,
    SOLANA,
    apdu,
    by_hand,
    derive,
    enter,
    exchange,
    expect,
    fetch,
    open_channel,
    respond,
    secp256k1_key,
    secp256k1_secret,
    select,
)

from bsim.applets.proactive import CommandType, ProactiveCommand, Result
from bsim.chains import conflux
from bsim.chains.asset import Policy
from bsim.lab.powercut import FaultyStore
from bsim.ports import Card
from bsim.store import RamStore

# Account 1 of the test mnemonic is slot 1; account 2 is who gets it.
OWNER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
FRIEND = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
TO = bytes.fromhex(FRIEND[2:])
GUARDIAN = bytes.fromhex("8a6cd31dc63ea5ebfe1d7d1f2e02c2dcdd01d1e7")
CORE = Token(5, 2, b"\x02\x04\x05", GUARDIAN, 3, name=b"Guardian 5")
PASSES = Token(9, 1, b"\x01\x04\x06", GUARDIAN, 2, b"\x05", name="通行证".encode())
APE = Token(7537, name=b"Ape #7537", issuer=b"Yuga Labs")


def transfer(
    number: int = 1, purpose: str = "GIFT", attempt: str = "FIRST", *, on: int = 0, to: bytes = TO, **terms: int | bytes
) -> bytes:
    """The command, with terms that a chain takes unless said otherwise."""
    usual = {"amount": 0, "nonce": 7, "gas": 120_000, "max_fee": 30 * 10**9, "max_priority_fee": 10**9}
    given = {**usual, "storage_limit": 0, "epoch_height": 0, **terms}
    encoded = {name: value if isinstance(value, bytes) else minimal(value) for name, value in given.items()}
    number_ = number.to_bytes(4, "big")
    return apdu("TRANSFER_ASSET", on=on, purpose=purpose, attempt=attempt, number=number_, to=to, **encoded)


def minimal(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def collector(*tokens: Token, store: RamStore | FaultyStore | None = None) -> Card:
    """A card with an Ethereum and a Conflux key, assets, its BPIN verified, and the test for its terminal."""
    card = by_hand(store=store)
    derive(card)
    derive(card, CONFLUX)
    enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN)
    fill(card, tokens)
    return card


def read_pages(card: Card, response: bytes) -> tuple[str, ProactiveCommand]:
    """Read on until the question."""
    shown = ""
    while True:
        command = fetch(card, response)
        shown += command.text + "\n"
        if command.type == CommandType.GET_INKEY:
            return shown, command
        response = respond(card, command)


def say_yes(card: Card, command: bytes) -> tuple[str, bytes]:
    """Have the user read everything and agree; answers what was shown, and the result."""
    shown, question = read_pages(card, card.transmit(command))
    assert respond(card, question, "\1") == b"\x90\0"
    return shown, expect(card, "GET_RESULT")


def leaving(token: Token) -> Token:
    return replace(token, state=1)


def test_a_gift_is_shown_signed_and_marked() -> None:
    eth_account = pytest.importorskip("eth_account")
    card = collector(APE, PASSES)
    contact = ber(0x80, b"Alice") + ber(0x81, FRIEND.encode())
    expect(card, "CONTACTS", action="PUT", part="FIRST", contact=contact)
    shown, result = say_yes(card, transfer())
    for words in ("Transfer NFT #7537", "as a gift", "Ape #7537", "Yuga Labs", f"Alice ({FRIEND})", OWNER, "Ethereum"):
        assert words in shown.replace("\n  ", "")
    assert stream(card) == expected({1: leaving(APE), 2: PASSES})
    # The same transaction by eth-account, whose signatures are those of RFC 6979 too.
    selector = bytes.fromhex("42842e0e")
    words = [bytes(12) + bytes.fromhex(OWNER[2:]), bytes(12) + TO, (7537).to_bytes(32, "big")]
    signed = eth_account.Account.sign_transaction(
        {
            "type": 2, "chainId": 1, "nonce": 7, "gas": 120_000, "value": 0, "data": selector + b"".join(words),
            "maxFeePerGas": 30 * 10**9, "maxPriorityFeePerGas": 10**9,
            "to": "0xBC4CA0EdA7647A8aB7C2061c2E118A18a936f13D",
        },
        secp256k1_secret(60, 1).to_bytes(32, "big"),
    )  # fmt: skip
    assert (result[:2], result[104]) == (b"\x80\x20", signed.v)
    assert result[36:68] == signed.r.to_bytes(32, "big")
    assert result[70:102] == signed.s.to_bytes(32, "big")
    eth_account.Account.enable_unaudited_hdwallet_features()
    assert eth_account.Account.from_mnemonic(MNEMONIC, account_path="m/44'/60'/0'/0/1").address == OWNER


def test_friends_are_named_in_whatever_is_signed() -> None:
    card = collector()
    for name, address in (("Alice", "0x3535353535353535353535353535353535353535"), ("Bob", FRIEND)):
        contact = ber(0x80, name.encode()) + ber(0x81, address.encode())
        expect(card, "CONTACTS", action="PUT", part="FIRST", contact=contact)
    # The example of EIP-155.
    unsigned = "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080"
    command = apdu("SIGN_TRANSACTION", slot=1, family=1, payload=bytes.fromhex(unsigned))
    shown, _ = say_yes(card, command)
    assert "To: Alice (0x3535353535353535353535353535353535353535)" in shown.replace("\n  ", "")
    assert "Bob" not in shown


def test_a_part_of_several_alike() -> None:
    card = collector(PASSES)
    shown, _ = say_yes(card, transfer(amount=2))
    assert "Transfer 2 of NFT #9" in shown
    assert "Conflux eSpace" in shown
    assert stream(card) == leaving(PASSES).listed(1)


def test_all_of_several_alike() -> None:
    shown, _ = say_yes(collector(PASSES), transfer())
    assert "Transfer 5 of NFT #9" in shown


def test_conflux_core_space() -> None:
    card = collector(CORE)
    to = bytes((0x10 | TO[0] & 0x0F,)) + TO[1:]
    shown, result = say_yes(card, transfer(to=to, storage_limit=128, epoch_height=120_000_000))
    assert "Transfer NFT #5" in shown
    assert conflux.encode(to) in shown.replace("\n  ", "").lower()
    digest, signature = result[2:34], result[36:68] + result[70:102]
    assert secp256k1_key(CONFLUX, 2).verifying_key.verify_digest(signature, digest)
    assert stream(card) == leaving(CORE).listed(1)


@pytest.mark.parametrize(("policy", "purpose"), list(product(range(8), ["GIFT", "SALE", "OTHER"])))
def test_policy(policy: int, purpose: str) -> None:
    """Bound assets stay, gift-only ones leave as gifts, those not for resale as anything but a sale."""
    flags = Policy(policy)
    forbidden = (
        Policy.TRANSFERABLE not in flags
        or (Policy.GIFT_ONLY in flags and purpose != "GIFT")
        or (Policy.NOT_FOR_RESALE in flags and purpose == "SALE")
    )
    card = collector(replace(APE, policy=policy))
    response = card.transmit(transfer(purpose=purpose))
    assert (response == b"\x69\x86") is forbidden
    if forbidden:
        expect(card, "GET_RESULT", 0x6985)
    else:
        shown, question = read_pages(card, response)
        assert {"GIFT": "as a gift", "SALE": "as a sale", "OTHER": "neither"}[purpose] in shown
        respond(card, question, "\0")
    assert stream(card) == replace(APE, policy=policy).listed(1)


def test_what_is_leaving_is_signed_for_again_only_if_it_is_asked_for() -> None:
    card = collector(APE)
    _, first = say_yes(card, transfer())
    assert exchange(card, transfer()) == (b"", 0x6985)
    shown, second = say_yes(card, transfer(attempt="AGAIN", max_fee=40 * 10**9))
    assert "SIGNED ALREADY" in shown
    assert first != second
    assert stream(card) == leaving(APE).listed(1)


@pytest.mark.parametrize(
    ("token", "command", "sw"),
    [
        (APE, transfer(2), 0x6A88),
        (replace(APE, slot=3), transfer(), 0x6A88),
        (replace(APE, standard=5), transfer(), 0x6A81),
        (replace(APE, standard=3), transfer(), 0x6A81),
        (replace(APE, chain=b"\x04ddc", standard=5), transfer(), 0x6A81),
        (replace(APE, chain=b"\xffwhat", contract=b"shop"), transfer(), 0x6A81),
        (APE, transfer(amount=2), 0x6A80),
        (PASSES, transfer(amount=6), 0x6A80),
        (APE, transfer(nonce=b"\0\7"), 0x6A80),
        (APE, transfer(amount=b"\0"), 0x6A80),
        (APE, transfer(storage_limit=1), 0x6A80),
        (APE, transfer(epoch_height=1), 0x6A80),
        (APE, transfer(max_priority_fee=31 * 10**9), 0x6A80),
        (APE, transfer(gas=1 << 64), 0x6A80),
        (APE, transfer(nonce=1 << 64), 0x6A80),
        (APE, transfer()[:-1] + b"\1", 0x6A80),
    ],
)
def test_what_is_refused(token: Token, command: bytes, sw: int) -> None:
    card = collector(token)
    assert exchange(card, command) == (b"", sw)
    expect(card, "GET_RESULT", 0x6985)
    assert stream(card) == token.listed(1)


def test_a_key_of_another_kind_transfers_nothing() -> None:
    card = collector()
    derive(card, SOLANA, ED25519)
    add(card, replace(APE, slot=3))
    assert exchange(card, transfer()) == (b"", 0x6A81)


def test_before_the_bpin() -> None:
    card = by_hand()
    derive(card)
    assert exchange(card, transfer()) == (b"", 0x6982)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("\0", Result.PERFORMED),
        (None, Result.PERFORMED),
        ("\1", Result.TERMINATED_BY_USER),
        ("\1", Result.NO_RESPONSE_FROM_USER),
        ("\1", Result.TERMINAL_UNABLE),
    ],
)
def test_whatever_is_not_a_yes_changes_nothing(text: str | None, code: Result) -> None:
    store = FaultyStore(RamStore())
    card = collector(APE, store=store)
    store.arm(None)
    _, question = read_pages(card, card.transmit(transfer()))
    assert respond(card, question, text, code) == b"\x90\0"
    expect(card, "GET_RESULT", 0x6985)
    assert stream(card) == APE.listed(1)
    assert not store.changes


def come_to(card: Card, stage: int) -> ProactiveCommand | None:
    """Let the user read so many pages."""
    response, command = card.transmit(transfer()), None
    for _ in range(stage):
        command = fetch(card, response)
        if command.type == CommandType.GET_INKEY:
            break
        response = respond(card, command)
    return command


@pytest.mark.parametrize("stage", range(8))
def test_pulling_the_card_changes_nothing(stage: int) -> None:
    store = FaultyStore(RamStore())
    card = collector(APE, store=store)
    store.arm(None)
    come_to(card, stage)
    card.reset()
    select(card)
    expect(card, "GET_RESULT", 0x6985)
    assert stream(card) == APE.listed(1)
    assert not store.changes


def test_a_closed_channel_changes_nothing() -> None:
    card = by_hand()
    derive(card)
    number = open_channel(card)
    select(card, on=number)
    enter(card, card.transmit(apdu("VERIFY_BPIN", on=number)), BPIN)
    exchange(card, apdu("ADD_ASSET", on=number, asset=APE.new()))
    _, question = read_pages(card, card.transmit(transfer(on=number)))
    expect(card, "MANAGE_CHANNEL", operation="CLOSE", channel=number)
    respond(card, question, "\1")
    assert stream(card) == APE.listed(1)
    expect(card, "GET_RESULT", 0x6985)


def test_another_seed_meanwhile_signs_nothing() -> None:
    from helpers import KEY2, seal

    card = collector(APE)
    _, question = read_pages(card, card.transmit(transfer()))
    expect(card, "RESTORE_SEED", key2=KEY2, ciphertext=seal(bytes(16), KEY2))
    respond(card, question, "\1")
    expect(card, "GET_RESULT", 0x6985)
    assert stream(card) == b""


def test_what_was_taken_off_the_list_meanwhile_stays_off_it() -> None:
    card = collector(APE)
    _, question = read_pages(card, card.transmit(transfer()))
    expect(card, "REMOVE_ASSET", number=1)
    add(card, APE)
    assert respond(card, question, "\1") == b"\x90\0"
    expect(card, "GET_RESULT")
    assert stream(card) == APE.listed(2)


def test_a_mark_that_cannot_be_written_signs_nothing() -> None:
    store = FailingStore()
    card = collector(APE, store=store)
    _, question = read_pages(card, card.transmit(transfer()))
    store.broken = True
    assert respond(card, question, "\1") == b"\x65\x81"
    store.broken = False
    expect(card, "GET_RESULT", 0x6985)
    assert stream(card) == APE.listed(1)


def test_the_mark_is_one_record_written_before_the_signature() -> None:
    store = FaultyStore(RamStore())
    card = collector(APE, PASSES, store=store)
    store.arm(None)
    say_yes(card, transfer())
    assert [set(changes) for changes in store.changes] == [{"asset.000000"}]
