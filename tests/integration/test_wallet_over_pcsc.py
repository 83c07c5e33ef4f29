"""A wallet's whole life through the real PC/SC stack: the wallet app's bytes, and a terminal served by hand."""

import hashlib
import shutil
import subprocess

import pytest
from ecdsa import SECP256k1, VerifyingKey
from ecdsa.util import sigdecode_der

import bsim
from bsim.card import T0

pytestmark = pytest.mark.pcsc

MNEMONIC = "legal winner thank year wave sausage worth useful legal winner thank yellow"
SELECT_WALLET = "00A4040010A000000533C000FF860000000000054D"
COINS = [(60, 1), (503, 1), (501, 2), (0, 1), (354, 2)]
PLAN = [COINS[n % len(COINS)] for n in range(20)]


class Bench:
    """A T=0 client: follows 61xx, repeats on 6Cxx, and serves 91xx with the digits it is given."""

    def __init__(self, connection):
        self.connection = connection
        self.statuses = []

    def tpdu(self, command):
        data, sw1, sw2 = self.connection.transmit(list(bytes.fromhex(command)))
        self.statuses.append(f"{sw1:02X}{sw2:02X}")
        return bytes(data), sw1, sw2

    def send(self, command):
        data, sw1, sw2 = self.tpdu(command)
        if sw1 == 0x6C:
            data, sw1, sw2 = self.tpdu(command[:8] + f"{sw2:02X}")
        while sw1 == 0x61:
            more, sw1, sw2 = self.tpdu(f"{command[:2]}C00000{sw2:02X}")
            data += more
        return data, sw1 << 8 | sw2

    def ok(self, command):
        data, sw = self.send(command)
        assert sw == 0x9000, f"{command} -> {sw:04X}"
        return data

    def fetch(self, sw):
        assert sw >> 8 == 0x91
        data, sw = self.send(f"80120000{sw & 0xFF:02X}")
        assert sw == 0x9000
        return data

    def type_digits(self, fetched, digits):
        number = fetched[fetched.index(b"\x81\x03") + 2]
        text = (b"\x04" + digits.encode()).hex()
        answer = f"8103{number:02X}2304 82028281 830100 8D{len(digits) + 1:02X}{text}".replace(" ", "")
        return self.send(f"80140000{len(answer) // 2:02X}{answer}")[1]

    def export(self):
        segments = [self.send("80C8000000")]
        while segments[-1][1] == 0x6300:
            segments.append(self.send("80C8000100"))
        assert segments[-1][1] == 0x9000
        return [data for data, _ in segments]


def records(stream):
    """The C2 objects of an export, read by hand."""
    found = []
    while stream:
        assert stream[0] == 0xC2
        found.append(stream[2 : 2 + stream[1]])
        stream = stream[2 + stream[1] :]
    return found


def verify_bpin(bench, digits):
    """VERIFY BPIN, typing each of `digits` in turn; answers the texts that were shown."""
    sw, shown = bench.send("807C000000")[1], []
    for entry in digits:
        fetched = bench.fetch(sw)
        shown.append(fetched)
        sw = bench.type_digits(fetched, entry)
    assert sw == 0x9000
    return shown


def test_a_wallet_from_first_key_to_restored_backup(insert):
    one = Bench(insert(T0(bsim.new_card(mnemonic=MNEMONIC, handset="none"))).connection)
    bench = one
    bench.ok(SELECT_WALLET)
    assert bench.ok("00CA000002") == bytes.fromhex("0051")
    bench.ok("8010000003010007")

    for coin, algorithm in PLAN:
        bench.ok(f"80A8000205{coin:08X}{algorithm:02X}")
    segments = bench.export()
    assert [len(segment) for segment in segments[:-1]] == [256] * (len(segments) - 1)
    exported = records(b"".join(segments))
    assert [(int.from_bytes(r[:4], "big"), r[4], r[5]) for r in exported] == [
        (coin, slot, algorithm) for slot, (coin, algorithm) in enumerate(PLAN, 1)
    ]

    digest = hashlib.sha256(b"a transaction").digest()
    sign = f"80AC0000250000003C01{digest.hex()}"
    assert bench.send(sign)[1] == 0x6982
    shown = verify_bpin(bench, ["000000", "111111", "123456"])
    assert [b"9 tries left" in shown[1], b"8 tries left" in shown[2]] == [True, True]
    key = VerifyingKey.from_string(exported[0][6:], curve=SECP256k1)
    assert key.verify_digest(bench.ok(sign), digest, sigdecode=sigdecode_der)

    key2 = b"Passw0rd"
    backup = bench.ok(f"80740001{len(key2):02X}{key2.hex()}")

    two = Bench(insert(T0(bsim.new_card(blank=True, handset="none")), slot=1).connection)
    two.ok(SELECT_WALLET)
    assert two.send("80C8000000")[1] == 0x6A88
    body = f"B1{len(key2):02X}{key2.hex()}B2{len(backup):02X}{backup.hex()}"
    two.ok(f"80760001{len(body) // 2:02X}{body}")
    for coin, algorithm in PLAN:
        two.ok(f"80A8000205{coin:08X}{algorithm:02X}")
    assert two.export() == segments
    assert {"61", "6C", "91"} <= {status[:2] for status in one.statuses}


def test_channels(insert):
    bench = Bench(insert(T0(bsim.new_card(handset="none"))).connection)
    assert bench.ok("0070000001") == b"\x01"
    bench.ok("0070000300")
    bench.ok("01" + SELECT_WALLET[2:])
    bench.ok("03A4040007A0000001510000")
    assert bench.ok("01CA000002") == bytes.fromhex("0051")
    assert bench.ok("83CA001100")[:2] == bytes.fromhex("110A")
    assert bench.send("00CA000002")[1] == 0x6D00
    bench.ok("0070800100")
    assert bench.send("01CA000002")[1] == 0x6881
    assert bench.ok("83CA001100")[:2] == bytes.fromhex("110A")


def test_nineteen_keys_come_out_in_the_real_cards_form(insert):
    bench = Bench(insert(T0(bsim.new_card(handset="none"))).connection)
    bench.ok(SELECT_WALLET)
    for _ in range(19):
        bench.ok("80A80002050000003C01")
    segments = bench.export()
    assert [len(segment) for segment in segments] == [256] * 5 + [107]
    stream = b"".join(segments)
    assert [stream[at : at + 2].hex() for at in range(0, len(stream), 73)] == ["c247"] * 19
    assert bench.statuses.count("6300") == 5


def test_what_the_phone_shows_is_signed_through_the_reader(insert):
    """T=0 has no extended APDUs: payloads go as chains, and long answers come back by GET RESPONSE."""
    inserted = insert(T0(bsim.new_card(mnemonic=MNEMONIC)))
    inserted.connection.disconnect()
    card = bsim.open_card(f"reader:{inserted.reader}")
    wallet = bsim.Wallet(card)
    account = wallet.derive(60)
    assert wallet.status().slots == 1
    wallet.verify_bpin()
    assert wallet.verified()
    payload = bytes.fromhex(
        "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080"
    )
    message = b"A message of more than one APDU. " * 60
    for signed in (wallet.sign_transaction(1, payload), wallet.sign_message(1, message)):
        key = VerifyingKey.from_string(account.public_key, curve=SECP256k1)
        assert key.verify_digest(signed.der, signed.digest, sigdecode=sigdecode_der)
    assert wallet.address(1) == account.address
    assert wallet.attest(1).verify() == ""
    card.close()


def run(tool, arguments, environment, text=None):
    path = shutil.which(tool)
    assert path, f"{tool} is missing: run tools/setup-system"
    done = subprocess.run(
        [path, *arguments], input=text, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


@pytest.fixture
def environment(pcscd):
    return {"PATH": "/usr/bin:/bin", "LANG": "C", **pcscd.environment}


def test_opensc_tool_sees_the_card(insert, environment):
    inserted = insert(T0(bsim.new_card()))
    inserted.connection.disconnect()
    reader = ["--reader", inserted.reader]
    assert "3b:8b:80" in run("opensc-tool", [*reader, "--atr"], environment)
    said = run("opensc-tool", [*reader, "-s", SELECT_WALLET, "-s", "00CA000002"], environment)
    assert "(SW1=0x90, SW2=0x00):\n00 51" in said, said


def test_scriptor_sees_the_card(insert, environment):
    inserted = insert(T0(bsim.new_card()))
    inserted.connection.disconnect()
    said = run("scriptor", ["-r", inserted.reader, "-p", "T=0"], environment, f"{SELECT_WALLET}\n00CA000002\n")
    assert "61 14" in said, said
    assert "00 51 90 00" in said, said
