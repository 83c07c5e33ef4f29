"""Random payloads of every family, well-formed: fields at their bounds as often as in between.

Each is made with `random.Random`, so that a run of thousands is quick and a seed names it.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from bsim.chains import abi, calls, conflux, evm, typed_data
from bsim.chains.chainmaker import Payload
from bsim.chains.evm.kinds import CHAIN_IDS
from bsim.chains.fisco import Transaction as FiscoTransaction
from bsim.crypto.ecdsa import ORDER

Fields = dict[str, object]

U64, U128, U256 = 1 << 64, 1 << 128, 1 << 256
WORDS: Final = ("Mail", "Person", "Order", "amount", "to", "wallet", "note", "items", "salt", "flag", "deadline", "x")


def number(rng: Random, limit: int, least: int = 0) -> int:
    """A number below the limit: of any length, or next to a bound."""
    if rng.random() < 0.2:
        return rng.choice((least, min(least + 1, limit - 1), limit - 1))
    return max(least, rng.getrandbits(rng.randint(1, limit.bit_length())) % limit)


def data(rng: Random, most: int = 80) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 3, 4, 5, 31, 32, 33, 55, 56, 57, most, rng.randint(0, most))))


def account(rng: Random) -> bytes:
    """An account that Ethereum and Conflux Core Space both have."""
    return bytes((rng.choice((0x10, 0x80)) | rng.getrandbits(4),)) + rng.randbytes(19)


def call(rng: Random) -> bytes:
    """Data of a call that the card knows."""
    known = rng.choice(list(calls.CALLS.values()))
    count = rng.randint(0, 3)
    values: dict[abi.Type, Callable[[], abi.Value]] = {
        abi.Type.ADDRESS: lambda: account(rng),
        abi.Type.UINT256: lambda: number(rng, U256),
        abi.Type.BOOL: lambda: rng.random() < 0.5,
        abi.Type.BYTES: lambda: data(rng),
        abi.Type.UINTS: lambda: tuple(number(rng, U256) for _ in range(count)),
    }
    return calls.encode(known, *(values[kind]() for kind in known.arguments.values()))


def _action(rng: Random, write: Callable[[bytes], object]) -> Fields:
    """Where a transaction goes, and with what."""
    kind = rng.randrange(4)
    if kind == 0:
        return {"data": "0x" + (rng.randbytes(1) + data(rng)).hex()}  # a contract is made
    content = b"" if kind == 1 else call(rng) if kind == 2 else data(rng)
    return {"to": write(account(rng)), "data": "0x" + content.hex()}


def _access_list(rng: Random, write: Callable[[bytes], object]) -> list[Fields]:
    def keys() -> list[str]:
        return ["0x" + rng.randbytes(32).hex() for _ in range(rng.randint(0, 2))]

    return [{"address": write(account(rng)), "storageKeys": keys()} for _ in range(rng.randint(0, 2))]


def _fees(rng: Random, kind: int) -> Fields:
    price = number(rng, U128)
    if kind < 2:
        return {"gasPrice": price}
    return {"maxFeePerGas": price, "maxPriorityFeePerGas": rng.choice((price, number(rng, price + 1)))}


def evm_fields(rng: Random, kind: int | None = None) -> Fields:
    """A transaction of EIP-155, 2930, 1559 or 7702 as JSON-RPC has it; numbers are ints."""
    kind = rng.choice((0, 1, 2, 4)) if kind is None else kind
    chain_id = number(rng, rng.choice((CHAIN_IDS, 2**31)), 1)
    fields: Fields = {"type": kind, "chainId": chain_id, "nonce": number(rng, U64 - 1), "gas": number(rng, U64)}
    fields |= {"value": number(rng, U256)} | _action(rng, evm.checksum) | _fees(rng, kind)
    if kind:
        fields["accessList"] = _access_list(rng, evm.checksum)
    if kind == 4:
        fields.setdefault("to", evm.checksum(account(rng)))
        fields["authorizationList"] = [_authorization(rng) for _ in range(rng.randint(1, 2))]
    return fields


def _authorization(rng: Random) -> Fields:
    return {
        "chainId": rng.choice((0, number(rng, U64))),
        "address": evm.checksum(account(rng)),
        "nonce": number(rng, U64 - 1),
        "yParity": rng.randrange(2),
        "r": number(rng, ORDER, 1),
        "s": number(rng, ORDER // 2 + 1, 1),
    }


def conflux_fields(rng: Random, kind: int | None = None) -> Fields:
    """A transaction of Core Space as js-conflux-sdk has it; numbers are ints."""
    kind = rng.randrange(3) if kind is None else kind
    network = rng.choice((1, 1029, number(rng, 1 << 32, 1)))

    def write(one: bytes) -> str:
        return conflux.encode(one, network)

    fields: Fields = {"type": kind, "chainId": network, "nonce": number(rng, U64), "gas": number(rng, U64)}
    fields |= {"storageLimit": number(rng, U64), "epochHeight": number(rng, U64), "value": number(rng, U256)}
    fields |= _action(rng, write) | _fees(rng, kind)
    if kind:
        fields["accessList"] = _access_list(rng, write)
    return fields


def _word(rng: Random) -> str:
    return "".join(rng.choices("abcXYZ09_ -.\u00e9\u4e2d\u6587", k=rng.randint(1, 12)))


def chainmaker_fields(rng: Random) -> Fields:
    """A ChainMaker payload."""
    now = number(rng, 1 << 40, 1)
    fields: Fields = {"chain_id": _word(rng), "tx_type": rng.randrange(4), "tx_id": rng.randbytes(16).hex()}
    fields |= {"timestamp": now, "expiration_time": rng.choice((0, now + number(rng, 1000, 1)))}
    fields |= {"contract_name": _word(rng), "method": rng.choice(("", _word(rng))), "sequence": number(rng, U64)}
    fields["parameters"] = [{"key": _word(rng), "value": _word(rng)} for _ in range(rng.randint(0, 3))]
    if rng.random() < 0.5:
        fields["gas_limit"] = number(rng, U64)
    return fields


def fisco_fields(rng: Random) -> Fields:
    """A transaction of FISCO BCOS 2."""
    fields: Fields = {"randomid": number(rng, U256), "gasPrice": number(rng, U256), "gasLimit": number(rng, U256)}
    fields |= {"blockLimit": number(rng, U64), "value": number(rng, U256), "extraData": "0x" + data(rng).hex()}
    fields |= {"fiscoChainId": number(rng, 1 << 31, 1), "groupId": number(rng, 1 << 31, 1)}
    return fields | _action(rng, evm.checksum)


def _atom(rng: Random, kind: str) -> object:
    if kind == "string":
        return rng.choice(("", _word(rng), "Hello, \u4e16\u754c!", 'a "quote"\n'))
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "address":
        return evm.checksum(account(rng))
    if kind.startswith("bytes"):
        return "0x" + (rng.randbytes(int(kind[5:])) if kind[5:] else data(rng)).hex()
    bits = int(kind.removeprefix("u")[3:])
    if kind[0] == "u":
        return str(number(rng, 1 << bits))
    return str(rng.choice((-1, 1)) * number(rng, 1 << (bits - 1)))


def _atomic(rng: Random) -> str:
    size = 8 * rng.randint(1, 32)
    return rng.choice(
        ("string", "bool", "address", "bytes", f"bytes{rng.randint(1, 32)}", f"uint{size}", f"int{size}", "uint256")
    )


def _value(rng: Random, kind: str, structs: dict[str, list[Fields]]) -> object:
    if kind.endswith("]"):
        base, _, length = kind[:-1].rpartition("[")
        return [_value(rng, base, structs) for _ in range(int(length) if length else rng.randint(0, 2))]
    if kind in structs:
        return {str(one["name"]): _value(rng, str(one["type"]), structs) for one in structs[kind]}
    return _atom(rng, kind)


def typed_fields(rng: Random, domain: str = "EIP712Domain") -> Fields:
    """Typed data with structs in structs and arrays of arrays, as a library has it."""
    structs: dict[str, list[Fields]] = {}
    for depth in range(rng.randint(1, 4)):
        names = rng.sample(WORDS, rng.randint(1, 5))
        members: list[Fields] = [{"name": name, "type": _atomic(rng)} for name in names]
        if depth:
            members.append({"name": "inner", "type": f"S{depth - 1}"})  # so that each struct is part of the next
        for member in members:
            if rng.random() < 0.25:
                member["type"] = f"{member['type']}{rng.choice(('[]', '[1]', '[2]', '[][2]', '[1][]'))}"
        structs[f"S{depth}"] = members
    every = {
        "name": "string",
        "version": "string",
        "chainId": "uint256",
        "verifyingContract": "address",
        "salt": "bytes32",
    }
    told = [name for name in every if rng.random() < 0.7] or ["name"]
    shape: list[Fields] = [{"name": name, "type": every[name]} for name in told]
    values = {name: str(number(rng, 1 << 32, 1)) if name == "chainId" else _atom(rng, every[name]) for name in told}
    primary = f"S{len(structs) - 1}"
    return {
        "types": {domain: shape, **structs},
        "primaryType": primary,
        "domain": values,
        "message": _value(rng, primary, structs),
    }


def _time(rng: Random) -> str:
    day = f"{rng.randint(1970, 2099)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    clock = f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}"
    return f"{day}T{clock}{rng.choice(('', '.123'))}{rng.choice(('Z', '+08:00', '-05:30'))}"


def sign_in_text(rng: Random, word: str = "Ethereum") -> str:
    """A sign-in whose domain and URI agree."""
    network = rng.choice((1, 1029))
    who = conflux.encode(account(rng), network) if word == "Conflux" else evm.checksum(account(rng))
    site = rng.choice(("example.com", "127.0.0.1:8080", "a.b.example.org", "localhost"))
    lines = [f"{rng.choice(('', 'https://'))}{site} wants you to sign in with your {word} account:", who, ""]
    lines += rng.choice(([], ["I accept: https://example.com/tos", ""]))
    if len(lines) == 3:
        lines.append("")
    lines += [f"URI: https://{site}/login?x=%20#y", "Version: 1", f"Chain ID: {network}"]
    lines += [f"Nonce: {rng.getrandbits(64):016x}", f"Issued At: {_time(rng)}"]
    lines += rng.choice(([], ["Expiration Time: 2999-12-31T23:59:59Z"]))
    lines += rng.choice(([], [f"Not Before: {_time(rng)}"]))
    lines += rng.choice(([], ["Request ID: a%20b"], ["Request ID: "]))
    lines += rng.choice(([], ["Resources:", "- ipfs://abc/", "- https://example.com/x.json"]))
    return "\n".join(lines)


def _message(rng: Random) -> bytes:
    return rng.choice((_word(rng).encode(), rng.randbytes(rng.randint(0, 60)), b"two\nlines"))


PAYLOADS: Final[dict[int, Callable[[Random], bytes]]] = {
    0x01: lambda rng: evm.Transaction.from_json(evm_fields(rng)).unsigned(),
    0x02: lambda rng: conflux.Transaction.from_json(conflux_fields(rng)).unsigned(),
    0x03: lambda rng: Payload.from_json(chainmaker_fields(rng)).unsigned(),
    0x04: lambda rng: FiscoTransaction.from_json(fisco_fields(rng)).unsigned(),
    0x10: _message,
    0x11: lambda rng: typed_data.from_json(typed_fields(rng)),
    0x12: _message,
    0x13: lambda rng: typed_data.from_json(typed_fields(rng, "CIP23Domain"), typed_data.CONFLUX),
    0x14: lambda rng: sign_in_text(rng).encode(),
    0x15: lambda rng: sign_in_text(rng, "Conflux").encode(),
}
"""A well-formed payload of each family, by its code."""
