"""Authentication with a network: published sets, a real card's answer, and an oracle that shares no code with us."""

import os
import random
import subprocess
from dataclasses import dataclass
from functools import cache
from shutil import which

import pytest
from helpers import SPEC, Judge, bare_card, exchange, expect, select
from vectors import load

from bsim.crypto.milenage import Milenage, Xor, kc, opc_of, sres
from bsim.crypto.sequence import SLOTS, fresh, highest
from bsim.profiles import personalisation, ram_card, subscription

SETS = load("milenage")["vectors"]
USIM = SPEC.applets["usim"].aids[0]
ISIM = bytes.fromhex("A0000000871004")
AUTHENTICATIONS = 1_000
RAND = bytes(range(16))


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def card_of(k: bytes, opc: bytes = bytes(16), algorithm: str = "milenage", aid: bytes = USIM) -> Judge:
    person = personalisation(blank=True, sim=subscription(ki=k.hex(), opc=opc.hex(), algorithm=algorithm))
    card = Judge(ram_card(person))
    select(card, aid)
    return card


def authenticate(card, rand: bytes, autn: bytes, context: str = "UMTS") -> tuple[bytes, int]:
    challenge = b"\x10" + rand + (b"\x10" + autn if context == "UMTS" else b"")
    head = bytes((0x00, 0x88, 0x00, 0x81 if context == "UMTS" else 0x80, len(challenge)))
    return exchange(card, head + challenge + b"\0")


def parts(answer: bytes) -> list[bytes]:
    """What a successful answer holds: RES, CK, IK and, of a USIM, Kc."""
    assert answer[0] == 0xDB
    found, rest = [], answer[1:]
    while rest:
        found.append(rest[1 : 1 + rest[0]])
        rest = rest[1 + rest[0] :]
    return found


@pytest.fixture(params=SETS, ids=lambda entry: f"set {entry['set']}")
def published(request):
    return {name: bytes.fromhex(value) for name, value in request.param.items() if name != "set"}


def test_functions_of_every_set(published):
    assert opc_of(published["k"], published["op"]) == published["opc"]
    algorithm = Milenage(published["k"], published["opc"])
    assert algorithm.mac(published["rand"], published["sqn"], published["amf"]) == published["f1"]
    assert algorithm.mac_resync(published["rand"], published["sqn"], published["amf"]) == published["f1_star"]
    vector = algorithm.vector(published["rand"])
    found = (vector.res, vector.ck, vector.ik, vector.ak, vector.ak_resync)
    assert found == tuple(published[name] for name in ("f2", "f3", "f4", "f5", "f5_star"))
    assert (sres(vector), kc(vector)) == (published["sres"], published["kc"])


def test_the_card_answers_every_set(published):
    card = card_of(published["k"], published["opc"])
    autn = xor(published["sqn"], published["f5"]) + published["amf"] + published["f1"]
    answer, sw = authenticate(card, published["rand"], autn)
    assert sw == 0x9000
    assert parts(answer) == [published[name] for name in ("f2", "f3", "f4", "kc")]
    wanted = b"\x04" + published["sres"] + b"\x08" + published["kc"]
    assert authenticate(card, published["rand"], b"", "GSM") == (wanted, 0x9000)
    expect(card, "GSM_SELECT", identifier=b"\x3f\x00")
    expect(card, "GSM_SELECT", identifier=b"\x7f\x20")
    assert expect(card, "RUN_GSM_ALGORITHM", rand=published["rand"]) == published["sres"] + published["kc"]


def test_the_known_answer_of_a_real_card():
    k, op = bytes.fromhex("56c3a6da347ae7e43c69d37576725d81"), bytes.fromhex("e0012b514f84eca9bfd6182bee345e2c")
    person = personalisation(blank=True, sim=subscription(ki=k.hex(), op=op.hex()))
    card = Judge(ram_card(person))
    select(card, USIM)
    rand = bytes.fromhex("e85b2b7fe58f0e6239b32543d3e3259a")
    answer, sw = authenticate(card, rand, bytes.fromhex("7928ea47ae090000ca8ab1f93c7cb03a"))
    assert sw == 0x9000
    assert [part.hex() for part in parts(answer)] == [
        "13484811d553ab35",
        "0f93c4807f4ff57c6cd348fea590c06d",
        "608e7bff4856c73e363e795b165a4158",
        "35f08eda84d3b377",
    ]


# The oracle: osmo-auc-gen of libosmocore-utils.


@dataclass(frozen=True)
class Challenge:
    """What osmo-auc-gen makes of a key, a number and a challenge."""

    rand: bytes
    autn: bytes
    ck: bytes
    ik: bytes
    res: bytes
    sres: bytes
    kc: bytes


@cache
def oracle() -> str:
    found = which("osmo-auc-gen")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("osmo-auc-gen is missing: run tools/setup-system")
        pytest.skip("osmo-auc-gen is not there; tools/setup-system installs it")
    return found


def osmo(k: bytes, opc: bytes, sqn: int, rand: bytes, amf: str = "8000", *more: str) -> dict[str, str]:
    command = [oracle(), "-3", "-a", "milenage", "-k", k.hex(), "-o", opc.hex(), "-f", amf, "-s", str(sqn)]
    said = subprocess.run([*command, "-r", rand.hex(), *more], capture_output=True, text=True, check=True).stdout
    return dict(line.split(":\t") for line in said.splitlines() if ":\t" in line)


def challenge(k: bytes, opc: bytes, sqn: int, rand: bytes) -> Challenge:
    said = osmo(k, opc, sqn, rand)
    values = [bytes.fromhex(said[name]) for name in ("RAND", "AUTN", "CK", "IK", "RES", "SRES", "Kc")]
    return Challenge(*values)


def test_a_thousand_random_authentications_agree_with_osmo_auc_gen():
    generator = random.Random("osmo-auc-gen")
    card, k, opc, sqn = None, b"", b"", 0
    for number in range(AUTHENTICATIONS):
        if number % 50 == 0:
            k, opc, sqn = generator.randbytes(16), generator.randbytes(16), generator.randrange(1, 1 << 32)
            card = card_of(k, opc)
        sqn += generator.randrange(SLOTS, 1 << 20)
        wanted = challenge(k, opc, sqn, generator.randbytes(16))
        answer, sw = authenticate(card, wanted.rand, wanted.autn)
        assert sw == 0x9000
        assert parts(answer) == [wanted.res, wanted.ck, wanted.ik, wanted.kc], (number, k.hex(), opc.hex(), sqn)
        gsm, sw = authenticate(card, wanted.rand, b"", "GSM")
        assert (gsm, sw) == (b"\x04" + wanted.sres + b"\x08" + wanted.kc, 0x9000)


def test_a_resynchronisation_is_one_to_osmo_auc_gen():
    generator = random.Random("AUTS")
    k, opc = generator.randbytes(16), generator.randbytes(16)
    card = card_of(k, opc)
    high = 0x123456789A * SLOTS + 7
    taken = challenge(k, opc, high, generator.randbytes(16))
    assert authenticate(card, taken.rand, taken.autn)[1] == 0x9000
    stale = challenge(k, opc, high - SLOTS, generator.randbytes(16))
    answer, sw = authenticate(card, stale.rand, stale.autn)
    assert (answer[:2], sw, len(answer)) == (b"\xdc\x0e", 0x9000, 16)
    said = osmo(k, opc, 0, stale.rand, "8000", "-A", answer[2:].hex())
    assert int(said["SQN.MS"]) == high
    # The network goes on from there.
    again = challenge(k, opc, int(said["SQN.MS"]) + SLOTS, generator.randbytes(16))
    assert authenticate(card, again.rand, again.autn)[1] == 0x9000


# What goes wrong.


def autn_of(algorithm, sqn: int, rand: bytes = RAND, amf: bytes = b"\x80\x00") -> bytes:
    number = sqn.to_bytes(6, "big")
    return xor(number, algorithm.vector(rand).ak) + amf + algorithm.mac(rand, number, amf)


@pytest.mark.parametrize("bit", range(128))
def test_any_flipped_bit_of_autn_is_a_mac_failure(bit):
    k, opc = b"k" * 16, b"o" * 16
    card = card_of(k, opc)
    autn = int.from_bytes(autn_of(Milenage(k, opc), 64), "big") ^ (1 << bit)
    assert authenticate(card, RAND, autn.to_bytes(16, "big")) == (b"", 0x9862)
    assert authenticate(card, RAND, autn_of(Milenage(k, opc), 64))[1] == 0x9000, "nothing was taken"


def test_numbers_are_fresh_by_index():
    """3GPP TS 33.102 C.2.2 and C.3.2: each index has its own highest number."""
    k, opc = b"k" * 16, b"o" * 16
    card, algorithm = card_of(k, opc), Milenage(b"k" * 16, b"o" * 16)

    def answer(sequence: int, index: int) -> int:
        data, sw = authenticate(card, RAND, autn_of(algorithm, sequence * SLOTS + index))
        assert sw == 0x9000
        return data[0]

    assert answer(0, 3) == 0xDC
    assert answer(5, 3) == 0xDB
    assert answer(5, 3) == answer(4, 3) == 0xDC
    assert answer(2, 4) == 0xDB
    assert answer(6, 3) == 0xDB
    assert answer(2, 4) == 0xDC


def test_what_was_taken_survives_power_loss():
    k, opc = b"k" * 16, b"o" * 16
    card, autn = card_of(k, opc), autn_of(Milenage(b"k" * 16, b"o" * 16), 4096)
    assert authenticate(card, RAND, autn)[0][0] == 0xDB
    card.reset()
    select(card, USIM)
    assert authenticate(card, RAND, autn)[0][0] == 0xDC


def test_sequence_numbers():
    none = (0,) * SLOTS
    assert fresh(31, none) is None
    taken = fresh(32 * 9 + 4, none)
    assert taken is not None
    assert highest(taken) == 32 * 9 + 4
    assert highest(none) == 0


def test_the_test_algorithm():
    """3GPP TS 34.108 8.1.2, written out by hand."""
    k = bytes(range(16, 32))
    card = card_of(k, algorithm="xor")
    out = xor(k, RAND)
    sqn, amf = (SLOTS * 7).to_bytes(6, "big"), b"\x80\x00"
    autn = xor(sqn, out[3:9]) + amf + xor(out[:8], sqn + amf)
    answer, sw = authenticate(card, RAND, autn)
    ck, ik = out[1:] + out[:1], out[2:] + out[:2]
    assert sw == 0x9000
    assert parts(answer)[:3] == [out, ck, ik]
    assert authenticate(card, RAND, b"", "GSM") == (b"\x04" + out[:4] + b"\x08" + out[4:12], 0x9000)
    assert Xor(k).vector(RAND).res == out


def test_an_isim_authenticates_without_a_gsm_key():
    k, opc = b"k" * 16, b"o" * 16
    card = card_of(k, opc, aid=ISIM)
    answer, sw = authenticate(card, RAND, autn_of(Milenage(k, opc), 64))
    assert sw == 0x9000
    assert [len(part) for part in parts(answer)] == [8, 16, 16]
    assert authenticate(card, RAND, b"", "GSM") == (b"", 0x9864)


def test_no_application_no_authentication():
    card = bare_card()
    assert authenticate(card, RAND, RAND) == (b"", 0x6985)
    select(card, USIM)
    assert authenticate(card, RAND, b"") == (b"", 0x6A80), "AUTN has no bytes"
    assert exchange(card, "0088008011 0F" + "00" * 16) == (b"", 0x6A80)
    assert exchange(card, "0088008111 10" + "00" * 16) == (b"", 0x6A80)


def test_keys_show_nowhere():
    person = subscription(ki="41" * 16, opc="42" * 16, pin1="4321", puk1="87651234")
    assert not any(secret in repr(person) for secret in ("AAAA", "BBBB", "4321", "8765", "\\x41", "4141"))
