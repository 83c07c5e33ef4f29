"""The wallet applet against everything that is known of the real card, and everything chosen where it is silent."""

import hashlib
from collections.abc import Mapping
from types import ModuleType

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from ecdsa.util import sigdecode_der
from helpers import (
    BPIN,
    COMMANDS,
    CONFLUX,
    DIGEST,
    ED25519,
    ENTROPY,
    ETHEREUM,
    KEY2,
    MNEMONIC,
    SECP256K1,
    SOLANA,
    apdu,
    bare_card,
    bip39_seed,
    by_hand,
    cmac,
    derive,
    ed25519_key,
    enter,
    exchange,
    expect,
    export,
    fetch,
    new_card,
    open_card,
    open_channel,
    public_key,
    record,
    respond,
    seal,
    secp256k1_key,
    select,
    send,
    sign,
    signature,
    unseal,
    verified_card,
)
from mnemonic import Mnemonic
from sha3 import keccak_256

from bsim.applets.wallet_session import WalletRules
from bsim.crypto import envelope, p256, sm2
from bsim.crypto.derive import Scheme
from bsim.crypto.slip10 import Slip10P256, Slip10Sm2
from bsim.ports import Card
from bsim.profiles import PROFILES, Profile, power_on
from bsim.store import RamStore

N = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
ENVELOPE = seal(ENTROPY, KEY2)


def restore_raw(key2: bytes, blob: bytes) -> bytes:
    """RESTORE SEED as the wallet app writes it: the lengths in one byte each, whatever they are."""
    data = bytes((0xB1, len(key2))) + key2 + bytes((0xB2, len(blob))) + blob
    assert len(data) <= 255
    return b"\x80\x76\x00\x01" + bytes((len(data),)) + data


# Known: the bytes a wallet app sends, written out, and what it accepts.


def test_commands_as_the_wallet_app_writes_them() -> None:
    card = new_card()
    assert exchange(card, "00A4040010A000000533C000FF860000000000054D00")[1] == 0x9000
    assert exchange(card, "00CA000002") == (b"\x00\x51", 0x9000)
    assert exchange(card, "80A8000205 0000003C 01") == (b"", 0x9000)
    assert exchange(card, "807C000000") == (b"", 0x9000)
    assert exchange(card, "80C8000000") == (record(ETHEREUM, 1), 0x9000)
    der, sw = exchange(card, "80AC000025 0000003C 01" + DIGEST.hex())
    assert (der, sw) == (signature(ETHEREUM, 1), 0x9000)
    blob, sw = exchange(card, "8074000108 5061737377307264")
    assert (unseal(blob, KEY2), sw) == (ENTROPY, 0x9000)
    assert card.transmit(restore_raw(KEY2, blob)) == b"\x90\x00"
    assert exchange(card, "80C8000000") == (b"", 0x9000)


@pytest.mark.parametrize(
    "raw", ["807C0000", "807C000000", "80C80000", "80C8000000", "00CA0000", "00CA000000", "00CA000002"]
)
def test_commands_without_data_come_with_and_without_a_fifth_byte(raw: str) -> None:
    assert exchange(new_card(), raw)[1] == 0x9000


def test_ethereum_slot_1_is_the_second_account_everyone_knows() -> None:
    card = new_card()
    derive(card)
    point = export(card)[-64:]
    assert keccak_256(point).digest()[-20:].hex() == "70997970c51812dc3a010c7d01b50e0d17dc79c8"


def test_slots_are_one_counter_over_all_coins() -> None:
    card = new_card()
    slots = [(ETHEREUM, SECP256K1), (CONFLUX, SECP256K1), (SOLANA, ED25519), (ETHEREUM, SECP256K1), (0, SECP256K1)]
    slots += [(354, ED25519), (SOLANA, SECP256K1), (2**31 - 1, SECP256K1), (2**31 - 1, ED25519)]
    for coin_type, algorithm in slots:
        derive(card, coin_type, algorithm)
    wanted = [record(coin_type, number, algorithm) for number, (coin_type, algorithm) in enumerate(slots, 1)]
    assert export(card) == b"".join(wanted)


@pytest.mark.parametrize("slots", [0, 1, 3, 4, 19, 127])
def test_export_in_segments_of_256(slots: int) -> None:
    card = new_card()
    derive(card, CONFLUX, count=slots)
    segments, sw = [], 0x6300
    while sw == 0x6300:
        segment, sw = send(card, "EXPORT_PUBKEYS", part="NEXT" if segments else "FIRST")
        segments.append(segment)
        assert sw == (0x6300 if len(b"".join(segments)) < 73 * slots else 0x9000)
    assert [len(segment) for segment in segments[:-1]] == [256] * (len(segments) - 1)
    assert len(segments) == max(1, -(-73 * slots // 256)) <= 64
    stream = b"".join(segments)
    assert len(stream) == 73 * slots
    for at in range(slots):
        assert stream[73 * at : 73 * at + 8] == b"\xc2\x47" + CONFLUX.to_bytes(4, "big") + bytes((at + 1, 1))
    assert stream[:73] == (record(CONFLUX, 1) if slots else b"")
    assert stream[73 * (slots - 1) :][:73] == (record(CONFLUX, slots) if slots else b"")
    expect(card, "EXPORT_PUBKEYS", 0x6985, part="NEXT")


def test_export_of_19_slots_has_the_form_of_a_real_cards() -> None:
    card = new_card()
    derive(card, count=19)
    segments = [send(card, "EXPORT_PUBKEYS", part="FIRST")]
    segments += [send(card, "EXPORT_PUBKEYS", part="NEXT") for _ in range(5)]
    assert [(len(data), sw) for data, sw in segments] == [(256, 0x6300)] * 5 + [(107, 0x9000)]
    stream = b"".join(data for data, _ in segments)
    assert len(stream) == 1387
    assert [stream[at : at + 2] for at in range(0, 1387, 73)] == [b"\xc2\x47"] * 19


def test_a_segment_that_ends_with_the_stream_is_the_last() -> None:
    # Objects of 73 and of 41 bytes: the first mixture that fills its segments to the last byte.
    mixtures = ((a, b) for a in range(1, 127) for b in range(1, 128 - a))
    long, short = next((a, b) for a, b in mixtures if (73 * a + 41 * b) % 256 == 0)
    card = new_card()
    derive(card, CONFLUX, SECP256K1, long)
    derive(card, SOLANA, ED25519, short)
    found = [send(card, "EXPORT_PUBKEYS", part="FIRST")]
    while found[-1][1] == 0x6300:
        found.append(send(card, "EXPORT_PUBKEYS", part="NEXT"))
    assert {len(data) for data, _ in found} == {256}
    assert found[-1][1] == 0x9000


def test_first_begins_again_and_next_wants_a_first() -> None:
    card = new_card()
    derive(card, count=8)
    expect(card, "EXPORT_PUBKEYS", 0x6985, part="NEXT")
    first = send(card, "EXPORT_PUBKEYS", part="FIRST")
    second = send(card, "EXPORT_PUBKEYS", part="NEXT")
    assert first != second
    assert send(card, "EXPORT_PUBKEYS", part="FIRST") == first
    assert send(card, "EXPORT_PUBKEYS", part="NEXT") == second


def test_an_export_is_not_disturbed_by_what_else_the_app_sends() -> None:
    card = verified_card()
    derive(card, count=8)
    stream = export(card)
    data, sw = send(card, "EXPORT_PUBKEYS", part="FIRST")
    sign(card)
    derive(card)
    expect(card, "GET_VERSION")
    while sw == 0x6300:
        more, sw = send(card, "EXPORT_PUBKEYS", part="NEXT")
        data += more
    assert data == stream, "the stream is the one that was begun"


@pytest.mark.parametrize("slot", [0, 2, 127, 128, 255])
def test_slots_that_are_none(slot: int) -> None:
    card = verified_card()
    derive(card)
    sign(card, slot, sw=0x6A88)
    sign(card, 1)


def test_there_is_no_slot_128() -> None:
    card = verified_card()
    derive(card, count=127)
    before = export(card)
    derive(card, sw=0x6A84)
    derive(card, SOLANA, ED25519, sw=0x6A84)
    assert export(card) == before
    assert sign(card, 127) == signature(ETHEREUM, 127)


@pytest.mark.parametrize(
    ("profile", "algorithm"),
    [("extended", 0), ("extended", 5), ("extended", 0x7F), ("strict", 0xFF), ("strict", 3), ("strict", 4)],
)
def test_unknown_algorithms(profile: str, algorithm: int) -> None:
    card = new_card(profile=profile)
    assert exchange(card, apdu("DERIVE_KEY", coin_type=60, algorithm=1)[:-1] + bytes((algorithm,))) == (b"", 0x6A80)
    assert export(card) == b""


@pytest.mark.parametrize(
    ("algorithm", "scheme", "module"), [(3, Slip10Sm2(), sm2), (4, Slip10P256(), p256)], ids=["SM2", "P-256"]
)
def test_slots_on_the_curves_of_permissioned_chains(algorithm: int, scheme: Scheme, module: ModuleType) -> None:
    card = verified_card()
    derive(card, ETHEREUM, algorithm, count=2)
    head = ETHEREUM.to_bytes(4, "big")
    with scheme.derive(bip39_seed(MNEMONIC), "m/44'/60'/0'/0/2") as node:
        public_key = module.public_key(node.secret)
    assert export(card).endswith(b"\xc2\x47" + head + bytes((2, algorithm)) + public_key)
    assert module.verify(public_key, DIGEST, sign(card, 2))
    sign(card, 2, digest=DIGEST[1:], sw=0x6A80)
    card.reset()
    select(card)
    assert len(export(card)) == 2 * 73


@pytest.mark.parametrize("coin_type", [2**31, 2**32 - 1])
def test_coin_types_that_cannot_be_hardened(coin_type: int) -> None:
    card = new_card()
    derive(card, coin_type, sw=0x6A80)
    assert export(card) == b""


@pytest.mark.parametrize("profile", ["strict", "extended"])
@pytest.mark.parametrize("ins", range(0xD0, 0xE0))
def test_ins_d0_to_df_are_the_extended_profiles(profile: str, ins: int) -> None:
    card = new_card(profile=profile)
    there = profile == "extended" and any(
        command.ins == ins and command.cla == (0x80,) for command in COMMANDS.values() if command.applet == "wallet"
    )
    assert (exchange(card, bytes((0x80, ins, 0xFF, 0xFF)))[1] == 0x6D00) is not there
    assert exchange(card, bytes((0x00, ins, 0, 0))) == (b"", 0x6D00)


def test_the_app_may_go_on_while_the_user_types() -> None:
    """It sends EXPORT PUBKEYS and GET VERSION while the dialogue is open, and may derive."""
    card = by_hand()
    question = card.transmit(apdu("VERIFY_BPIN"))
    derive(card_waiting(card, question))
    asked = fetch(card, question)
    assert export(card) == record(ETHEREUM, 1)
    assert expect(card, "GET_VERSION") == b"\x00\x51"
    derive(card, CONFLUX)
    sign(card, sw=0x6982)
    assert respond(card, asked, BPIN) == b"\x90\x00"
    sign(card)


def card_waiting(card: Card, response: bytes) -> Card:
    """Every success says again that a command waits, until it is fetched."""

    class Waiting:
        def reset(self) -> bytes:
            raise AssertionError

        def transmit(self, command: bytes) -> bytes:
            found = card.transmit(command)
            assert found[-2:] == response[-2:]
            return found[:-2] + b"\x90\x00"

    return Waiting()


# Seeds.


def test_generate_seed_on_a_blank_card() -> None:
    card = new_card(blank=True)
    derive(card, sw=0x6A88)
    expect(card, "EXPORT_PUBKEYS", 0x6A88, part="FIRST")
    expect(card, "EXPORT_PUBKEYS", 0x6A88, part="NEXT")
    expect(card, "GENERATE_SEED")
    expect(card, "GENERATE_SEED", 0x6985)
    derive(card)
    expect(card, "VERIFY_BPIN")
    entropy = unseal(expect(card, "EXPORT_SEED", key2=KEY2), KEY2)
    assert len(entropy) == 32
    assert export(card) == record(ETHEREUM, 1, seed=bip39_seed(Mnemonic("english").to_mnemonic(entropy)))


def test_two_cards_do_not_generate_the_same_seed() -> None:
    seeds = set()
    for _ in range(2):
        store = RamStore()
        bare_card(blank=True, store=store)
        card = power_on(store)  # with the randomness of the system
        select(card)
        expect(card, "GENERATE_SEED")
        derive(card)
        seeds.add(export(card))
    assert len(seeds) == 2


def test_a_blank_card_verifies_the_bpin_it_was_shipped_with() -> None:
    card = by_hand(blank=True)
    response = card.transmit(apdu("VERIFY_BPIN"))
    assert enter(card, response, "111111") != b"\x90\x00"
    card = by_hand(blank=True)
    assert enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN) == b"\x90\x00"
    sign(card, sw=0x6A88)
    expect(card, "EXPORT_SEED", 0x6A88, key2=KEY2)


def test_export_seed_is_opened_by_its_description() -> None:
    card = verified_card()
    blob = expect(card, "EXPORT_SEED", key2=KEY2)
    assert blob[0] == 1
    assert len(blob) == 1 + 16 + 12 + 16 + 16
    assert unseal(blob, KEY2) == ENTROPY
    again = expect(card, "EXPORT_SEED", key2=KEY2)
    assert again[1:17] != blob[1:17], "the salt is new each time"
    assert again[17:29] != blob[17:29], "and so is the nonce"


@pytest.mark.parametrize("words", [12, 15, 18, 21, 24])
def test_backups_of_mnemonics_of_every_length(words: int) -> None:
    entropy = bytes(range(words * 4 // 3))
    card = new_card(blank=True)
    assert card.transmit(restore_raw(KEY2, seal(entropy, KEY2))) == b"\x90\x00"
    expect(card, "VERIFY_BPIN")
    derive(card)
    assert unseal(expect(card, "EXPORT_SEED", key2=b"other"), b"other") == entropy
    assert export(card) == record(ETHEREUM, 1, seed=bip39_seed(Mnemonic("english").to_mnemonic(entropy)))


def test_a_wallet_restored_on_a_second_card_has_the_same_keys() -> None:
    first = verified_card()
    runs = [(ETHEREUM, SECP256K1)] * 3 + [(SOLANA, ED25519)] * 2 + [(CONFLUX, SECP256K1)]
    for coin_type, algorithm in runs:
        derive(first, coin_type, algorithm)
    second = new_card(blank=True)
    assert second.transmit(restore_raw(KEY2, expect(first, "EXPORT_SEED", key2=KEY2))) == b"\x90\x00"
    for coin_type, algorithm in runs:
        derive(second, coin_type, algorithm)
    assert export(first) == export(second)
    expect(second, "VERIFY_BPIN")
    assert sign(first, 2) == sign(second, 2)


def test_restore_empties_all_slots_and_forgets_the_old_keys() -> None:
    card = verified_card()
    derive(card)
    old = sign(card)
    other = bytes(16)
    assert card.transmit(restore_raw(KEY2, seal(other, KEY2))) == b"\x90\x00"
    assert export(card) == b""
    sign(card, sw=0x6A88)
    derive(card)
    seed = bip39_seed(Mnemonic("english").to_mnemonic(other))
    assert export(card) == record(ETHEREUM, 1, seed=seed)
    assert sign(card) == signature(ETHEREUM, 1, seed=seed) != old


@pytest.mark.parametrize("fetched", [False, True])
def test_restore_while_the_dialogue_is_open(fetched: bool) -> None:
    """The wallet app sends it right after VERIFY BPIN and does not try again."""
    card = by_hand()
    derive(card)
    assert card.transmit(restore_raw(KEY2, ENVELOPE)) == b"\x69\x82"
    response = card.transmit(apdu("VERIFY_BPIN"))
    if fetched:
        fetch(card, response)
    assert card.transmit(restore_raw(KEY2, ENVELOPE)) == (b"\x90\x00" if fetched else response)
    data, sw = send(card, "EXPORT_PUBKEYS", part="FIRST")
    assert (data, sw >> 8) == (b"", 0x90 if fetched else 0x91), "restored: no slots"


def test_restore_wants_the_bpin_of_a_card_that_has_a_seed() -> None:
    card = by_hand()
    derive(card)
    assert card.transmit(restore_raw(KEY2, ENVELOPE)) == b"\x69\x82"
    # A dialogue on another channel, or about changing the BPIN, is not it.
    open_channel(card, 1)
    select(card, on=1)
    asked = fetch(card, card.transmit(apdu("VERIFY_BPIN", on=1)))
    assert card.transmit(restore_raw(KEY2, ENVELOPE)) == b"\x69\x82"
    assert respond(card, asked, result=0x10) == b"\x90\x00"
    fetch(card, card.transmit(apdu("UPDATE_BPIN")))
    assert card.transmit(restore_raw(KEY2, ENVELOPE)) == b"\x69\x82"
    assert export(card) == record(ETHEREUM, 1)


def test_a_dialogue_that_was_cancelled_grants_no_restore() -> None:
    card = by_hand()
    asked = fetch(card, card.transmit(apdu("VERIFY_BPIN")))
    assert respond(card, asked, result=0x10) == b"\x90\x00"
    assert card.transmit(restore_raw(KEY2, ENVELOPE)) == b"\x69\x82"


def test_restore_after_the_bpin_and_on_a_blank_card() -> None:
    assert verified_card().transmit(restore_raw(KEY2, ENVELOPE)) == b"\x90\x00"
    card = bare_card(blank=True)
    select(card)
    assert card.transmit(restore_raw(KEY2, ENVELOPE)) == b"\x90\x00"
    assert card.transmit(restore_raw(KEY2, ENVELOPE)) == b"\x69\x82"


DAMAGED = [ENVELOPE[:at] + bytes((ENVELOPE[at] ^ 1,)) + ENVELOPE[at + 1 :] for at in (0, 1, 16, 17, 28, 29, 44, 45, 60)]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(restore_raw(b"passw0rd", ENVELOPE), id="wrong key2"),
        pytest.param(restore_raw(KEY2 + b" ", ENVELOPE), id="key2 and a blank"),
        *(pytest.param(restore_raw(KEY2, blob), id=f"damaged {number}") for number, blob in enumerate(DAMAGED)),
        pytest.param(restore_raw(KEY2, seal(bytes(17), KEY2)), id="17 bytes of entropy"),
        pytest.param(restore_raw(KEY2, b"\x02" + ENVELOPE[1:]), id="another version"),
        pytest.param(restore_raw(KEY2, ENVELOPE).replace(b"\xb1", b"\xb3", 1), id="another tag"),
        pytest.param(restore_raw(KEY2, ENVELOPE).replace(b"\xb2", b"\xb1", 1), id="the same tag twice"),
    ],
)
def test_what_cannot_be_restored_changes_nothing(raw: bytes) -> None:
    card = verified_card()
    derive(card, count=2)
    before = sign(card, 2)
    assert card.transmit(raw) == b"\x6a\x80"
    assert export(card) == record(ETHEREUM, 1) + record(ETHEREUM, 2)
    assert sign(card, 2) == before
    assert unseal(expect(card, "EXPORT_SEED", key2=KEY2), KEY2) == ENTROPY


def latin1(length: int) -> bytes:
    """A password of that many Latin-1 characters that can be typed, with letters beyond ASCII at its ends."""
    printable = bytes((*range(0xC0, 0x100), *range(0x20, 0x7F), *range(0xA1, 0xC0)))
    return (printable * 2)[:length]


@pytest.mark.parametrize("form", ["one byte", "BER"])
def test_key2_of_every_length(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 to 254 characters. The key derivation is cut to one round: its cost is not what is tested here."""
    monkeypatch.setattr(envelope, "ITERATIONS", 1)
    card = verified_card()
    for length in range(1, 255):
        key2 = latin1(length)
        blob = expect(card, "EXPORT_SEED", key2=key2)
        assert unseal(blob, key2, rounds=1) == ENTROPY
        size = bytes((length,)) if form == "one byte" or length < 128 else bytes((0x81, length))
        data = b"\xb1" + size + key2 + b"\xb2" + bytes((len(blob),)) + blob
        lc = bytes((len(data),)) if len(data) < 256 else b"\0" + len(data).to_bytes(2, "big")
        assert card.transmit(b"\x80\x76\x00\x01" + lc + data) == b"\x90\x00", length


def test_the_longest_key2_has_a_length_in_ber_only() -> None:
    card = verified_card()
    blob = expect(card, "EXPORT_SEED", key2=latin1(255))
    data = b"\xb1\x81\xff" + latin1(255) + b"\xb2\x3d" + blob
    assert card.transmit(b"\x80\x76\x00\x01\x00" + len(data).to_bytes(2, "big") + data) == b"\x90\x00"
    expect(card, "RESTORE_SEED", key2=latin1(255), ciphertext=blob)


def test_one_round_is_not_what_cards_use() -> None:
    assert envelope.ITERATIONS == 100_000
    assert unseal(expect(verified_card(), "EXPORT_SEED", key2=KEY2), KEY2, rounds=100_000) == ENTROPY


# Signatures.


@pytest.mark.parametrize("seed", range(40))
def test_signatures_are_low_s_and_those_of_rfc_6979(seed: int) -> None:
    digest = hashlib.sha256(f"digest {seed}".encode()).digest()
    card = verified_card()
    derive(card, CONFLUX)
    der = sign(card, 1, CONFLUX, digest)
    assert der == signature(CONFLUX, 1, digest)
    r, s = sigdecode_der(der, N)
    assert 0 < r < N
    assert 0 < s <= N // 2
    assert secp256k1_key(CONFLUX, 1).verifying_key.verify_digest(der, digest, sigdecode=sigdecode_der)
    assert sign(card, 1, CONFLUX, digest) == der


@pytest.mark.parametrize("length", [0, 1, 19, 20, 31, 33, 64, 250])
def test_secp256k1_signs_32_bytes_only(length: int) -> None:
    card = verified_card()
    derive(card)
    sign(card, digest=bytes(length), sw=0x6A80)


@pytest.mark.parametrize("digest", [bytes(32), b"\xff" * 32, N.to_bytes(32, "big"), (N + 1).to_bytes(32, "big")])
def test_any_32_bytes_are_a_hash(digest: bytes) -> None:
    card = verified_card()
    derive(card)
    assert sign(card, digest=digest) == signature(ETHEREUM, 1, digest)


def test_the_slots_coin_type_must_be_given() -> None:
    card = verified_card()
    derive(card)
    derive(card, CONFLUX)
    sign(card, 1, CONFLUX, sw=0x6A88)
    sign(card, 2, ETHEREUM, sw=0x6A88)
    # The slot is judged before the length of the hash.
    sign(card, 2, ETHEREUM, digest=b"", sw=0x6A88)
    assert sign(card, 2, CONFLUX) == signature(CONFLUX, 2)


@pytest.mark.parametrize("length", [0, 1, 32, 64, 250])
def test_ed25519_signs_the_bytes_as_they_are(length: int) -> None:
    message = bytes(range(length))
    card = verified_card()
    derive(card)
    derive(card, SOLANA, ED25519)
    exported = export(card)[73:]
    assert exported[:9] == b"\xc2\x27\x00\x00\x01\xf5\x02\x02\x20"
    key = exported[9:]
    assert len(key) == 32
    assert b"\x20" + key == public_key(SOLANA, 2, ED25519)
    made = sign(card, 2, SOLANA, message)
    assert len(made) == 64
    Ed25519PublicKey.from_public_bytes(key).verify(made, message)
    assert made == ed25519_key(SOLANA, 2).sign(message)
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(key).verify(made, message + b"x")


def test_sign_wants_the_bpin() -> None:
    card = new_card()
    derive(card)
    sign(card, sw=0x6982)
    sign(card, 9, sw=0x6982)
    expect(card, "EXPORT_SEED", 0x6982, key2=KEY2)
    expect(card, "VERIFY_BPIN")
    sign(card)


def test_keys_survive_power_and_the_bpin_does_not() -> None:
    store = RamStore()
    card = new_card(store=store)
    derive(card, count=2)
    expect(card, "VERIFY_BPIN")
    made = sign(card, 2)
    card.reset()
    select(card)
    sign(card, 2, sw=0x6982)
    expect(card, "VERIFY_BPIN")
    assert sign(card, 2) == made


# BPIN.


def test_set_bpin_serves_once() -> None:
    store = RamStore()
    card = by_hand(store=store)
    expect(card, "SET_BPIN", bpin=b"654321")
    expect(card, "SET_BPIN", 0x6985, bpin=b"111111")
    assert enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN)[0] == 0x91
    card.reset()
    expect(card, "TERMINAL_PROFILE", profile=b"\xff")
    select(card)
    assert enter(card, card.transmit(apdu("VERIFY_BPIN")), "654321") == b"\x90\x00"
    expect(card, "SET_BPIN", 0x6985, bpin=b"111111")


def test_set_bpin_is_refused_on_a_card_that_came_with_its_own() -> None:
    card = new_card(bpin="999999")
    expect(card, "SET_BPIN", 0x6985, bpin=b"111111")


@pytest.mark.parametrize(
    "bpin", [b"12345a", b"      ", b"12 456", "\u0661\u0662\u0663".encode(), b"\xb2\xb2\xb2\xb2\xb2\xb2", bytes(6)]
)
def test_a_bpin_has_six_ascii_digits(bpin: bytes) -> None:
    card = new_card()
    expect(card, "SET_BPIN", 0x6A80, bpin=bpin)
    expect(card, "VERIFY_BPIN")
    derive(card)
    sign(card)


def test_bpin_is_blocked_after_ten_wrong_ones() -> None:
    card = by_hand()
    derive(card)
    response = card.transmit(apdu("VERIFY_BPIN"))
    for left in range(9, 0, -1):
        response = enter(card, response, "000000")
        assert response[0] == 0x91, left
    response = enter(card, response, "000000")
    told = fetch(card, response)
    assert "blocked" in told.text
    assert respond(card, told) == b"\x90\x00"
    # It stays so without power.
    card.reset()
    expect(card, "TERMINAL_PROFILE", profile=b"\xff")
    select(card)
    expect(card, "VERIFY_BPIN", 0x6983)
    expect(card, "UPDATE_BPIN", 0x6983)
    expect(card, "SET_BPIN", 0x6983, bpin=b"111111")
    sign(card, sw=0x6983)
    expect(card, "EXPORT_SEED", 0x6983, key2=KEY2)
    assert card.transmit(restore_raw(KEY2, ENVELOPE)) == b"\x69\x83"
    derive(card, SOLANA, ED25519)
    assert export(card) == record(ETHEREUM, 1) + record(SOLANA, 2, ED25519), "what needs no BPIN still works"


def test_a_right_bpin_gives_all_tries_back() -> None:
    store = RamStore()
    card = by_hand(store=store)
    response = card.transmit(apdu("VERIFY_BPIN"))
    response = enter(card, response, *["000000"] * 9)
    assert store.read()["wallet.tries"] == b"\x01"
    assert enter(card, response, BPIN) == b"\x90\x00"
    assert store.read()["wallet.tries"] == b"\x0a"


def test_another_channel_that_is_verified_loses_its_right_when_the_bpin_is_blocked() -> None:
    card = by_hand()
    derive(card)
    assert enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN) == b"\x90\x00"
    open_channel(card, 1)
    select(card, on=1)
    enter(card, card.transmit(apdu("VERIFY_BPIN", on=1)), *["000000"] * 10)
    sign(card, sw=0x6983)


class Witness(RamStore):
    """A store that notes the tries at each write, and what the card had said by then."""

    def __init__(self) -> None:
        super().__init__()
        self.tries: list[int] = []

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        super().write(changes)
        if changes.get("wallet.tries") is not None:
            self.tries.append(self.read()["wallet.tries"][0])


def test_a_try_is_written_before_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Witness()
    card = by_hand(store=store)
    seen: list[list[int]] = []

    def compare(entered: bytes, right: bytes) -> bool:
        seen.append(list(store.tries))
        return entered == right

    monkeypatch.setattr("bsim.applets.bpin.compare_digest", compare)
    enter(card, card.transmit(apdu("VERIFY_BPIN")), "000000", BPIN)
    assert seen == [[10, 9], [10, 9, 8]]
    assert store.tries == [10, 9, 8, 10]


def test_power_cut_between_try_and_comparison_costs_the_try(monkeypatch: pytest.MonkeyPatch) -> None:
    store = RamStore()
    card = by_hand(store=store)

    class PowerCut(BaseException):
        pass

    def cut(entered: bytes, right: bytes) -> bool:
        raise PowerCut

    monkeypatch.setattr("bsim.applets.bpin.compare_digest", cut)
    asked = fetch(card, card.transmit(apdu("VERIFY_BPIN")))
    with pytest.raises(PowerCut):
        respond(card, asked, BPIN)
    assert store.read()["wallet.tries"] == b"\x09"


def test_verify_again_opens_no_second_dialogue() -> None:
    card = by_hand()
    response = card.transmit(apdu("VERIFY_BPIN"))
    asked = fetch(card, response)
    assert card.transmit(apdu("VERIFY_BPIN")) == b"\x90\x00"
    assert card.transmit(apdu("VERIFY_BPIN")) == b"\x90\x00"
    assert respond(card, asked, BPIN) == b"\x90\x00"
    assert card.transmit(apdu("VERIFY_BPIN")) == b"\x90\x00"
    expect(card, "FETCH", 0x6985, le=256)


# Profiles.


def profile(monkeypatch: pytest.MonkeyPatch, **rules: bool) -> str:
    made = Profile("ruled", "a card with rules of its own", rules=WalletRules(**rules))
    monkeypatch.setitem(PROFILES, "ruled", made)
    return made.name


def test_a_profile_whose_bpin_lasts_one_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    card = verified_card(profile=profile(monkeypatch, verified_for_one_signature=True))
    derive(card)
    sign(card, 5, sw=0x6A88)
    sign(card, digest=b"short", sw=0x6A80)
    sign(card)
    sign(card, sw=0x6982)
    expect(card, "VERIFY_BPIN")
    sign(card)


def test_a_profile_that_asks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    card = by_hand(profile=profile(monkeypatch, ask_each_time=True))
    derive(card)
    for _ in range(2):
        response = card.transmit(apdu("VERIFY_BPIN"))
        assert response[0] == 0x91
        sign(card, sw=0x6982)
        assert enter(card, response, BPIN) == b"\x90\x00"
        sign(card)
        sign(card)


def test_a_profile_that_demands_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    store = RamStore()
    card = new_card(profile=profile(monkeypatch, opening_required=True), store=store)
    refused = (
        apdu("GET_VERSION"),
        apdu("SET_BPIN", bpin=b"111111"),
        apdu("VERIFY_BPIN"),
        apdu("UPDATE_BPIN"),
        apdu("DERIVE_KEY", coin_type=60, algorithm=1),
        apdu("SIGN", coin_type=60, slot=1, digest=DIGEST),
        apdu("EXPORT_PUBKEYS", part="FIRST"),
        apdu("EXPORT_SEED", key2=KEY2),
        restore_raw(KEY2, ENVELOPE),
    )
    for raw in refused:
        assert exchange(card, raw) == (b"", 0x6982), raw.hex()
    open_card(card)
    assert expect(card, "GET_VERSION") == b"\x00\x51"
    derive(card)
    expect(card, "VERIFY_BPIN")
    sign(card)
    card.reset()
    select(card)
    assert export(card) == record(ETHEREUM, 1), "card opening is done once"


def test_a_blank_card_that_demands_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    card = new_card(blank=True, profile=profile(monkeypatch, opening_required=True))
    expect(card, "GENERATE_SEED", 0x6982)
    open_card(card)
    expect(card, "GENERATE_SEED")


# Card opening.


def test_card_opening() -> None:
    card = new_card()
    expect(card, "WRITE_SESSION_KEY", 0x6982, key=b"k" * 16)
    challenge = expect(card, "GET_CHALLENGE")
    assert len(challenge) == 16
    expect(card, "EXTERNAL_AUTHENTICATE", cryptogram=cmac(challenge))
    expect(card, "WRITE_SESSION_KEY", key=b"k" * 16)
    expect(card, "WRITE_SESSION_KEY", key=b"k")
    expect(card, "WRITE_SESSION_KEY", key=b"k" * 255)
    expect(card, "EXTERNAL_AUTHENTICATE", 0x6985, cryptogram=cmac(challenge))
    card.reset()
    select(card)
    expect(card, "EXTERNAL_AUTHENTICATE", 0x6985, cryptogram=cmac(expect(card, "GET_CHALLENGE")))
    expect(card, "WRITE_SESSION_KEY", 0x6982, key=b"k")


def test_a_challenge_serves_once() -> None:
    card = new_card()
    first = expect(card, "GET_CHALLENGE")
    expect(card, "EXTERNAL_AUTHENTICATE", 0x6300, cryptogram=bytes(16))
    expect(card, "EXTERNAL_AUTHENTICATE", 0x6984, cryptogram=cmac(first))
    second = expect(card, "GET_CHALLENGE")
    assert second != first
    expect(card, "EXTERNAL_AUTHENTICATE", 0x6300, cryptogram=cmac(first))
    expect(card, "WRITE_SESSION_KEY", 0x6982, key=b"k")
    expect(card, "EXTERNAL_AUTHENTICATE", cryptogram=cmac(expect(card, "GET_CHALLENGE")))


def test_a_challenge_is_that_of_its_channel() -> None:
    card = new_card()
    open_channel(card, 1)
    select(card, on=1)
    challenge = expect(card, "GET_CHALLENGE")
    expect(card, "EXTERNAL_AUTHENTICATE", 0x6984, on=1, cryptogram=cmac(challenge))
    expect(card, "EXTERNAL_AUTHENTICATE", cryptogram=cmac(challenge))
    expect(card, "WRITE_SESSION_KEY", 0x6982, on=1, key=b"k")


@pytest.mark.parametrize("key", [bytes(16), bytes(range(0x41, 0x51))])
def test_opening_with_another_key(key: bytes) -> None:
    card = new_card()
    expect(card, "EXTERNAL_AUTHENTICATE", 0x6300, cryptogram=cmac(expect(card, "GET_CHALLENGE"), key))


def test_the_seed_is_that_of_the_mnemonic() -> None:
    """The oracle's own footing: its seed is the one the authors of BIP-39 make."""
    assert bip39_seed() == Mnemonic.to_seed(MNEMONIC)
    assert bytes(Mnemonic("english").to_entropy(MNEMONIC)) == ENTROPY
