"""The wallet's side on any card: what it sends, how long it waits, and what it makes of the answers."""

from collections.abc import Callable

import pytest
from helpers import (
    CONFLUX,
    DIGEST,
    ENTROPY,
    ETHEREUM,
    ICCID,
    KEY2,
    SOLANA,
    Judge,
    bare_card,
    by_hand,
    cmac,
    ed25519_key,
    public_key,
    seal,
    signature,
    unseal,
)

import bsim
from bsim.client import Account, CardError, Wallet
from bsim.crypto.algorithm import Algorithm
from bsim.handset import Handset, ScriptedUser, in_handset
from bsim.ports import Card
from bsim.profiles import encode_iccid
from bsim.tlv import TlvError


def never(seconds: float) -> None:
    raise AssertionError("the client waited")


def phone(script: str = "right", *, blank: bool = False) -> Card:
    return in_handset(bare_card(blank=blank), script)


def wallet(script: str = "right", *, blank: bool = False) -> Wallet:
    return Wallet(phone(script, blank=blank), sleep=never)


class Canned:
    """A card that answers what it is told to, in turn, and complains when asked for more."""

    def __init__(self, *answers: str) -> None:
        self.answers = [bytes.fromhex(answer) for answer in answers]
        self.commands: list[str] = []

    def reset(self) -> bytes:
        raise AssertionError("the client resets no card")

    def transmit(self, command: bytes) -> bytes:
        self.commands.append(command.hex().upper())
        return self.answers.pop(0)


def test_every_command_of_the_wallet_as_the_card_takes_it() -> None:
    card = Judge(phone())
    ours = Wallet(card, sleep=never)
    assert ours.version() == b"\x00\x51"
    assert ours.iccid() == ICCID
    ours.set_bpin("123456")
    first = ours.derive(ETHEREUM)
    second = ours.derive(SOLANA, Algorithm.ED25519)
    assert first == Account(1, ETHEREUM, Algorithm.SECP256K1, public_key(ETHEREUM, 1, 1))
    assert second == Account(2, SOLANA, Algorithm.ED25519, public_key(SOLANA, 2, 2)[1:])
    assert ours.accounts() == [first, second]
    ours.verify_bpin()
    assert ours.sign(ETHEREUM, 1, DIGEST) == signature(ETHEREUM, 1)
    assert ours.sign(SOLANA, 2, b"hi") == ed25519_key(SOLANA, 2).sign(b"hi")
    blob = ours.backup(KEY2)
    assert unseal(blob, KEY2) == ENTROPY
    ours.restore(KEY2, blob, [(account.coin_type, account.algorithm) for account in (first, second)])
    assert ours.accounts() == [first, second]
    ours.update_bpin()
    with pytest.raises(CardError) as refusal:
        ours.generate_seed()
    assert refusal.value.sw == 0x6985
    ours.open(cmac(ours.challenge()))
    ours.write_session_key(b"key")


def test_the_bytes_it_sends() -> None:
    card = Canned("9000", "00519000", "9000", "9000", "C2070000003C010104" + "9000")
    ours = Wallet(card, sleep=never)
    ours.version()
    ours.verify_bpin()
    assert ours.derive(ETHEREUM) == Account(1, ETHEREUM, Algorithm.SECP256K1, b"\x04")
    assert card.commands == [
        "00A4040010A000000533C000FF860000000000054D",
        "00CA000000",
        "807C0000",
        "80A80002050000003C01",
        "80C8000000",
    ]


def test_a_blank_card() -> None:
    ours = wallet(blank=True)
    with pytest.raises(
        CardError, match=r"EXPORT_PUBKEYS: the card answered 6A88 \(referenced data not found\)"
    ) as refusal:
        ours.accounts()
    assert (refusal.value.command, refusal.value.sw) == ("EXPORT_PUBKEYS", 0x6A88)
    ours.generate_seed()
    assert ours.accounts() == []


def test_backups_go_to_another_card() -> None:
    ours, theirs = wallet(), wallet(blank=True)
    runs = [(ETHEREUM, Algorithm.SECP256K1), (CONFLUX, Algorithm.SECP256K1), (SOLANA, Algorithm.ED25519)]
    for coin_type, algorithm in runs:
        ours.derive(coin_type, algorithm)
    ours.verify_bpin()
    theirs.restore(KEY2, ours.backup(KEY2), runs)
    assert theirs.accounts() == ours.accounts()
    with pytest.raises(CardError) as refusal:
        theirs.restore(KEY2, seal(ENTROPY, KEY2))
    assert refusal.value.sw == 0x6982


def test_accounts_tell_their_coin_and_address() -> None:
    ours = wallet()
    account = ours.derive(ETHEREUM)
    assert account.address == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    assert account.coin == "Ether"
    assert ours.derive(987_654).coin == "coin 987654"


def test_many_accounts_come_in_segments() -> None:
    ours = wallet()
    for _ in range(8):
        account = ours.derive(CONFLUX)
    assert [found.slot for found in ours.accounts()] == list(range(1, 9))
    assert ours.accounts()[-1] == account


# Waiting for the user.


class Clock:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


def slow(script: str, wait: float = 30.0) -> tuple[Wallet, Clock]:
    clock = Clock()
    card = Handset(ScriptedUser(script), clock=clock).insert(bare_card())
    ours = Wallet(card, wait=wait, sleep=clock.sleep)
    ours.derive(ETHEREUM)
    ours.verify_bpin()
    return ours, clock


@pytest.mark.parametrize("ask", [lambda w: w.sign(ETHEREUM, 1, DIGEST), lambda w: w.backup(KEY2)])
def test_it_asks_once_a_second_until_the_user_has_typed(ask: Callable[[Wallet], bytes]) -> None:
    ours, clock = slow("right@5s")
    assert len(ask(ours)) > 60
    assert clock.naps == [1.0] * 5


def test_it_gives_up_in_time() -> None:
    ours, clock = slow("silent", wait=30.0)
    with pytest.raises(CardError) as refusal:
        ours.sign(ETHEREUM, 1, DIGEST)
    assert refusal.value.sw == 0x6982
    assert clock.naps == [1.0] * 30


def test_other_refusals_are_not_waited_for() -> None:
    ours = wallet()
    ours.verify_bpin()
    with pytest.raises(CardError) as refusal:
        ours.sign(ETHEREUM, 1, DIGEST)
    assert refusal.value.sw == 0x6A88


def test_no_waiting_at_all() -> None:
    ours = Wallet(phone("silent"), wait=0, sleep=never)
    ours.derive(ETHEREUM)
    with pytest.raises(CardError):
        ours.sign(ETHEREUM, 1, DIGEST)


# Cards that are not ours.


def test_91xx_is_success_as_the_wallet_app_takes_it() -> None:
    card = by_hand()
    ours = Wallet(card, sleep=never)
    ours.verify_bpin()
    ours.verify_bpin()
    assert ours.version() == b"\x00\x51"
    assert ours.derive(ETHEREUM).slot == 1


@pytest.mark.parametrize("length", ["", "20"])
def test_keys_with_and_without_their_length(length: str) -> None:
    key = "11" * 32
    value = "000001F50102" + length + key
    card = Canned("9000", f"C2{len(value) // 2:02X}{value}9000")
    (account,) = Wallet(card, sleep=never).accounts()
    assert account == Account(1, SOLANA, Algorithm.ED25519, bytes.fromhex(key))


def test_uncompressed_keys_with_their_length() -> None:
    key = "04" + "22" * 64
    card = Canned("9000", f"C2480000003C010141{key}9000")
    assert Wallet(card, sleep=never).accounts()[0].public_key == bytes.fromhex(key)


@pytest.mark.parametrize("stream", ["C3070000003C010104", "C2060000003C0101", "C2070000003C0101", "C2"])
def test_exports_that_are_none(stream: str) -> None:
    with pytest.raises(TlvError):
        Wallet(Canned("9000", stream + "9000"), sleep=never).accounts()


def test_a_card_that_never_ends_its_export() -> None:
    card = Canned("9000", *["0000" + "6300"] * 200)
    with pytest.raises(TlvError):
        Wallet(card, sleep=never).accounts()
    assert len(card.commands) == 1 + 1 + 64


def test_a_card_without_the_applet() -> None:
    with pytest.raises(CardError, match="SELECT: the card answered 6A82"):
        Wallet(Canned("6A82"))


def test_the_wallet_is_selected_again_after_a_failed_iccid() -> None:
    card = Canned("9000", "9000", "6A88", "9000")
    ours = Wallet(card, sleep=never)
    with pytest.raises(CardError, match="GET_ICCID"):
        ours.iccid()
    assert card.commands[0] == card.commands[-1]


@pytest.mark.parametrize("digits", ["8985203021088899971", "89860312345678901234"])
def test_iccids_of_19_and_20_digits(digits: str) -> None:
    card = Canned("9000", "9000", "110A" + encode_iccid(digits).hex() + "9000", "9000")
    assert Wallet(card, sleep=never).iccid() == digits


# What is checked before anything is sent.


@pytest.mark.parametrize(
    "call",
    [
        lambda w: w.set_bpin("12345"),
        lambda w: w.derive(-1),
        lambda w: w.derive(2**32),
        lambda w: w.sign(ETHEREUM, 256, DIGEST),
        lambda w: w.sign(ETHEREUM, 1, bytes(251)),
        lambda w: w.backup(b""),
        lambda w: w.backup(bytes(256)),
        lambda w: w.restore(bytes(256), bytes(61)),
        lambda w: w.restore(KEY2, bytes(60)),
        lambda w: w.open(bytes(15)),
    ],
)
def test_what_does_not_fit_is_not_sent(call: Callable[[Wallet], object]) -> None:
    card = Canned("9000")
    ours = Wallet(card, sleep=never)
    with pytest.raises(ValueError, match=r"_|[A-Z]"):
        call(ours)
    assert len(card.commands) == 1


# The public names.


def test_public_api() -> None:
    card = bsim.new_card(mnemonic="test test test test test test test test test test test junk")
    ours = bsim.Wallet(card)
    assert ours.derive(ETHEREUM).address == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    ours.verify_bpin()
    assert ours.sign(ETHEREUM, 1, DIGEST) == signature(ETHEREUM, 1)
    assert bsim.ResponseApdu.parse(card.transmit(bsim.CommandApdu(0, 0xCA, 0, 0, le=2).encode())).data == b"\x00\x51"
    with pytest.raises(AttributeError, match="no attribute 'wallet'"):
        _ = bsim.wallet


def test_new_cards_of_every_kind() -> None:
    with pytest.raises(CardError, match="6A88"):
        bsim.Wallet(bsim.new_card(blank=True)).accounts()
    quiet = bsim.Wallet(bsim.new_card(handset="none", profile="strict"))
    with pytest.raises(CardError, match="6985"):
        quiet.verify_bpin()
    other = bsim.Wallet(bsim.new_card(bpin="999999", handset=Handset(ScriptedUser("right", "999999"))))
    other.derive(ETHEREUM)
    other.verify_bpin()
    assert other.sign(ETHEREUM, 1, DIGEST)
    first, second = (bsim.Wallet(bsim.new_card()).derive(ETHEREUM) for _ in range(2))
    assert first.public_key != second.public_key


@pytest.mark.parametrize(
    "options",
    [
        {"mnemonic": "test test test"},
        {"mnemonic": "test " * 12},
        {"mnemonic": "test", "blank": True},
        {"bpin": "12345"},
        {"bpin": "12345x"},
        {"profile": "other"},
        {"handset": "left"},
    ],
)
def test_cards_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        bsim.new_card(**options)  # type: ignore[arg-type]
    secret = options.get("mnemonic") or options.get("bpin")
    assert str(secret) == "test" or str(secret) not in str(refusal.value)
