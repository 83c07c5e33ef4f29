"""What is left of a card's secrets in the memory of its process: searched for from outside, by the process's parent.

The child never holds what is searched for but in its card: the parent works the keys out from the mnemonic by itself,
so that a find is the card's doing and not the search's.
"""

import hmac
import json
import os
import random
import re
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from ecdsa import SECP256k1, SigningKey
from helpers import MNEMONIC, bip39_seed, running

from bsim.applets.keys import Keys
from bsim.applets.wallet_state import LAYOUT, Slot
from bsim.crypto import ecdsa, mnemonic
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.derive import Bip32, Node, Scheme, Slip10Ed25519
from bsim.crypto.memory import wipe, wipe_unshared
from bsim.crypto.slip10 import Slip10P256, Slip10Sm2
from bsim.profiles import personalisation, personalise
from bsim.store import RamStore

HARD = 1 << 31
SEED = 39
# The slots of the child's card, in order: coin type and algorithm.
SLOTS = ((60, 1), (60, 1), (503, 1), (501, 2))

CHILD = """
import gc, json, sys
from pathlib import Path
from helpers import BPIN, apdu, derive, enter, expect, select, sign
from bsim.applets.wallet_state import WalletState
from bsim.profiles import personalisation, personalise, power_on
from bsim.store import RamStore, SqliteStore

slots, file = json.loads(sys.argv[1]), sys.argv[2]

def at(stage):
    print(stage, flush=True)
    sys.stdin.readline()

def use(card):
    expect(card, "TERMINAL_PROFILE", profile=b"\\xff\\xff\\xff\\xff")
    select(card)
    enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN)
    for number, (coin_type, _) in enumerate(slots, 1):
        sign(card, number, coin_type)

store = SqliteStore(Path(file), create=True) if file else RamStore()
personalise(store, personalisation(mnemonic=sys.stdin.readline().strip()))
card = power_on(store)
select(card)
for coin_type, algorithm in slots:
    derive(card, coin_type, algorithm)
at("derived")
use(card)
at("powered")
card.reset()
at("reset")
use(card)
card.close()
assert not card._applets and card.transmit(apdu("SIGN", coin_type=60, slot=1, digest=bytes(32)))[0] == 0x6D
at("closed")
store = SqliteStore(Path(file)) if file else store
card = power_on(store)
use(card)
del card
gc.collect()
at("dropped")
store.close()
del store
gc.collect()
assert not [thing for thing in gc.get_objects() if type(thing) is WalletState], "a state outlives its card"
# Whatever nobody holds is free memory, and this fills it.
ballast = [bytes((number & 1,)) * size for size in (16, 32, 64) for number in range(100_000)]
at("refilled")
"""


@dataclass(frozen=True)
class Secrets:
    """What must not be found, by name: private keys and chain codes from the root down, in all their spellings."""

    derived: Mapping[str, bytes]
    ready: Mapping[str, bytes]
    stored: Mapping[str, bytes]


def path(coin_type: int, algorithm: int, slot: int) -> tuple[int, ...]:
    last = (HARD, HARD + slot) if algorithm == 2 else (0, slot)
    return (HARD + 44, HARD + coin_type, HARD, *last)


def walk(seed: bytes, coin_type: int, algorithm: int, slot: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Name, secret and chain code of every node from the root to a slot's key. BIP-32 and SLIP-0010."""
    key, name = (b"ed25519 seed" if algorithm == 2 else b"Bitcoin seed"), f"algorithm {algorithm}: m"
    whole = hmac.digest(key, seed, "sha512")
    yield name, whole[:32], whole[32:]
    for index in path(coin_type, algorithm, slot):
        secret = whole[:32]
        point = b"\0" + secret
        if index < HARD:
            point = SigningKey.from_string(secret, SECP256k1).verifying_key.to_string("compressed")
        whole = hmac.digest(whole[32:], point + index.to_bytes(4, "big"), "sha512")
        if algorithm == 1:
            total = (int.from_bytes(whole[:32], "big") + int.from_bytes(secret, "big")) % SECP256k1.order
            whole = total.to_bytes(32, "big") + whole[32:]
        name += f"/{index & ~HARD}" + "'" * (index >= HARD)
        yield name, whole[:32], whole[32:]


def spellings(name: str, secret: bytes) -> dict[str, bytes]:
    """As bytes, as OpenSSL's and libsecp256k1's numbers (little end first), and as Python's (30 bits in each 32)."""
    number = int.from_bytes(secret, "big")
    digits = struct.pack("<9I", *(number >> 30 * at & 0x3FFF_FFFF for at in range(9)))
    return {f"{name}, bytes": secret, f"{name}, limbs": secret[::-1], f"{name}, int": digits}


def secrets_of(words: str, entropy: bytes) -> Secrets:
    seed = bip39_seed(words)
    derived: dict[str, bytes] = {}
    ready: dict[str, bytes] = {}
    for number, (coin_type, algorithm) in enumerate(SLOTS, 1):
        *above, (name, secret, chain_code) = walk(seed, coin_type, algorithm, number)
        ready |= spellings(f"{name} secret", secret)
        derived[f"{name} chain code"] = chain_code
        for ancestor, its_secret, its_chain_code in above:
            derived |= spellings(f"{ancestor} secret", its_secret) | {f"{ancestor} chain code": its_chain_code}
    return Secrets(derived, ready, {"seed": seed, "entropy": entropy})


def find(process: int, wanted: Mapping[str, bytes]) -> set[str]:
    """Which of these lie in the memory that the process can write: heap, stack, everything."""
    found: set[str] = set()
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory, open(f"/proc/{process}/maps") as maps:
        for line in maps:
            span = re.match(r"([0-9a-f]+)-([0-9a-f]+) .w", line)
            if span is None:
                continue
            start, end = (int(number, 16) for number in span.groups())
            content = os.pread(memory.fileno(), end - start, start)
            assert len(content) == end - start
            found |= {name for name, secret in wanted.items() if secret in content}
    return found


def stages(engine: str, native: str, file: str, words: str) -> Iterator[tuple[str, int]]:
    """Run the child and stop it at each of its stages: the stage's name and the child's process id."""
    environment = os.environ | {"BSIM_ENGINE": engine, "BSIM_NATIVE": native, "PYTHONPATH": str(Path(__file__).parent)}
    command = ("-W", "error", "-c", CHILD, json.dumps(SLOTS), file)
    with running(*command, stdin=subprocess.PIPE, env=environment) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for answer in (words, "go", "go", "go", "go", "go"):
            print(answer, file=child.stdin, flush=True)
            yield child.stdout.readline().strip(), child.pid
        print("end", file=child.stdin, flush=True)
        assert child.wait(60) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("engine", "native", "kind"),
    [("coincurve", "1", "ram"), ("coincurve", "1", "file"), ("coincurve", "0", "ram"), ("cryptography", "1", "ram")],
)
def test_derived_secrets_are_nowhere_once_power_is_gone(engine: str, native: str, kind: str, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    entropy = random.Random(SEED).randbytes(32)
    words = mnemonic.from_entropy(entropy)
    secrets = secrets_of(words, entropy)
    assert (len(secrets.ready), len(secrets.stored)) == (3 * len(SLOTS), 2)
    wanted = dict(secrets.derived) | dict(secrets.ready) | dict(secrets.stored)
    file = str(tmp_path / "card.bsim") if kind == "file" else ""
    if engine != "coincurve":
        # The other engines add in Python's integers, of which nobody can say how long they lie about.
        wanted = {name: secret for name, secret in wanted.items() if not name.endswith(", int")}
    found = {stage: find(process, wanted) for stage, process in stages(engine, native, file, words)}
    assert list(found) == ["derived", "powered", "reset", "closed", "dropped", "refilled"]
    stored = set(secrets.stored)

    # The control: the search finds what is there. Each key once, in one spelling, and the accounts above the keys.
    assert len(found["powered"] & set(secrets.ready)) == len(SLOTS)
    accounts = {name for name in found["powered"] if re.search(r"/0'/0'? (secret, bytes|chain code)$", name)}
    assert len(accounts) == 2 * 3
    assert found["powered"] == accounts | stored | (found["powered"] & set(secrets.ready))
    # DERIVE KEY leaves no private key, only the account it came from.
    assert found["derived"] == accounts | stored

    # Power is gone: of all that was derived nothing is left, on the heap or on the stack. Seed and entropy are the
    # card's flash, and the emulator's objects while it holds the card.
    assert found["reset"] == stored
    assert found["closed"] <= stored
    assert found["dropped"] <= stored
    # Let go of, they lie in free memory until something is written there: nobody holds them any more.
    assert found["refilled"] == set()


SIGN_ONCE = """
import sys
from bsim.crypto import ecdsa
from bsim.crypto.memory import wipe
masked, digest = sys.stdin.buffer.raw.read(32), bytes(range(32))
secret = bytearray(byte ^ 0xA5 for byte in masked)
signer = ecdsa.engine("coincurve", native=sys.argv[1] == "native").signer(secret)
wipe(secret)
signer.sign(digest)
print(end="signed", flush=True)
sys.stdin.buffer.raw.read(1)
del signer
print(end="let go", flush=True)
sys.stdin.buffer.raw.read(1)
"""


def nonce_steps(secret: bytes, digest: bytes) -> dict[str, bytes]:
    """Every K and V on the way to the nonce, which is the last V: each would give the key away. RFC 6979 3.2."""
    key, value, steps = bytes(32), b"\1" * 32, {}
    for step in range(2):
        key = steps[f"K{step}"] = hmac.digest(key, value + bytes((step,)) + secret + digest, "sha256")
        value = steps[f"V{step}"] = hmac.digest(key, value, "sha256")
    return steps | {"nonce": hmac.digest(key, value, "sha256")}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("means", ["native", "cffi"])
def test_nothing_of_the_nonce_is_left_in_memory(means: str) -> None:
    if means == "native" and ecdsa.engine("coincurve").means == "cffi":
        pytest.skip("the C extension was not built")
    secret = random.Random(SEED).randbytes(32)
    command = [sys.executable, "-c", SIGN_ONCE, means]
    wanted = {"key": secret}
    for name, value in nonce_steps(secret, bytes(range(32))).items():
        # What is in a register lies about in halves, and in words with the little end first.
        words = struct.pack("<8I", *struct.unpack(">8I", value))
        for order, whole in (("big", value), ("little", value[::-1]), ("words", words)):
            wanted |= {f"{name}, {order}, {at}": whole[at : at + 16] for at in (0, 16)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(bytes(byte ^ 0xA5 for byte in secret))
        child.stdin.flush()
        assert child.stdout.read(6) == b"signed"
        assert find(child.pid, wanted) == {"key"}
        child.stdin.write(b"\0")
        child.stdin.flush()
        assert child.stdout.read(6) == b"let go"
        if means == "native":  # the other's buffer is overwritten by `wipe` only, which a card's keys never leave out
            assert not find(child.pid, wanted)


@pytest.mark.parametrize("name", ecdsa.NAMES)
def test_keys_that_are_dropped_are_wiped(name: str) -> None:
    slots = tuple(Slot(coin, Algorithm(algorithm), b"") for coin, algorithm in SLOTS)
    store = RamStore()
    personalise(store, personalisation(mnemonic=MNEMONIC))
    state = replace(LAYOUT.load(store.read()), slots=slots)
    keys = Keys(ecdsa.engine(name))
    ready = [keys.derive(state, number) for number in range(1, len(SLOTS) + 1)]
    accounts = list(keys._accounts.values())
    assert len(accounts) == 3
    assert all(any(node.secret) and any(node.chain_code) for node in accounts)
    del keys
    assert not any(any(node.secret) or any(node.chain_code) for node in accounts)
    if name == "coincurve":
        for key in ready:
            assert key is not None
            with pytest.raises(ValueError, match="wiped"):
                key.sign(bytes(32))


def test_nodes_are_wiped_on_the_way_and_after_use() -> None:
    made: list[Node] = []

    class Watched(Bip32):
        def _root(self, digest: bytes) -> Node:
            made.append(super()._root(digest))
            return made[-1]

        def _child(self, node: Node, index: int, digest: bytes) -> Node:
            made.append(super()._child(node, index, digest))
            return made[-1]

    with Watched(ecdsa.engine()).derive(bytes(range(64)), "m/44'/60'/0'/0/1") as node:
        assert made[-1] is node
        assert any(node.secret)
        assert [any(one.secret) for one in made] == [False] * 5 + [True]
    assert len(made) == 6
    assert not any(any(one.secret) or any(one.chain_code) for one in made)


def test_what_is_hashed_is_not_what_a_node_keeps() -> None:
    parent = Slip10Ed25519().master(bytes(range(64)))
    before = bytes(parent.secret)
    with Slip10Ed25519().child(parent, HARD):
        pass
    assert parent.secret == before


@pytest.mark.parametrize(
    "scheme",
    [Bip32(ecdsa.engine()), Slip10Ed25519(), Slip10P256(), Slip10Sm2()],
    ids=lambda scheme: type(scheme).__name__,
)
def test_what_went_into_the_hash_and_came_out_is_overwritten(scheme: Scheme, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes | bytearray] = []
    digest = hmac.digest

    def watched(key: bytes, message: bytes, name: str) -> bytes:
        answer = digest(key, message, name)
        assert any(message)
        assert any(answer)
        seen.extend((answer, message) if isinstance(message, bytearray) else (answer,))
        return answer

    monkeypatch.setattr(hmac, "digest", watched)
    root = scheme.master(b"\1" * 64)
    with scheme.child(root, HARD) as node:
        assert any(node.secret)
    assert [len(one) for one in seen] == [64, 64, 37]
    assert not any(any(one) for one in seen)


def test_what_openssl_read_a_key_from_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    from bsim.crypto.ecdsa import _cryptography

    seen: list[bytearray] = []
    load = _cryptography.load_der_private_key

    def watched(der: bytearray, password: None) -> object:
        seen.append(der)
        return load(der, password)

    monkeypatch.setattr(_cryptography, "load_der_private_key", watched)
    ecdsa.engine("cryptography").signer(b"\7" * 32)
    with pytest.raises(ValueError, match="1 to n-1"):
        ecdsa.engine("cryptography").signer(b"\xff" * 32)
    assert seen == [bytearray(48)] * 2


def test_overwriting() -> None:
    buffer = bytearray(b"secret")
    wipe(buffer)
    assert buffer == bytes(6)
    answer = hmac.digest(b"key", b"message", "sha512")
    wipe_unshared(answer)
    assert answer == bytes(64)
    for shared in (b"", b"\7"):
        wipe_unshared(shared)
    assert bytes(range(7, 8)) == b"\7"[:1] == bytes((0b111,))
