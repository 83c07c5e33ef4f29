"""A GlobalPlatform host, written from the standards' side with its own key derivation: what the card is judged by.

Nothing of bsim.crypto.scp is used here. SCP02: GlobalPlatform Card Specification 2.3.1, annex E. SCP03: Amendment D.
"""

from dataclasses import dataclass, field

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.cmac import CMAC

from bsim.ports import Card


def _aes_mac(key: bytes, *parts: bytes) -> bytes:
    mac = CMAC(AES(key))
    for part in parts:
        mac.update(part)
    return mac.finalize()


def _padded(data: bytes, block: int) -> bytes:
    data += b"\x80"
    while len(data) % block:
        data += b"\0"
    return data


def _des3(key: bytes, mode: CBC | ECB) -> Cipher:
    return Cipher(TripleDES(key + key[:8]), mode)


def _des_then_des3(key: bytes, data: bytes, icv: bytes) -> bytes:
    """ISO/IEC 9797-1 MAC algorithm 3, block by block."""
    single, triple = Cipher(TripleDES(key[:8] * 3), ECB()), _des3(key, ECB())
    state = icv
    blocks = [data[at : at + 8] for at in range(0, len(data), 8)]
    for number, block in enumerate(blocks, 1):
        mixed = bytes(a ^ b for a, b in zip(state, block, strict=True))
        state = (triple if number == len(blocks) else single).encryptor().update(mixed)
    return state


class HostError(Exception):
    """The card did something that the protocol does not allow."""


@dataclass
class Host:
    """One side of a secure channel; `transmit` wraps, sends and unwraps: itself a card."""

    card: Card
    keys: tuple[bytes, bytes, bytes]
    version: int = 0x30
    challenge: bytes = bytes(range(8))
    on: int = 0
    level: int = field(default=0, init=False)

    def open(self, level: int) -> int:
        """Open the channel; the status word of EXTERNAL AUTHENTICATE."""
        head = bytes((0x80 | self.on, 0x50, self.version, 0, len(self.challenge)))
        answer = self.card.transmit(head + self.challenge + b"\0")
        assert answer[-2:] == b"\x90\x00", answer.hex()
        self.begin(answer[:-2])
        authentication = self.authentication(level)
        head = bytes((0x84 | self.on, 0x82, level, 0, len(authentication)))
        sw = int.from_bytes(self.card.transmit(head + authentication)[-2:], "big")
        self.level = level if sw == 0x9000 else 0
        return sw

    def reset(self) -> bytes:
        """Power-cycle."""
        self.level = 0
        return self.card.reset()

    def transmit(self, command: bytes) -> bytes:
        """Secure a plain short command, and open up its answer."""
        return self.unwrap(self.card.transmit(self.wrap(command)))

    def begin(self, answer: bytes) -> None:
        raise NotImplementedError

    def authentication(self, level: int) -> bytes:
        raise NotImplementedError

    def wrap(self, command: bytes) -> bytes:
        raise NotImplementedError

    def unwrap(self, response: bytes) -> bytes:
        raise NotImplementedError

    def encrypt_key(self, key: bytes) -> bytes:
        raise NotImplementedError


def _taken_apart(command: bytes) -> tuple[bytes, bytes, bytes]:
    header, rest = command[:4], command[4:]
    if len(rest) <= 1:
        return header, b"", rest
    return header, rest[1 : 1 + rest[0]], rest[1 + rest[0] :]


class Host03(Host):
    """SCP03, S8 or S16 by the length of the challenge."""

    def begin(self, answer: bytes) -> None:
        size = len(self.challenge)
        assert answer[10:13] == bytes((self.version, 3, 0x71 if size == 16 else 0x70))
        theirs, cryptogram, self.counter = answer[13 : 13 + size], answer[13 + size : 13 + 2 * size], answer[-3:]
        assert len(answer) == 16 + 2 * size
        self.context = self.challenge + theirs
        self.size, bits = size, 8 * len(self.keys[0])
        self.s_enc = self._kdf(self.keys[0], 4, bits)
        self.s_mac = self._kdf(self.keys[1], 6, bits)
        self.s_rmac = self._kdf(self.keys[1], 7, bits)
        if self._kdf(self.s_mac, 0, 8 * size) != cryptogram:
            raise HostError("the card's cryptogram is wrong")
        self.chain, self.number = bytes(16), 0

    def _kdf(self, key: bytes, constant: int, bits: int) -> bytes:
        """NIST SP 800-108 in counter mode: label, separator, L, i, context. Amendment D 4.1.5."""
        out = b""
        for i in (1, 2):
            out += _aes_mac(key, bytes(11), bytes((constant, 0)), bits.to_bytes(2, "big"), bytes((i,)), self.context)
        return out[: bits // 8]

    def authentication(self, level: int) -> bytes:
        cryptogram = self._kdf(self.s_mac, 1, 8 * self.size)
        self.chain = _aes_mac(self.s_mac, self.chain, bytes((0x84, 0x82, level, 0, 2 * self.size)), cryptogram)
        return cryptogram + self.chain[: self.size]

    def _icv(self, top: int) -> CBC:
        block = bytes((top,)) + self.number.to_bytes(15, "big")
        return CBC(Cipher(AES(self.s_enc), ECB()).encryptor().update(block))

    def wrap(self, command: bytes) -> bytes:
        if not self.level & 1:
            return command
        header, data, le = _taken_apart(command)
        self.number += 1
        if self.level & 2 and data:
            data = Cipher(AES(self.s_enc), self._icv(0)).encryptor().update(_padded(data, 16))
        lc = bytes((len(data) + self.size,))
        # On channel 0 in the MAC, whatever the channel is.
        secured = bytes((header[0] & 0x80 | 4,)) + header[1:] + lc + data
        self.chain = _aes_mac(self.s_mac, self.chain, secured)
        return bytes((header[0] | 4,)) + secured[1:] + self.chain[: self.size] + le

    def unwrap(self, response: bytes) -> bytes:
        data, sw = response[:-2], response[-2:]
        if not self.level & 0x10 or sw[0] not in {0x90, 0x62, 0x63}:
            return response
        data, mac = data[: -self.size], data[-self.size :]
        if _aes_mac(self.s_rmac, self.chain, data, sw)[: self.size] != mac:
            raise HostError("the response's MAC is wrong")
        if self.level & 0x20 and data:
            plain = Cipher(AES(self.s_enc), self._icv(0x80)).decryptor().update(data).rstrip(b"\0")
            assert plain[-1:] == b"\x80"
            data = plain[:-1]
        return data + sw

    def encrypt_key(self, key: bytes) -> bytes:
        """A key as PUT KEY carries it: type, length, length of the key and the key encrypted, its check value."""
        block = key if len(key) % 16 == 0 else key + bytes(16 - len(key) % 16)
        encrypted = Cipher(AES(self.keys[2]), CBC(bytes(16))).encryptor().update(block)
        check = Cipher(AES(key), ECB()).encryptor().update(b"\x01" * 16)[:3]
        return bytes((0x88, len(encrypted) + 1, len(key))) + encrypted + b"\x03" + check


class Host02(Host):
    """SCP02 with i=55."""

    def begin(self, answer: bytes) -> None:
        assert len(answer) == 28
        assert answer[10:12] == bytes((self.version, 2))
        self.counter, theirs, cryptogram = answer[12:14], answer[12:20], answer[20:]
        self.s_enc, self.s_mac, self.s_dek = (
            _des3(key, CBC(bytes(8))).encryptor().update(bytes(constant) + self.counter + bytes(12))
            for key, constant in zip(self.keys, ((1, 0x82), (1, 1), (1, 0x81)), strict=True)
        )
        if self._full(self.challenge + theirs) != cryptogram:
            raise HostError("the card's cryptogram is wrong")
        self.theirs, self.mac = theirs, b""

    def _full(self, challenges: bytes) -> bytes:
        return _des3(self.s_enc, CBC(bytes(8))).encryptor().update(_padded(challenges, 8))[-8:]

    def authentication(self, level: int) -> bytes:
        cryptogram = self._full(self.theirs + self.challenge)
        secured = bytes((0x84, 0x82, level, 0, 16)) + cryptogram
        self.mac = _des_then_des3(self.s_mac, _padded(secured, 8), bytes(8))
        return cryptogram + self.mac

    def wrap(self, command: bytes) -> bytes:
        if not self.level & 1:
            return command
        header, data, le = _taken_apart(command)
        secured = bytes((header[0] & 0x80 | 4,)) + header[1:] + bytes((len(data) + 8,)) + data
        icv = Cipher(TripleDES(self.s_mac[:8] * 3), ECB()).encryptor().update(self.mac)
        self.mac = _des_then_des3(self.s_mac, _padded(secured, 8), icv)
        if self.level & 2 and data:
            data = _des3(self.s_enc, CBC(bytes(8))).encryptor().update(_padded(data, 8))
        return bytes((header[0] | 4,)) + header[1:] + bytes((len(data) + 8,)) + data + self.mac + le

    def unwrap(self, response: bytes) -> bytes:
        return response

    def encrypt_key(self, key: bytes) -> bytes:
        """A key as PUT KEY carries it: type, length, the key encrypted, its check value."""
        encrypted = _des3(self.s_dek, ECB()).encryptor().update(key)
        check = _des3(key, ECB()).encryptor().update(bytes(8))[:3]
        return bytes((0x80, len(encrypted))) + encrypted + b"\x03" + check
