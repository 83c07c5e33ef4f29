"""A peer's side of a comparison: another library doing the same work, in a process of its own.

    peer_worker.py JOB SECRET SEED PATH     (hex, hex and a BIP-32 path)

On its first line it says which version it is and shows its work as JSON; then for each line with a number on its input
it does the work so many times and answers the microseconds one took. It runs in an environment that has the peer and
may not have bsim: it imports nothing of it.
"""

import gc
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final

DIGESTS: Final = [number.to_bytes(32, "big") for number in range(1, 65)]
Work = tuple[Callable[[bytes], Any], Callable[[Any], str], str]
"""What is timed, how its answer is shown in hex, and whose version counts."""

SOFTHSM: Final = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib")


def eth_account_hash(secret: bytes, _seed: bytes, _path: str) -> Work:
    from eth_account import Account

    return Account.from_key(secret).unsafe_sign_hash, lambda signed: _rs(signed.r, signed.s), "eth-account"


def eth_account_transaction(secret: bytes, _seed: bytes, _path: str) -> Work:
    from eth_account import Account
    from eth_account.typed_transactions import TypedTransaction

    account = Account.from_key(secret)
    fields: dict[str, Any] = {
        "chainId": 1,
        "nonce": 1,
        "gas": 21000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 10**9,
    }
    fields |= {"type": 2, "to": "0x" + "11" * 20, "value": 10**18, "data": b"", "accessList": []}
    digest = TypedTransaction.from_dict(dict(fields)).hash().hex()

    def show(signed: Any) -> str:
        return f"{_rs(signed.r, signed.s)} {digest}"

    return lambda _: account.sign_transaction(fields), show, "eth-account"


def wallycore(secret: bytes, _seed: bytes, _path: str) -> Work:
    from wallycore import EC_FLAG_ECDSA, _wallycore

    call, into = _wallycore.ec_sig_from_bytes, bytearray(64)
    return lambda digest: call(secret, digest, EC_FLAG_ECDSA, into), lambda _: into.hex(), "wallycore"


def ecdsa(secret: bytes, _seed: bytes, _path: str) -> Work:
    from ecdsa import SECP256k1, SigningKey
    from ecdsa.util import sigencode_string

    key = SigningKey.from_string(secret, SECP256k1)

    def sign(digest: bytes) -> bytes:
        signature: bytes = key.sign_digest_deterministic(digest, hashlib.sha256, sigencode=sigencode_string)
        return signature

    return sign, bytes.hex, "ecdsa"


def cryptography(secret: bytes, _seed: bytes, _path: str) -> Work:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256K1, derive_private_key
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    key, how = derive_private_key(int.from_bytes(secret, "big"), SECP256K1()), ECDSA(Prehashed(SHA256()))
    return lambda digest: key.sign(digest, how), lambda der: _rs(*decode_dss_signature(der)), "cryptography"


def softhsm2(secret: bytes, _seed: bytes, _path: str) -> Work:
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    directory = tempfile.TemporaryDirectory(prefix="bsim-softhsm-")
    configuration = Path(directory.name, "softhsm2.conf")
    configuration.write_text(f"directories.tokendir = {directory.name}\nobjectstore.backend = file\n", "ascii")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    words = ("softhsm2-util", "--init-token", "--free", "--label", "bench", "--pin", "1234", "--so-pin", "1234")
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    library = next(path for root in SOFTHSM for path in Path(root).glob("**/libsofthsm2.so"))
    session = pkcs11.lib(str(library)).get_token(token_label="bench").open(user_pin="1234", rw=True)
    curve = encode_named_curve_parameters("1.3.132.0.10")
    kind = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.EC}
    rest = {pkcs11.Attribute.EC_PARAMS: curve, pkcs11.Attribute.VALUE: secret, pkcs11.Attribute.SIGN: True}
    key = session.create_object(kind | rest)

    def sign(digest: bytes, _alive: object = directory) -> bytes:
        signature: bytes = key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)
        return signature

    return sign, bytes.hex, "python-pkcs11"


def wallycore_derive(_secret: bytes, seed: bytes, path: str) -> Work:
    import wallycore as wally

    flags, steps = wally.BIP32_FLAG_KEY_PRIVATE | wally.BIP32_FLAG_SKIP_HASH, list(_steps(path))

    def derive(_: bytes) -> Any:
        root = wally.bip32_key_from_seed(seed, wally.BIP32_VER_MAIN_PRIVATE, wally.BIP32_FLAG_SKIP_HASH)
        return wally.bip32_key_from_parent_path(root, steps, flags)

    return derive, lambda node: bytes(wally.bip32_key_get_priv_key(node)).hex(), "wallycore"


def eth_account_derive(_secret: bytes, seed: bytes, path: str) -> Work:
    from eth_account.hdaccount import key_from_seed

    return lambda _: key_from_seed(seed, path), bytes.hex, "eth-account"


def pycryptodome_keccak(_secret: bytes, _seed: bytes, _path: str) -> Work:
    from Crypto.Hash import keccak

    return lambda data: keccak.new(digest_bits=256, data=data).digest(), bytes.hex, "pycryptodome"


def eth_hash_keccak(_secret: bytes, _seed: bytes, _path: str) -> Work:
    from eth_hash.auto import keccak

    keccak(b"")  # chooses its library at the first call
    return keccak, bytes.hex, "eth-hash"


JOBS: Final = {
    "eth-account-hash": eth_account_hash,
    "eth-account-transaction": eth_account_transaction,
    "wallycore": wallycore,
    "ecdsa": ecdsa,
    "cryptography": cryptography,
    "softhsm2": softhsm2,
    "wallycore-derive": wallycore_derive,
    "eth-account-derive": eth_account_derive,
    "pycryptodome-keccak": pycryptodome_keccak,
    "eth-hash-keccak": eth_hash_keccak,
}


def _rs(r: int, s: int) -> str:
    return f"{r:064x}{s:064x}"


def _steps(path: str) -> Iterator[int]:
    for step in path.split("/")[1:]:
        yield int(step.rstrip("'")) + (0x8000_0000 if step.endswith("'") else 0)


def main(job: str, secret: str, seed: str, path: str) -> None:
    """Say who this is, and work on demand until the input ends."""
    operation, show, package = JOBS[job](bytes.fromhex(secret), bytes.fromhex(seed), path)
    print(json.dumps({"version": version(package), "answer": show(operation(DIGESTS[0]))}), flush=True)
    gc.disable()
    for line in sys.stdin:
        inputs = list(islice(cycle(DIGESTS), int(line)))
        for value in inputs[: len(inputs) // 8]:  # untimed: whoever was on before has filled the core's caches
            operation(value)
        begin = perf_counter_ns()
        for value in inputs:
            operation(value)
        print((perf_counter_ns() - begin) / 1000 / len(inputs), flush=True)
        gc.collect()


if __name__ == "__main__":
    main(*sys.argv[1:])
