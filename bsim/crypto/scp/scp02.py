"""Secure Channel Protocol 02 with the options i=55. GlobalPlatform Card Specification 2.3.1, annex E.

Three keys, explicit initiation, ICV encryption, the MAC over the unmodified APDU's data, and a card challenge that is
computed from the sequence counter. Responses are not protected: i=55 has no R-MAC.
"""

from dataclasses import replace
from hmac import compare_digest
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

from bsim.crypto.scp import Keys, Level, WrongMacError
from bsim.crypto.scp.command import Secured, is_secured_with, pad, unpad

OPTIONS: Final = 0x55
LEVELS: Final = frozenset({Level.NONE, Level.C_MAC, Level.C_DECRYPTION})
_BLOCK: Final = 8
_NO_ICV: Final = bytes(_BLOCK)
# Table E-2: the constants a session key is derived with.
_S_MAC: Final = b"\x01\x01"
_S_ENC: Final = b"\x01\x82"
_S_DEK: Final = b"\x01\x81"


class Scp02:
    """One SCP02 channel from the card's side."""

    __slots__ = ("_counter", "_dek", "_enc", "_host", "_mac", "_mac_chain", "answer", "level")

    def __init__(self, keys: Keys, counter: int, host_challenge: bytes, card_challenge: bytes) -> None:
        """Answer a host challenge (8 bytes) with the domain's sequence counter (0-65,535) and a challenge (6 bytes)."""
        self._counter = counter.to_bytes(2, "big")
        self._mac = _session_key(keys.mac, _S_MAC, self._counter)
        self._enc = _session_key(keys.enc, _S_ENC, self._counter)
        self._dek = _session_key(keys.dek, _S_DEK, self._counter)
        challenge = self._counter + card_challenge
        self.answer: Final = challenge + self._cryptogram(host_challenge + challenge)
        self._host = self._cryptogram(challenge + host_challenge)
        self._mac_chain = _NO_ICV
        self.level = Level.NONE

    def proof(self, level: int) -> bytes:
        """Answer what a host that knows the keys sends with EXTERNAL AUTHENTICATE; it serves tests of the card."""
        header = bytes((0x84, 0x82, level, 0, 16))
        return self._host + retail_mac(self._mac, pad(header + self._host, _BLOCK), _NO_ICV)

    def authenticate(self, level: int, authentication: bytes) -> bool:
        """Judge EXTERNAL AUTHENTICATE: host cryptogram (8 bytes) and C-MAC (8 bytes)."""
        header = bytes((0x84, 0x82, level, 0, 16))
        cryptogram, mac = authentication[:_BLOCK], authentication[_BLOCK:]
        expected = retail_mac(self._mac, pad(header + cryptogram, _BLOCK), _NO_ICV)
        if not (compare_digest(cryptogram, self._host) & compare_digest(mac, expected)):
            return False
        self._mac_chain, self.level = expected, Level(level)
        return True

    def unwrap(self, raw: bytes) -> bytes:
        """Decrypt what is encrypted, then check the MAC, which is over the plain data. E.4.4, E.4.6."""
        command = Secured.parse(raw, _BLOCK)
        data = command.data
        if is_secured_with(self.level, 0x02) and data:
            if len(data) % _BLOCK:
                raise WrongMacError("encrypted data are whole blocks")
            data = unpad(self._cbc().decryptor().update(data))
        expected = self._next_mac(command, data)
        if not compare_digest(command.mac, expected):
            raise WrongMacError("the MAC is wrong")
        self._mac_chain = expected
        return command.plain(data)

    def wrap(self, response: bytes) -> bytes:
        """Nothing is done to responses."""
        return response

    def secured(self, raw: bytes) -> bytes:
        """MAC what is plain, then encrypt it: what `unwrap` undoes. E.4.4, E.4.6."""
        encrypts = is_secured_with(self.level, 0x02)
        command = Secured.around(raw, _BLOCK, room=_BLOCK * encrypts)
        mac, data = self._next_mac(command, command.data), command.data
        if encrypts and data:
            data = self._cbc().encryptor().update(pad(data, _BLOCK))
        return replace(command, data=data, mac=mac).encode()

    def opened(self, response: bytes) -> bytes:
        """Nothing was done to it."""
        return response

    def decrypt_key(self, encrypted: bytes) -> bytes:
        """Decrypt with the session's data encryption key, ECB. E.4.7."""
        decryptor = Cipher(_triple(self._dek), ECB()).decryptor()
        return decryptor.update(encrypted)

    def _next_mac(self, command: Secured, data: bytes) -> bytes:
        # E.3: the ICV of every MAC but the first is the MAC before, encrypted with the first half of the MAC key.
        icv = _des(self._mac[:8], self._mac_chain)
        return retail_mac(self._mac, pad(command.authenticated(data), _BLOCK), icv)

    def _cbc(self) -> Cipher[CBC]:
        return Cipher(_triple(self._enc), CBC(_NO_ICV))

    def _cryptogram(self, challenges: bytes) -> bytes:
        """A full triple-DES CBC MAC. E.4.2."""
        encryptor = Cipher(_triple(self._enc), CBC(_NO_ICV)).encryptor()
        return encryptor.update(pad(challenges, _BLOCK))[-_BLOCK:]


def card_challenge(keys: Keys, counter: int, aid: bytes) -> bytes:
    """The pseudo-random card challenge, 6 bytes: the start of a MAC of the domain's AID. E.4.2.3."""
    session = _session_key(keys.mac, _S_MAC, counter.to_bytes(2, "big"))
    return retail_mac(session, pad(aid, _BLOCK), _NO_ICV)[:6]


def retail_mac(key: bytes, padded: bytes, icv: bytes) -> bytes:
    """The MAC of whole blocks: DES CBC, its last block triple. ISO/IEC 9797-1 algorithm 3; E.4.4 there cited."""
    if len(padded) > _BLOCK:
        encryptor = Cipher(_single(key[:8]), CBC(icv)).encryptor()
        icv = encryptor.update(padded[:-_BLOCK])[-_BLOCK:]
    encryptor = Cipher(_triple(key), CBC(icv)).encryptor()
    return encryptor.update(padded[-_BLOCK:])


def key_check_value(key: bytes) -> bytes:
    """The first three bytes of eight zeros under a key (16 bytes). B.5."""
    return Cipher(_triple(key), ECB()).encryptor().update(bytes(_BLOCK))[:3]


def _session_key(key: bytes, constant: bytes, counter: bytes) -> bytes:
    """Derive a session key. E.4.1."""
    encryptor = Cipher(_triple(key), CBC(_NO_ICV)).encryptor()
    return encryptor.update(constant + counter + bytes(12))


def _des(key: bytes, block: bytes) -> bytes:
    return Cipher(_single(key), ECB()).encryptor().update(block)


def _triple(key: bytes) -> TripleDES:
    return TripleDES(key + key[:8])


def _single(key: bytes) -> TripleDES:
    """DES, as triple DES with one key three times."""
    return TripleDES(key * 3)
