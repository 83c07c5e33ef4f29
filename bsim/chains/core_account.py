"""Conflux Core Space addresses: CIP-37 base32 over the account of a public key, both ways."""

from typing import Final

from bsim.chains import evm_account as evm

MAINNET: Final = 1029
TESTNET: Final = 1

_PREFIXES: Final = {MAINNET: "cfx", TESTNET: "cfxtest"}
_ALPHABET: Final = (
    "abcdefghjkmnprstuvwxyz0123456789"  # CIP-37 "Encoding" 4, as the network has used it since its launch
)
_VERSION: Final = 0  # CIP-37 "Encoding" 3: type 0, 160 bits
_TYPES: Final = {0: "builtin", 1: "user", 8: "contract"}
_CHECK: Final = 8  # letters of the checksum
_LENGTH: Final = 34 + _CHECK
_USER: Final = 0x10  # Conflux protocol specification, equation (1): accounts of users begin with the digit 1
_GENERATOR: Final = (0x98F2BC8E61, 0x79B76D99E2, 0xF33E5FB3C4, 0xAE2EABE2A8, 0x1E4F43E470)


def address(public_key: bytes, network: int = MAINNET) -> str:
    """Answer the account of a 65-byte uncompressed public key on that network, e.g. "cfx:aa…"."""
    return encode(address_bytes(public_key), network)


def address_bytes(public_key: bytes) -> bytes:
    """Answer the 20 bytes of the account: Ethereum's, its first digit replaced by 1 for user accounts."""
    account = evm.address_bytes(public_key)
    return bytes((account[0] & 0x0F | _USER,)) + account[1:]


def kind(account: bytes) -> str | None:
    """Answer the type of an account (CIP-37 "Optional fields"): user, contract, builtin, null; None for no type."""
    if not any(account):
        return "null"
    return _TYPES.get(account[0] >> 4)


def encode(account: bytes, network: int = MAINNET, *, typed: bool = False) -> str:
    """Write 20 bytes as a CIP-37 address of a network (1 to 2^32-1): in lower case and without its type.

    `typed`: in capitals and with its type, "CFX:TYPE.USER:…"; ValueError for an account that has none.
    """
    if len(account) != 20:
        raise ValueError(f"an address is 20 bytes, not {len(account)}")
    if not 0 < network < 1 << 32:
        raise ValueError("a Conflux network is 1 to 2^32-1")
    prefix = _PREFIXES.get(network, f"net{network}")
    if not typed:
        return f"{prefix}:{_base32(prefix, account)}"
    name = kind(account)
    if name is None:
        raise ValueError("an account of no type")
    return f"{prefix}:type.{name}:{_base32(prefix, account)}".upper()


def decode(text: object) -> tuple[int, bytes]:
    """Read a CIP-37 address, with its type or without, in one case: its network and 20 bytes. ValueError otherwise."""
    if not isinstance(text, str) or text not in (text.lower(), text.upper()) or ":" not in text:
        raise ValueError("not a CIP-37 address: a text in one case, with a colon")
    prefix, *options, body = text.lower().split(":")
    network = _network(prefix)
    if len(body) != _LENGTH or not set(body) <= set(_ALPHABET):
        raise ValueError("not a CIP-37 address: 42 letters and digits of its alphabet after the colon")
    bits = 0
    for letter in body[:-_CHECK]:
        bits = bits << 5 | _ALPHABET.index(letter)
    version, account = bits >> 162, (bits >> 2 & (1 << 160) - 1).to_bytes(20, "big")
    if version != _VERSION or bits & 3:
        raise ValueError("not a CIP-37 address of 20 bytes: version or padding is not zero")
    if _base32(prefix, account) != body:
        raise ValueError("the address's checksum (CIP-37) is wrong")
    if options and options != [f"type.{kind(account)}"]:
        raise ValueError("the address is not of the type it names, or names something else")
    return network, account


def parse_address(text: object, network: int | None = None) -> bytes:
    """Read a CIP-37 address, of that network if one is given: 20 bytes. ValueError otherwise."""
    found, account = decode(text)
    if network is not None and found != network:
        raise ValueError("the address is of another network")
    return account


def _network(prefix: str) -> int:
    for network, name in _PREFIXES.items():
        if prefix == name:
            return network
    digits = prefix.removeprefix("net")
    if prefix == digits or not (digits.isascii() and digits.isdecimal()) or digits[0] == "0" or len(digits) > 10:
        raise ValueError("not a CIP-37 address: it begins with no network")
    if int(digits) >= 1 << 32 or int(digits) in _PREFIXES:
        raise ValueError("not a CIP-37 address: its network is too large, or has another name")
    return int(digits)


def _base32(prefix: str, account: bytes) -> str:
    payload = _fives(int.from_bytes(bytes((_VERSION,)) + account, "big") << 2, 34)  # 168 bits, padded to 170
    name = [ord(letter) & 31 for letter in prefix]
    check = _fives(_polymod([*name, 0, *payload, *bytes(8)]), 8)
    return "".join(_ALPHABET[five] for five in payload + check)


def _fives(value: int, count: int) -> list[int]:
    """Cut a number into `count` groups of 5 bits, the highest first."""
    return [value >> 5 * place & 31 for place in reversed(range(count))]


def _polymod(values: list[int]) -> int:
    """The checksum of Bitcoin Cash's CashAddr, which CIP-37 "Encoding" 5 takes over."""
    check = 1
    for value in values:
        top = check >> 35
        check = (check & 0x07_FFFF_FFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            check ^= term if top >> bit & 1 else 0
    return check ^ 1
