"""Conflux Core Space addresses: CIP-37 base32 over the account of a public key."""

from typing import Final

from bsim.chains import evm

MAINNET: Final = 1029
TESTNET: Final = 1

_PREFIXES: Final = {MAINNET: "cfx", TESTNET: "cfxtest"}
_ALPHABET: Final = (
    "abcdefghjkmnprstuvwxyz0123456789"  # CIP-37 "Encoding" 4, as the network has used it since its launch
)
_VERSION: Final = 0  # CIP-37 "Encoding" 3: type 0, 160 bits
_USER: Final = 0x10  # Conflux protocol specification, equation (1): accounts of users begin with the digit 1
_GENERATOR: Final = (0x98F2BC8E61, 0x79B76D99E2, 0xF33E5FB3C4, 0xAE2EABE2A8, 0x1E4F43E470)


def address(public_key: bytes, network: int = MAINNET) -> str:
    """Answer the account of a 65-byte uncompressed public key on that network, e.g. "cfx:aa…"."""
    return encode(address_bytes(public_key), network)


def address_bytes(public_key: bytes) -> bytes:
    """Answer the 20 bytes of the account: Ethereum's, its first digit replaced by 1 for user accounts."""
    account = evm.address_bytes(public_key)
    return bytes((account[0] & 0x0F | _USER,)) + account[1:]


def encode(account: bytes, network: int = MAINNET) -> str:
    """Write 20 bytes as a CIP-37 address of a network (1 to 2^32-1), in lower case and without its type."""
    if len(account) != 20:
        raise ValueError(f"an address is 20 bytes, not {len(account)}")
    if not 0 < network < 1 << 32:
        raise ValueError("a Conflux network is 1 to 2^32-1")
    prefix = _PREFIXES.get(network, f"net{network}")
    payload = _fives(int.from_bytes(bytes((_VERSION,)) + account, "big") << 2, 34)  # 168 bits, padded to 170
    name = [ord(letter) & 31 for letter in prefix]
    check = _fives(_polymod([*name, 0, *payload, *bytes(8)]), 8)
    return f"{prefix}:" + "".join(_ALPHABET[five] for five in payload + check)


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
