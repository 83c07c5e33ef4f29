"""What the tests share: cards in known states, APDUs by the names of the declaration, and a judge of every answer."""

import errno
import hashlib
import hmac
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from ecdsa import SECP256k1, SigningKey
from ecdsa.util import sigencode_der_canonize

from bsim.apdu import cla_on_channel
from bsim.applets.proactive import ProactiveCommand, Result, TerminalResponse
from bsim.crypto.envelope import ITERATIONS
from bsim.handset import in_handset
from bsim.ports import Card, Rng, Store
from bsim.profiles import TEST_OPENING_KEY, personalisation, personalise, power_on
from bsim.spec import Command, Example, encode, spec
from bsim.store import RamStore

MNEMONIC: Final = "test test test test test test test test test test test junk"
# What the mnemonic stands for: eleven times word 1788 and once word 966, less the checksum. BIP-39.
ENTROPY: Final = bytes.fromhex("DF9BF37E6FCDF9BF37E6FCDF9BF37E3C")
BPIN: Final = "123456"
ICCID: Final = "8985203021088899971"
KEY2: Final = b"Passw0rd"
DIGEST: Final = bytes(range(32))
ETHEREUM, CONFLUX, SOLANA = 60, 503, 501
SECP256K1, ED25519 = 1, 2

SPEC: Final = spec()
COMMANDS: Final = {name: command for applet in SPEC.applets.values() for name, command in applet.commands.items()}
WALLET_AID: Final = SPEC.applets["wallet"].aids[0]
ISSUER_AID: Final = SPEC.applets["issuer"].aids[0]


class FullDisk:
    """A file as on a disk that has room for so many bytes more: of a line that does not fit it takes a part."""

    def __init__(self, path: Path | str, room: int, mode: str = "ab") -> None:
        self.file = open(path, mode, buffering=0)  # noqa: SIM115 - kept open until `close`
        self.room = room

    def write(self, data: bytes) -> int:
        part = data[: self.room]
        if data and not part:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(part)
        return self.file.write(part)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@contextmanager
def running(*words: str, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A Python process that is gone after the block: one that a failed test did not end would be waited for."""
    command = [sys.executable, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@dataclass(frozen=True)
class IsoCla:
    """A class byte as the standards' tables read it; `kind` is what is left without channel and chaining."""

    channel: int
    kind: tuple[bool, int]
    chaining: bool


def iso_cla(value: int) -> IsoCla | None:
    """Read a class byte bit by bit; None for one that no command may have.

    ISO/IEC 7816-4 5.4.1, tables 2 and 3; ETSI TS 102 221 10.1.1, tables 10.3 and 10.4a. Written apart from bsim.apdu on
    purpose: the tests judge the one by the other.
    """
    bits = f"{value:08b}"
    proprietary = bits[0] == "1"
    if value == 0xFF or bits.startswith("001") or bits.startswith("1011"):
        return None
    if bits.startswith("1010"):  # class A0 of GSM 11.11, which has no secure messaging
        return IsoCla(int(bits[6:], 2), (True, 0x20 | int(bits[4:6], 2)), False)
    if bits[1:3] == "00":
        return IsoCla(int(bits[6:], 2), (proprietary, int(bits[4:6], 2)), bits[3] == "1")
    secured = bits[2] == "1"
    messaging = (1 if proprietary else 2) if secured else 0
    return IsoCla(4 + int(bits[4:], 2), (proprietary, messaging), bits[3] == "1")


def entries(raw: bytes) -> list[Command]:
    """The declarations a command APDU may be meant for, by class and instruction."""
    cla = iso_cla(raw[0]) if len(raw) >= 4 else None
    if cla is None:
        return []
    return _of_kind(cla.kind, raw[1])


def secured_entries(raw: bytes) -> list[Command]:
    """The declarations of what a command APDU may carry in a secure channel. GlobalPlatform 2.3.1, 11.1.4."""
    cla = iso_cla(raw[0]) if len(raw) >= 4 else None
    return _of_kind((cla.kind[0], 0), raw[1]) if cla is not None and cla.kind[1] == 1 else []


def _of_kind(kind: tuple[bool, int], ins: int) -> list[Command]:
    plain = [command for command in COMMANDS.values() if command.ins == ins]
    return [c for c in plain if any(iso_cla(own).kind == kind for own in c.cla)]  # type: ignore[union-attr]


def declared(raw: bytes, sw: int) -> bool:
    """Whether some declaration allows this answer to this command: its class and instruction decide."""
    return _declared(raw[:2] if len(raw) >= 4 else b"", sw)


@cache
def _declared(head: bytes, sw: int) -> bool:
    raw = head.ljust(4, b"\0") if head else head
    return any(SPEC.allows(command, sw) for command in [None, *entries(raw), *secured_entries(raw)])


class Judge:
    """A card whose every answer must be one that is declared; itself a card. Counts the commands."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.count = 0

    def reset(self) -> bytes:
        return self.card.reset()

    def transmit(self, command: bytes) -> bytes:
        self.count += 1
        response = self.card.transmit(command)
        assert type(response) is bytes
        assert len(response) >= 2, f"{bytes(command).hex()} was answered with {response.hex()}"
        sw = int.from_bytes(response[-2:], "big")
        assert declared(bytes(command), sw), f"{bytes(command).hex()}: {sw:04X} is not declared"
        return response


class CountingRng:
    """Randomness that can be told: 00 00 .., 01 01 .., and so on, one number a call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, length: int, /) -> bytes:
        self.calls += 1
        return bytes((self.calls & 0xFF,)) * length


def bare_card(
    *,
    blank: bool = False,
    bpin: str = BPIN,
    profile: str = "extended",
    rng: Rng | None = None,
    store: Store | None = None,
    records: Mapping[str, bytes] | None = None,
) -> Judge:
    """The test card, or a blank one, with no phone around it; `records` change what is stored before power comes."""
    store = store or RamStore()
    mnemonic = None if blank else MNEMONIC
    person = personalisation(mnemonic=mnemonic, blank=blank, bpin=bpin, profile=profile, iccid=ICCID)
    personalise(store, person)
    store.write(records or {})
    return Judge(power_on(store, rng or CountingRng()))


def new_card(handset: str = "right", *, new_bpin: str | None = None, blank: bool = False, **options: object) -> Card:
    """The test card, or a blank one, in a phone whose user follows a script; the wallet applet is selected."""
    card = in_handset(bare_card(blank=blank, **options), handset, BPIN, new_bpin)  # type: ignore[arg-type]
    select(card)
    return card


def verified_card(**options: object) -> Card:
    """The test card after the user typed the BPIN."""
    card = new_card(**options)  # type: ignore[arg-type]
    expect(card, "VERIFY_BPIN")
    return card


def apdu(name: str, /, *, on: int = 0, **values: int | bytes | str) -> bytes:
    """A command APDU by the names of the declaration; coded values may go by their names."""
    command = COMMANDS[name]
    coded = {key: _coded(command, key, value) if isinstance(value, str) else value for key, value in values.items()}
    encoded = encode(command, coded)
    return replace(encoded, cla=cla_on_channel(encoded.cla, on)).encode()


def _coded(command: Command, key: str, value: str) -> int:
    for part in (command.p1, command.p2, *command.data):
        if part.name == key:
            return part.values[value]
    raise KeyError(key)


def send(card: Card, name: str, /, *, on: int = 0, **values: int | bytes | str) -> tuple[bytes, int]:
    """Send a command by its name: response data and status word."""
    return exchange(card, apdu(name, on=on, **values))


def exchange(card: Card, raw: bytes | str) -> tuple[bytes, int]:
    """Send bytes, or hex: response data and status word."""
    response = card.transmit(bytes.fromhex(raw) if isinstance(raw, str) else raw)
    return response[:-2], int.from_bytes(response[-2:], "big")


def expect(card: Card, name: str, /, sw: int = 0x9000, *, on: int = 0, **values: int | bytes | str) -> bytes:
    """Send a command that must end with this status word; answers the response data."""
    data, found = send(card, name, on=on, **values)
    assert f"{found:04X}" == f"{sw:04X}", name
    return data


def select(card: Card, aid: bytes = WALLET_AID, *, on: int = 0, control: int = 0x0C, sw: int = 0x9000) -> bytes:
    """Select an application by its name."""
    return expect(card, "SELECT", sw, on=on, method="DF_NAME", control=control, identifier=aid)


def open_channel(card: Card, number: int = 0, *, on: int = 0) -> int:
    """Open a logical channel, the card's choice unless numbered; answers its number."""
    data = expect(card, "MANAGE_CHANNEL", on=on, operation="OPEN", channel=number)
    return data[0] if data else number


def derive(card: Card, coin_type: int = ETHEREUM, algorithm: int = SECP256K1, count: int = 1, sw: int = 0x9000) -> None:
    """Fill so many slots."""
    for _ in range(count):
        expect(card, "DERIVE_KEY", sw, coin_type=coin_type, algorithm=algorithm)


def sign(card: Card, slot: int = 1, coin_type: int = ETHEREUM, digest: bytes = DIGEST, sw: int = 0x9000) -> bytes:
    """Sign with a slot's key."""
    return expect(card, "SIGN", sw, coin_type=coin_type, slot=slot, digest=digest)


def export(card: Card, on: int = 0) -> bytes:
    """The whole stream of EXPORT PUBKEYS."""
    stream, sw = send(card, "EXPORT_PUBKEYS", on=on, part="FIRST")
    while sw == 0x6300:
        more, sw = send(card, "EXPORT_PUBKEYS", on=on, part="NEXT")
        stream += more
    assert sw == 0x9000
    return stream


def fetch(card: Card, response: bytes) -> ProactiveCommand:
    """Fetch what a 91xx announces."""
    assert response[-2] == 0x91, response.hex()
    raw = expect(card, "FETCH", le=response[-1] or 256)
    assert len(raw) == (response[-1] or 256)
    return ProactiveCommand.parse(raw)


def respond(card: Card, command: ProactiveCommand, text: str | None = None, result: int = Result.PERFORMED) -> bytes:
    """Answer a proactive command by hand; the card's whole response."""
    response = TerminalResponse(command.number, command.type, command.qualifier, result, text)
    return card.transmit(apdu("TERMINAL_RESPONSE", response=response.encode()))


def by_hand(**options: object) -> Judge:
    """The test card with no phone, told of a terminal, and the wallet applet selected."""
    card = bare_card(**options)  # type: ignore[arg-type]
    expect(card, "TERMINAL_PROFILE", profile=b"\xff\xff\xff\xff")
    select(card)
    return card


def enter(card: Card, response: bytes, *typed: str) -> bytes:
    """Type answers into the dialogues a 91xx begins; the response to the last of them."""
    for text in typed:
        response = respond(card, fetch(card, response), text)
    return response


def seal(
    entropy: bytes, key2: bytes, salt: bytes = bytes(16), nonce: bytes = bytes(12), rounds: int = ITERATIONS
) -> bytes:
    """The backup envelope, written from its description and not with the card's own code."""
    key = hashlib.pbkdf2_hmac("sha256", key2, salt, rounds)
    header = b"\x01" + salt
    return header + nonce + AESGCM(key).encrypt(nonce, entropy, header)


def unseal(blob: bytes, key2: bytes, rounds: int = ITERATIONS) -> bytes:
    """The inverse of `seal`."""
    key = hashlib.pbkdf2_hmac("sha256", key2, blob[1:17], rounds)
    return AESGCM(key).decrypt(blob[17:29], blob[29:], blob[:17])


def example_of(reference: str) -> tuple[Command, Example]:
    """The example a `given` names: a command's first, or `COMMAND.2`."""
    name, _, number = reference.partition(".")
    return COMMANDS[name], COMMANDS[name].examples[int(number or 1) - 1]


def chain(example: Example) -> list[str]:
    """What must have happened before an example, each once and in order."""
    order: list[str] = []
    for reference in example.given:
        for earlier in (*chain(example_of(reference)[1]), reference):
            if earlier not in order:
                order.append(earlier)
    return order


def card_for(example: Example) -> Card:
    """The card an example wants, in a phone, with all that is given done (and answered as declared)."""
    kinds: dict[str, Callable[[], Card]] = {"test": bare_card, "blank": lambda: bare_card(blank=True)}
    card = in_handset(kinds[example.card](), "right", BPIN)
    for reference in chain(example):
        run(card, example_of(reference)[1])
    return card


def run(card: Card, example: Example) -> None:
    """Send an example's command; the answer must be the one declared."""
    data, sw = exchange(card, example.command)
    assert example.matches(data, sw), f"{example.title}: {data.hex().upper()} {sw:04X}"


def cmac(challenge: bytes, key: bytes = TEST_OPENING_KEY) -> bytes:
    """AES-CMAC. NIST SP 800-38B, by `cryptography`."""
    mac = CMAC(AES(key))
    mac.update(challenge)
    return mac.finalize()


def open_card(card: Card, on: int = 0) -> None:
    """Card opening, as the issuer's tools do it."""
    expect(card, "EXTERNAL_AUTHENTICATE", on=on, cryptogram=cmac(expect(card, "GET_CHALLENGE", on=on)))


# An oracle for keys: BIP-39, BIP-32 and SLIP-0010 from their texts, over the integers and the `ecdsa` package.

_N: Final = SECP256k1.order
_HARD: Final = 1 << 31


def bip39_seed(mnemonic: str = MNEMONIC) -> bytes:
    """BIP-39, "From mnemonic to seed", without a passphrase."""
    return hashlib.pbkdf2_hmac("sha512", mnemonic.encode(), b"mnemonic", 2048)


def secp256k1_secret(coin_type: int, slot: int, seed: bytes | None = None) -> int:
    """The secret at m/44'/c'/0'/0/i. BIP-32, "Private parent key -> private child key"."""
    whole = hmac.digest(b"Bitcoin seed", seed or bip39_seed(), "sha512")
    secret, chain_code = int.from_bytes(whole[:32], "big"), whole[32:]
    for index in (_HARD + 44, _HARD + coin_type, _HARD, 0, slot):
        if index >= _HARD:
            data = b"\0" + secret.to_bytes(32, "big")
        else:
            point = SigningKey.from_secret_exponent(secret, SECP256k1).verifying_key
            data = point.to_string("compressed")
        whole = hmac.digest(chain_code, data + index.to_bytes(4, "big"), "sha512")
        secret, chain_code = (int.from_bytes(whole[:32], "big") + secret) % _N, whole[32:]
    return secret


def secp256k1_key(coin_type: int, slot: int, seed: bytes | None = None) -> SigningKey:
    """The key of a slot, in a library that is not the card's."""
    return SigningKey.from_secret_exponent(secp256k1_secret(coin_type, slot, seed), SECP256k1, hashlib.sha256)


def ed25519_key(coin_type: int, slot: int, seed: bytes | None = None) -> Ed25519PrivateKey:
    """The key at m/44'/c'/0'/0'/i'. SLIP-0010, "Private parent key -> private child key"."""
    whole = hmac.digest(b"ed25519 seed", seed or bip39_seed(), "sha512")
    for index in (44, coin_type, 0, 0, slot):
        whole = hmac.digest(whole[32:], b"\0" + whole[:32] + (_HARD + index).to_bytes(4, "big"), "sha512")
    return Ed25519PrivateKey.from_private_bytes(whole[:32])


def public_key(coin_type: int, slot: int, algorithm: int, seed: bytes | None = None) -> bytes:
    """A slot's public key as EXPORT PUBKEYS carries it."""
    if algorithm == ED25519:
        return b"\x20" + ed25519_key(coin_type, slot, seed).public_key().public_bytes_raw()
    return secp256k1_key(coin_type, slot, seed).verifying_key.to_string("uncompressed")


def record(coin_type: int, slot: int, algorithm: int = SECP256K1, seed: bytes | None = None) -> bytes:
    """The C2 object of a slot."""
    value = coin_type.to_bytes(4, "big") + bytes((slot, algorithm)) + public_key(coin_type, slot, algorithm, seed)
    return bytes((0xC2, len(value))) + value


def signature(coin_type: int, slot: int, digest: bytes = DIGEST, seed: bytes | None = None) -> bytes:
    """The DER signature RFC 6979 and the lower half of s leave no choice about, by the `ecdsa` package."""
    key = secp256k1_key(coin_type, slot, seed)
    return key.sign_digest_deterministic(digest, hashlib.sha256, sigencode=sigencode_der_canonize)
