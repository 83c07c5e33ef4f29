"""The client's calls for cards of the extended profile: status, keys, payloads, attestation. Strict cards have none."""

import io
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from helpers import BPIN, ENTROPY, MNEMONIC, CountingRng, bare_card
from test_confirm import DIGEST, UNSIGNED

import bsim
from bsim.apdu import CommandApdu
from bsim.chains import evm, personal
from bsim.client import Attestation, CardError
from bsim.client.signing import named
from bsim.crypto import verify
from bsim.crypto.algorithm import Algorithm
from bsim.handset import in_handset
from bsim.profiles import authority, personalisation, personalise, power_on
from bsim.profiles.life import factory_reset, terminate
from bsim.store import RamStore


def wallet(handset: str = "right", **options: object) -> bsim.Wallet:
    if not options.get("blank"):
        options = {"mnemonic": MNEMONIC, **options}
    return bsim.Wallet(bsim.new_card(handset=handset, **options), wait=0)  # type: ignore[arg-type]


class Counting:
    """A card whose commands are kept."""

    def __init__(self, card: bsim.Card) -> None:
        self.card = card
        self.sent: list[bytes] = []

    def reset(self) -> bytes:
        return self.card.reset()

    def transmit(self, command: bytes) -> bytes:
        self.sent.append(command)
        return self.card.transmit(command)


def test_status_tells_what_one_would_try() -> None:
    card = wallet()
    fresh = card.status()
    assert (fresh.life_cycle, fresh.tries, fresh.seed, fresh.slots, fresh.verified) == (
        "personalised",
        10,
        True,
        0,
        False,
    )
    assert fresh.dialogue == "NONE"
    assert fresh.version == card.version()
    assert set(fresh.algorithms) == set(Algorithm)
    assert {"evm", "conflux", "sign-in"} <= {bsim_family(code) for code in fresh.families}
    card.derive(60)
    card.verify_bpin()
    used = card.status()
    assert (used.slots, used.verified) == (1, True)


def bsim_family(code: int) -> str:
    from bsim.chains import FAMILIES

    return FAMILIES[code].name


@pytest.mark.parametrize(
    ("options", "life", "tries"),
    [
        ({"state": "factory", "blank": True}, "factory", 10),
        ({"state": "recovery", "blank": True}, "recovery", 10),
        ({"bpin": "654321"}, "operational", 10),
        ({"state": "one-try-left"}, "operational", 1),
        ({"state": "locked"}, "blocked", 0),
        ({"state": "terminated"}, "terminated", 10),
    ],
)
def test_status_in_every_state(options: dict[str, object], life: str, tries: int) -> None:
    found = wallet(**options).status()
    assert (found.life_cycle, found.tries) == (life, tries)


def test_status_while_the_user_types() -> None:
    card = wallet("silent")
    card.verify_bpin()
    assert card.status().dialogue == "VERIFY_BPIN"
    other = wallet("silent")
    other.update_bpin()
    assert other.status().dialogue == "UPDATE_BPIN"
    reading = wallet("right,silent")
    reading.derive(60)
    reading.verify_bpin()
    with pytest.raises(CardError):
        reading.sign_transaction(1, UNSIGNED)
    assert reading.status().dialogue == "CONFIRMATION"


def test_verified_is_waited_for_and_told() -> None:
    assert not wallet("silent").verified()
    right = wallet()
    right.verify_bpin()
    assert right.verified()
    wrong = wallet("wrong")
    wrong.verify_bpin()
    with pytest.raises(CardError) as blocked:
        wrong.verified()
    assert blocked.value.sw == 0x6983


@pytest.mark.parametrize("seed", [MNEMONIC, ENTROPY, MNEMONIC.upper(), f"  {MNEMONIC.replace(' ', '   ')} "])
def test_a_known_seed_is_imported(seed: str | bytes) -> None:
    card = wallet(blank=True)
    card.import_seed(seed)
    assert card.derive(60).address == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    with pytest.raises(CardError) as refusal:
        card.import_seed(seed)
    assert refusal.value.sw == 0x6985


@pytest.mark.parametrize(
    "seed", [b"\1" * 15, b"\1" * 33, "test " * 12, "abandon", MNEMONIC[:-5], "x" * 512, "\u00e9" * 200]
)
def test_what_is_no_seed_is_refused(seed: str | bytes) -> None:
    card = wallet(blank=True)
    with pytest.raises(CardError) as refusal:
        card.import_seed(seed)
    assert refusal.value.sw == 0x6A80
    assert not card.status().seed


def test_a_long_mnemonic_comes_in_a_chain_and_is_never_shown() -> None:
    from mnemonic import Mnemonic

    words = Mnemonic("english").to_mnemonic(bytes(range(32)))
    counting = Counting(bsim.new_card(blank=True))
    card = bsim.Wallet(counting)
    card.import_seed(words + " " * 200)  # spacing is of no account, and makes it longer than one APDU
    assert [raw[0] for raw in counting.sent[1:]] == [0x90, 0x80]
    assert card.status().seed
    from bsim.spec import spec
    from bsim.spec.decode import Decoder

    decoder = Decoder(spec())
    for raw in counting.sent:
        decoded = decoder.command(raw)
        assert words.split()[0].encode().hex().upper() not in decoded.shown
        if decoded.name == "IMPORT_SEED":
            assert set(decoded.shown.split()[1]) == {"*"}


def test_addresses_are_the_cards_own() -> None:
    card = wallet()
    for coin, algorithm in (
        (60, Algorithm.SECP256K1),
        (503, Algorithm.SECP256K1),
        (501, Algorithm.ED25519),
        (0, Algorithm.SECP256K1),
    ):
        card.derive(coin, algorithm)
    accounts = card.accounts()
    assert [card.address(slot) for slot in (1, 2, 3)] == [account.address for account in accounts[:3]]
    for slot, sw in ((4, 0x6A81), (5, 0x6A88), (0, 0x6A88)):
        with pytest.raises(CardError) as refusal:
            card.address(slot)
        assert refusal.value.sw == sw


def test_a_transaction_is_signed_and_ready_to_send() -> None:
    card = wallet()
    card.derive(60)
    card.verify_bpin()
    signed = card.sign_transaction(1, UNSIGNED)
    assert signed.digest == DIGEST
    assert signed.summary.title == "Send 1 ETH"
    # EIP-155: v is 37 or 38 on chain 1.
    v = signed.raw[-67]
    assert v in {37, 38}
    recovered = verify.recover(signed.digest, signed.der, v - 37)
    assert evm.address(recovered) == card.account(1).address


def test_what_the_user_does_not_approve_is_not_signed() -> None:
    for script, sw in (("no", 0x6985), ("right,cancel", 0x6985), ("right,silent", 0x6982)):
        card = wallet(script)
        card.derive(60)
        card.verify_bpin()
        with pytest.raises(CardError) as refusal:
            card.sign_transaction(1, UNSIGNED)
        assert (refusal.value.command, refusal.value.sw) == ("GET_RESULT", sw)


def test_a_slow_user_is_waited_for_and_the_payload_sent_twice_at_most() -> None:
    passed = 0.0

    def sleep(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    from bsim.handset import Handset, ScriptedUser

    store = RamStore()
    personalise(store, personalisation(mnemonic=MNEMONIC))
    inner = Handset(ScriptedUser("right@5s,yes@7s", BPIN), clock=lambda: passed).insert(power_on(store))
    counting = Counting(inner)
    card = bsim.Wallet(counting, sleep=sleep)
    card.derive(60)
    card.verify_bpin()
    signed = card.sign_message(1, b"x" * 1000)
    assert signed.raw[-1] in {27, 28}
    assert passed == 12
    assert sum(raw[1] == 0xD3 for raw in counting.sent) == 2 * 4, "four parts, twice: before the BPIN and after it"


def test_a_card_that_signs_something_else_is_found_out() -> None:
    class Lying(Counting):
        def transmit(self, command: bytes) -> bytes:
            if command[1] == 0xD3:
                command = CommandApdu.parse(command).encode()[:-1] + b"\x01"
            return super().transmit(command)

    card = bsim.Wallet(Lying(bsim.new_card(mnemonic=MNEMONIC)))
    card.derive(60)
    card.verify_bpin()
    with pytest.raises(ValueError, match="something else"):
        card.sign_message(1, b"hello")


def test_core_space_has_its_own_families() -> None:
    card = wallet()
    card.derive(503)
    card.verify_bpin()
    signed = card.sign_message(1, b"hello")
    assert signed.family.name == "cip23-personal"
    assert signed.raw[-1] in {0, 1}
    card.derive(0)
    with pytest.raises(ValueError, match="of what family"):
        card.sign_transaction(2, UNSIGNED)
    with pytest.raises(ValueError, match="no family 'none'"):
        named("none")


@pytest.mark.parametrize("algorithm", [Algorithm.SM2, Algorithm.P256])
def test_keys_of_permissioned_chains(algorithm: Algorithm) -> None:
    card = wallet()
    account = card.derive(60, algorithm)
    assert account.algorithm is algorithm
    assert len(account.public_key) == 65
    strict = wallet(profile="strict")
    with pytest.raises(CardError) as refusal:
        strict.derive(60, algorithm)
    assert refusal.value.sw == 0x6A80


@pytest.mark.parametrize(
    "call",
    [
        lambda card: card.status(),
        lambda card: card.address(1),
        lambda card: card.sign_message(1, b"hello"),
        lambda card: card.policies(),
        lambda card: card.attest(1),
        lambda card: card.import_seed(ENTROPY),
    ],
)
def test_strict_cards_have_none_of_it(call) -> None:
    card = wallet(profile="strict")
    card.derive(60)
    card.verify_bpin()
    with pytest.raises(CardError) as refusal:
        call(card)
    assert refusal.value.sw == 0x6D00


# Attestation, checked with `cryptography` and from the description in applet_spec.


def independent(found: Attestation) -> None:
    certificate = x509.load_der_x509_certificate(found.certificate)
    certificate.verify_directly_issued_by(x509.load_der_x509_certificate(authority.certificate()))
    signature = found.fields["signature"]
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    parts = [found.fields[name] for name in ("asked", "public_key", "coin_type", "slot", "algorithm", "iccid")]
    statement = b"bsim attestation 1" + b"".join(
        bytes((0x80 + number, len(part))) + part for number, part in enumerate(parts)
    )
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(der, statement, ec.ECDSA(SHA256()))


def test_a_card_proves_that_a_key_lives_in_it() -> None:
    card = wallet()
    for coin, algorithm in ((60, Algorithm.SECP256K1), (501, Algorithm.ED25519), (60, Algorithm.SM2)):
        account = card.derive(coin, algorithm)
        found = card.attest(account.slot)
        assert found.verify() == ""
        independent(found)
        assert found.fields["public_key"] == account.public_key
        assert found.iccid == card.iccid()
    assert card.attest(1, b"12345678").challenge == b"12345678"


def test_the_authority_signed_itself_and_may_sign_device_keys_only() -> None:
    own = x509.load_der_x509_certificate(authority.certificate())
    own.verify_directly_issued_by(own)
    constraints = own.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    issued = x509.load_der_x509_certificate(wallet_with_key().attest(1).certificate)
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert issued.subject != issued.issuer == own.subject


def wallet_with_key() -> bsim.Wallet:
    card = wallet()
    card.derive(60)
    return card


def test_what_proves_nothing_is_told() -> None:
    mine, other = wallet_with_key().attest(1), wallet_with_key().attest(1)
    assert mine.verify(other.certificate) == "the certificate is not the authority's"
    assert Attestation(mine.challenge, mine.fields, other.certificate).verify() == "the certificate is another card's"
    assert Attestation(b"another1", mine.fields, mine.certificate).verify() == "it answers another challenge"
    for name in ("public_key", "coin_type", "slot", "algorithm", "signature"):
        value = mine.fields[name]
        changed = {**mine.fields, name: value[:-1] + bytes((value[-1] ^ 1,))}
        assert (
            Attestation(mine.challenge, changed, mine.certificate).verify() == "the signature is not the device key's"
        )
    assert Attestation(mine.challenge, {**mine.fields, "signature": bytes(64)}, mine.certificate).verify()
    assert Attestation(mine.challenge, mine.fields, b"0\x00").verify()


def test_the_device_key_is_made_once_and_kept() -> None:
    store = RamStore()
    first = in_handset(bare_card(store=store), "right", BPIN)
    assert not store.read()["signing.device_key"] if "signing.device_key" in store.read() else True
    card = bsim.Wallet(first)
    card.derive(60)
    before = card.attest(1)
    assert len(store.read()["signing.device_key"]) == 32
    again = bsim.Wallet(in_handset(power_on(store, CountingRng()), "right", BPIN)).attest(1)
    assert again.certificate == before.certificate
    factory_reset(store)
    assert len(store.read()["signing.device_key"]) == 32, "a device stays what it is"
    terminate(store)
    assert store.read()["signing.device_key"] == store.read()["signing.certificate"] == b""


def test_a_secret_that_is_none_is_drawn_again() -> None:
    class Odd:
        calls = 0

        def __call__(self, length: int, /) -> bytes:
            self.calls += 1
            return b"\xff" * length if self.calls == 1 else b"\5" * length

    odd = Odd()
    card = bsim.Wallet(in_handset(bare_card(rng=odd), "right", BPIN))
    card.derive(60)
    assert card.attest(1).verify() == ""
    assert odd.calls == 2


# Typed data and transactions of JSON, on the command line.

TYPED = {
    "types": {"Mail": [{"name": "to", "type": "address"}, {"name": "contents", "type": "string"}]},
    "primaryType": "Mail",
    "domain": {"name": "Post", "chainId": 1},
    "message": {"to": "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC", "contents": "Hello"},
}
LOGIN = """example.org wants you to sign in with your Ethereum account:
0x70997970C51812dc3A010C7d01b50e0d17dc79C8


URI: https://example.org/login
Version: 1
Chain ID: 1
Nonce: 32891756
Issued At: 2026-01-01T12:00:00Z"""


@pytest.fixture
def keyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("BSIM_PASSPHRASE", "correct horse")
    path = tmp_path / "card.bsim"
    from bsim.cli import main

    assert main(["new", str(path), "--mnemonic", MNEMONIC]) == 0
    for coin in ("ethereum", "conflux"):
        assert main(["wallet", "derive", coin, "--on", str(path)]) == 0
    return str(path)


def command_line(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    from bsim.cli import main

    capsys.readouterr()
    assert main(["wallet", *words]) == code
    said = capsys.readouterr()
    return said.out, said.err


def test_a_transaction_of_a_file(keyed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bsim.cli.demo_story import samples

    file = tmp_path / "tx.json"
    file.write_text((samples() / "transfer.json").read_text())
    out, _ = command_line(capsys, "tx", str(file), "--on", keyed)
    assert out.startswith("Send 0.25 ETH\n")
    assert "Sepolia" in out
    assert "0x02f8" in out
    found = json.loads(command_line(capsys, "tx", str(file), "--on", keyed, "--json")[0])
    assert found["address"] == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    assert found["summary"]["hidden"] == []
    recovered = verify.recover(bytes.fromhex(found["digest"]), bytes.fromhex(found["der"]), found["recovery_id"])
    assert evm.address(recovered) == found["address"]
    _, err = command_line(capsys, "tx", str(file), "--on", keyed, "--handset", "no", code=1)
    assert "nothing was signed: the user of the phone did not say yes" in err
    file.write_text(json.dumps({**json.loads(file.read_text()), "nonce": None}))
    assert "nonce" in command_line(capsys, "tx", str(file), "--on", keyed, code=2)[1]


def test_what_is_for_another_account_is_not_signed_with_the_first(
    keyed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bsim.cli.demo_story import samples

    own, other = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
    fields = json.loads((samples() / "transfer.json").read_text())
    file = tmp_path / "tx.json"
    file.write_text(json.dumps({**fields, "from": other}))
    err = command_line(capsys, "tx", str(file), "--on", keyed, code=2)[1]
    assert f"{other} is no account of this card" in err
    assert "--slot" in err
    command_line(capsys, "tx", str(file), "--on", keyed, "--slot", "1")
    file.write_text(json.dumps({**fields, "from": own.lower()}))
    command_line(capsys, "tx", str(file), "--on", keyed)
    file.write_text(LOGIN.replace(own, other))
    assert f"{other} is no account" in command_line(capsys, "login", str(file), "--on", keyed, code=2)[1]


def test_a_sign_in_of_core_space_finds_its_slot(keyed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    core = json.loads(command_line(capsys, "accounts", "--on", keyed, "--json")[0])[1]["address"]
    own = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    file = tmp_path / "message.txt"
    file.write_text(LOGIN.replace("Ethereum", "Conflux").replace(own, core).replace("Chain ID: 1", "Chain ID: 1029"))
    assert json.loads(command_line(capsys, "login", str(file), "--on", keyed, "--json")[0])["slot"] == 2


def test_an_account_is_found_whatever_the_coin_its_key_was_made_for(
    keyed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bsim.cli.demo_story import samples

    for coin in ("61", "966"):
        command_line(capsys, "derive", coin, "--on", keyed)
    key = json.loads(command_line(capsys, "accounts", "--on", keyed, "--json")[0])[3]["public_key"]
    file = tmp_path / "tx.json"
    fields = json.loads((samples() / "transfer.json").read_text())
    file.write_text(json.dumps({**fields, "from": evm.address(bytes.fromhex(key))}))
    assert json.loads(command_line(capsys, "tx", str(file), "--on", keyed, "--json")[0])["slot"] == 4


def test_core_transactions_find_their_slot(keyed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "core.json"
    fields = {
        "nonce": 0,
        "gasPrice": 1,
        "gas": 21000,
        "value": 1,
        "storageLimit": 0,
        "epochHeight": 1,
        "chainId": 1029,
        "data": "0x",
    }
    file.write_text(json.dumps({**fields, "to": "cfx:aanc7psgu815udhk9u9tyussyhj5cwss7jhfsnxnsk"}))
    found = json.loads(command_line(capsys, "tx", str(file), "--on", keyed, "--json")[0])
    assert (found["family"], found["slot"]) == ("conflux", 2)
    assert "6A80" in command_line(capsys, "tx", str(file), "--on", keyed, "--slot", "1", code=1)[1]
    assert "no key in slot 9" in command_line(capsys, "tx", str(file), "--on", keyed, "--slot", "9", code=2)[1]


def test_messages(keyed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "message"
    file.write_bytes(b"Hello")
    told = [
        json.loads(command_line(capsys, "message", *words, "--on", keyed, "--json")[0])["raw"]
        for words in (("Hello",), ("--hex", "48656c6c6f"), ("--file", str(file)))
    ]
    assert len(set(told)) == 1
    assert len(told[0]) == 2 + 130
    core = json.loads(command_line(capsys, "message", "Hello", "--slot", "2", "--on", keyed, "--json")[0])
    assert core["family"] == "cip23-personal"
    for words in ((), ("Hello", "--hex", "00")):
        assert "one message" in command_line(capsys, "message", *words, "--on", keyed, code=2)[1]


def test_what_was_signed_does_not_steer_the_terminal(keyed: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = command_line(capsys, "message", "--hex", b"\x1b]0;a\x07\xe2\x80\xaeb".hex(), "--on", keyed)
    assert "<1B>]0;a<7><202E>b" in out
    assert all(one.isprintable() or one == "\n" for one in out)


def test_a_message_that_is_not_text_is_refused_in_words(keyed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        "not text" in command_line(capsys, "message", "\udcff", "--on", keyed, code=2)[1]
    )  # as Python reads the byte FF


def test_typed_data_of_a_file(keyed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "typed.json"
    file.write_text(json.dumps(TYPED))
    found = json.loads(command_line(capsys, "typed-data", str(file), "--on", keyed, "--json")[0])
    assert found["family"] == "typed-data"
    file.write_text("[]")
    assert "an object is wanted" in command_line(capsys, "typed-data", str(file), "--on", keyed, code=2)[1]


def test_logging_in_and_being_remembered(keyed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "message.txt"
    file.write_text(LOGIN)
    assert "no domain may log in" in command_line(capsys, "policies", "--on", keyed)[0]
    out, _ = command_line(capsys, "login", str(file), "--on", keyed, "--remember", "3", "--until", "2030-01-01")
    assert out.startswith("Sign in to example.org\n")
    table, _ = command_line(capsys, "policies", "--on", keyed)
    assert "example.org" in table
    assert "2030-01-01T00:00:00Z" in table
    file.write_text(LOGIN.replace("12:00:00", "12:00:01"))
    command_line(capsys, "login", str(file), "--on", keyed, "--handset", "right,cancel")
    (policy,) = json.loads(command_line(capsys, "policies", "--on", keyed, "--json")[0])
    assert (policy["uses"], policy["last"]) == (2, "2026-01-01T12:00:01Z")
    assert "no domain" in command_line(capsys, "policies", "--forget", "1", "--on", keyed)[0]
    assert "6A88" in command_line(capsys, "policies", "--forget", "1", "--on", keyed, code=1)[1]
    for words in (
        ("--remember", "3"),
        ("--until", "2030-01-01"),
        ("--remember", "0", "--until", "2030"),
        ("--remember", "1", "--until", "soon"),
    ):
        command_line(capsys, "login", str(file), "--on", keyed, *words, code=2)
    file.write_text(LOGIN.replace("12:00:00", "12:00:02") + "\n")  # as editors end a file
    signed = json.loads(command_line(capsys, "login", str(file), "--on", keyed, "--json")[0])
    assert signed["digest"] == personal.digest(personal.ETH_PREFIX, file.read_bytes()[:-1]).hex()
    file.write_text(LOGIN.replace("https://example.org", "https://example.com"))
    assert "URI" in command_line(capsys, "login", str(file), "--on", keyed, code=2)[1]


def test_status_address_and_attestation(keyed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "life cycle  personalised" in command_line(capsys, "status", "--on", keyed)[0]
    found = json.loads(command_line(capsys, "status", "--on", keyed, "--json")[0])
    assert (found["slots"], found["verified"], found["dialogue"]) == (2, False, "none")
    address, _ = command_line(capsys, "address", "--slot", "2", "--on", keyed)
    assert address.startswith("cfx:")
    proof = json.loads(
        command_line(capsys, "attest", "--slot", "1", "--challenge", "00" * 8, "--on", keyed, "--json")[0]
    )
    assert proof["verified"] is True
    assert (
        "8 to 64 bytes" in command_line(capsys, "attest", "--slot", "1", "--challenge", "00", "--on", keyed, code=2)[1]
    )
    assert "6A88" in command_line(capsys, "attest", "--slot", "9", "--on", keyed, code=1)[1]
    for verb in ("attest", "address"):
        for slot in ("-1", "0", "128", "300"):
            assert "--slot: 1 to 127" in command_line(capsys, verb, "--slot", slot, "--on", keyed, code=2)[1]


def test_a_seed_is_imported_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bsim.cli import main

    monkeypatch.setenv("BSIM_PASSPHRASE", "correct horse")
    path, words = str(tmp_path / "blank.bsim"), tmp_path / "words"
    assert main(["new", path, "--blank"]) == 0
    assert "--file" in command_line(capsys, "import", "--on", path, code=2)[1]  # no terminal to ask on
    monkeypatch.setattr("sys.stdin", io.StringIO(MNEMONIC + "\n"))
    command_line(capsys, "import", "--file", "-", "--on", path)
    words.write_text(MNEMONIC + "\n")
    command_line(capsys, "derive", "ethereum", "--on", path)
    assert (
        command_line(capsys, "address", "--slot", "1", "--on", path)[0].strip()
        == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    )
    assert "6985" in command_line(capsys, "import", "--file", str(words), "--on", path, code=1)[1]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "neither a mnemonic nor its entropy"),
        ("\n", "neither a mnemonic nor its entropy"),
        ("0x\n", "neither a mnemonic nor its entropy"),
        ("abandon " * 100, "secret has 1 to 512 bytes"),
    ],
)
def test_what_no_seed_can_be_is_refused_and_not_repeated(
    given: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bsim.cli import main

    monkeypatch.setenv("BSIM_PASSPHRASE", "correct horse")
    path, words = str(tmp_path / "blank.bsim"), tmp_path / "words"
    assert main(["new", path, "--blank"]) == 0
    words.write_text(given)
    said = command_line(capsys, "import", "--file", str(words), "--on", path, code=2)
    assert told in said[1]
    assert "abandon" not in "".join(said)


def test_a_digest_of_another_length_costs_its_user_nothing(keyed: str, capsys: pytest.CaptureFixture[str]) -> None:
    for digest in ("", "0x12", "aa" * 31, "aa" * 300):
        said = command_line(capsys, "sign", "--slot", "1", "--handset", "wrong", digest, "--on", keyed, code=2)[1]
        assert f"a digest of 32 bytes, and this has {len(digest.removeprefix('0x')) // 2}" in said
    assert command_line(capsys, "status", "--json", "--on", keyed)[0].find('"tries": 10') > 0
    assert "no coin" in command_line(capsys, "derive", "9" * 5000, "--on", keyed, code=2)[1]


def test_strict_cards_say_so_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bsim.cli import main

    monkeypatch.setenv("BSIM_PASSPHRASE", "correct horse")
    path = str(tmp_path / "strict.bsim")
    assert main(["new", path, "--profile", "strict"]) == 0
    command_line(capsys, "derive", "ethereum", "--on", path)
    assert "only cards of the extended profile" in command_line(capsys, "status", "--on", path, code=1)[1]
    assert "only cards of the extended profile" in command_line(capsys, "message", "hi", "--on", path, code=1)[1]
    command_line(capsys, "sign", "--slot", "1", "9c" * 32, "--on", path)
