"""Secure Channel Protocol 03. GlobalPlatform Card Specification Amendment D (2.3), options i=70 and i=71.

A card challenge computed from a counter, and responses that may be authenticated and encrypted. In S8 mode challenges
and MACs have 8 bytes, in S16 mode 16.
"""

from dataclasses import replace
from hmac import compare_digest
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.cmac import CMAC

from bsim.crypto.scp import Keys, Level, WrongMacError
from bsim.crypto.scp.command import Secured, is_secured_with, pad, unpad

LEVELS: Final = frozenset(Level)
_BLOCK: Final = 16
# Amendment D table 4-1: what a derivation is for.
_CARD_CRYPTOGRAM: Final = 0x00
_HOST_CRYPTOGRAM: Final = 0x01
_CARD_CHALLENGE: Final = 0x02
_S_ENC: Final = 0x04
_S_MAC: Final = 0x06
_S_RMAC: Final = 0x07
# Warnings are answers too; an error has no MAC. Amendment D 6.2.5.
_PROTECTED: Final = frozenset({0x90, 0x62, 0x63})


class Scp03:
    """One SCP03 channel from the card's side."""

    __slots__ = ("_chain", "_counter", "_dek", "_enc", "_host", "_mac", "_rmac", "_size", "answer", "level")

    def __init__(self, keys: Keys, counter: int, host_challenge: bytes, card_challenge: bytes) -> None:
        """Answer a host challenge with the domain's sequence counter (0 to 2^24-1) and a challenge.

        Both challenges have 8 bytes in S8 mode and 16 in S16 mode.
        """
        size = len(host_challenge)
        self._size: Final = size
        context = host_challenge + card_challenge
        length = len(keys.enc)
        self._enc: Final = derive(keys.enc, _S_ENC, context, length)
        self._mac: Final = derive(keys.mac, _S_MAC, context, length)
        self._rmac: Final = derive(keys.mac, _S_RMAC, context, length)
        self._dek: Final = keys.dek
        self._host: Final = derive(self._mac, _HOST_CRYPTOGRAM, context, size)
        cryptogram = derive(self._mac, _CARD_CRYPTOGRAM, context, size)
        self.answer: Final = card_challenge + cryptogram + counter.to_bytes(3, "big")
        self._chain = bytes(_BLOCK)
        self._counter = 0
        self.level = Level.NONE

    def proof(self, level: int) -> bytes:
        """Answer what a host that knows the keys sends with EXTERNAL AUTHENTICATE; it serves tests of the card."""
        header = bytes((0x84, 0x82, level, 0, 2 * self._size))
        return self._host + cmac(self._mac, self._chain + header + self._host)[: self._size]

    def authenticate(self, level: int, authentication: bytes) -> bool:
        """Judge EXTERNAL AUTHENTICATE: host cryptogram and C-MAC, each as long as the mode's challenges."""
        header = bytes((0x84, 0x82, level, 0, 2 * self._size))
        cryptogram, mac = authentication[: self._size], authentication[self._size :]
        expected = cmac(self._mac, self._chain + header + cryptogram)
        if not (compare_digest(cryptogram, self._host) & compare_digest(mac, expected[: self._size])):
            return False
        self._chain, self.level = expected, Level(level)
        return True

    def unwrap(self, raw: bytes) -> bytes:
        """Check the MAC, which is over the encrypted data, then decrypt them. Amendment D 6.2.4, 6.2.6."""
        command = Secured.parse(raw, self._size)
        expected = cmac(self._mac, self._chain + command.authenticated(command.data))
        if not compare_digest(command.mac, expected[: self._size]):
            raise WrongMacError("the MAC is wrong")
        self._chain = expected
        self._counter += 1
        data = command.data
        if is_secured_with(self.level, 0x02) and data:
            if len(data) % _BLOCK:
                raise WrongMacError("encrypted data are whole blocks")
            data = unpad(self._cipher(0x00, self._counter).decryptor().update(data))
        return command.plain(data)

    def wrap(self, response: bytes) -> bytes:
        """Encrypt and authenticate a response that is no error, as the level says. Amendment D 6.2.5, 6.2.7."""
        data, sw = response[:-2], response[-2:]
        if sw[0] not in _PROTECTED:
            return response
        if is_secured_with(self.level, 0x20) and data:
            data = self._cipher(0x80, self._counter).encryptor().update(pad(data, _BLOCK))
        if is_secured_with(self.level, 0x10):
            data += cmac(self._rmac, self._chain + data + sw)[: self._size]
        return data + sw

    def secured(self, raw: bytes) -> bytes:
        """Encrypt, then MAC what is encrypted: what `unwrap` undoes. Amendment D 6.2.4, 6.2.6."""
        encrypts = is_secured_with(self.level, 0x02)
        command = Secured.around(raw, self._size, room=_BLOCK * encrypts)
        data = command.data
        if encrypts and data:
            data = self._cipher(0x00, self._counter + 1).encryptor().update(pad(data, _BLOCK))
        mac = cmac(self._mac, self._chain + command.authenticated(data))
        return replace(command, data=data, mac=mac[: self._size]).encode()

    def opened(self, response: bytes) -> bytes:
        """Check the MAC, then decrypt: what undoes `wrap`. Amendment D 6.2.5, 6.2.7."""
        data, sw = response[:-2], response[-2:]
        if sw[0] not in _PROTECTED or not is_secured_with(self.level, 0x10):
            return response
        data, mac = data[: -self._size], data[-self._size :]
        if not compare_digest(mac, cmac(self._rmac, self._chain + data + sw)[: self._size]):
            raise WrongMacError("the MAC of the response is wrong")
        if is_secured_with(self.level, 0x20) and data:
            data = unpad(self._cipher(0x80, self._counter).decryptor().update(data))
        return data + sw

    def decrypt_key(self, encrypted: bytes) -> bytes:
        """Decrypt with the static data encryption key, CBC without an ICV. Amendment D 6.2.8."""
        return Cipher(AES(self._dek), CBC(bytes(_BLOCK))).decryptor().update(encrypted)

    def _cipher(self, direction: int, number: int) -> Cipher[CBC]:
        """AES CBC; its ICV is the command's number, encrypted, with the first byte 80 for responses."""
        counter = bytes((direction,)) + number.to_bytes(_BLOCK - 1, "big")
        return Cipher(AES(self._enc), CBC(Cipher(AES(self._enc), ECB()).encryptor().update(counter)))


def card_challenge(keys: Keys, counter: int, aid: bytes, size: int) -> bytes:
    """The pseudo-random card challenge, of 8 or 16 bytes, of a domain with that AID. Amendment D 6.2.2.1."""
    return derive(keys.enc, _CARD_CHALLENGE, counter.to_bytes(3, "big") + aid, size)


def derive(key: bytes, purpose: int, context: bytes, length: int) -> bytes:
    """Derive `length` bytes (8-32): the counter-mode KDF of NIST SP 800-108 over CMAC. Amendment D 4.1.5."""
    derived = b""
    for number in range(1, (length + _BLOCK - 1) // _BLOCK + 1):
        label = bytes(11) + bytes((purpose,))
        derived += cmac(key, label + b"\0" + (length * 8).to_bytes(2, "big") + bytes((number,)) + context)
    return derived[:length]


def cmac(key: bytes, message: bytes) -> bytes:
    """AES-CMAC, 16 bytes. NIST SP 800-38B."""
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()


def key_check_value(key: bytes) -> bytes:
    """The first three bytes of sixteen bytes 01 under a key. Amendment D 4.1.4."""
    return Cipher(AES(key), ECB()).encryptor().update(b"\x01" * _BLOCK)[:3]
