"""Authentication algorithms of a USIM: Milenage (3GPP TS 35.206), the XOR test algorithm (3GPP TS 34.108 8.1.2)."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

# 3GPP TS 35.206 4.1: rotations (bits) and constants of OUT1 to OUT5.
_ROTATIONS: Final = (64, 0, 32, 64, 96)
_CONSTANTS: Final = (0, 1, 2, 4, 8)
_MASK: Final = (1 << 128) - 1


@dataclass(frozen=True, slots=True)
class Vector:
    """What a challenge leads to: RES (4-16 bytes), CK, IK (16 each), AK (6), and AK of resynchronisation (6)."""

    res: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)
    ak: bytes = field(repr=False)
    ak_resync: bytes = field(repr=False)


class Authentication(Protocol):
    """An algorithm with its key."""

    def vector(self, rand: bytes) -> Vector:
        """Answer f2 to f5 and f5* of a challenge (16 bytes)."""
        ...

    def mac(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """Answer f1: the network's code (8 bytes)."""
        ...

    def mac_resync(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """Answer f1*: the card's code in a resynchronisation (8 bytes)."""
        ...


class Milenage:
    """Milenage with a key K and OPc (16 bytes each)."""

    def __init__(self, k: bytes, opc: bytes) -> None:
        self._cipher: Final = _cipher(k)
        self._opc: Final = int.from_bytes(opc, "big")

    def vector(self, rand: bytes) -> Vector:
        """3GPP TS 35.206 4.1: OUT2 to OUT5."""
        temp = self._temp(rand)
        out2, out3, out4, out5 = (self._out(temp, number) for number in (1, 2, 3, 4))
        return Vector(out2[8:], out3, out4, out2[:6], out5[:6])

    def mac(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """The first half of OUT1."""
        return self._out1(rand, sqn, amf)[:8]

    def mac_resync(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """The second half of OUT1."""
        return self._out1(rand, sqn, amf)[8:]

    def _temp(self, rand: bytes) -> int:
        return self._encrypt(int.from_bytes(rand, "big") ^ self._opc)

    def _out(self, temp: int, number: int) -> bytes:
        mixed = _rotate(temp ^ self._opc, _ROTATIONS[number]) ^ _CONSTANTS[number]
        return (self._encrypt(mixed) ^ self._opc).to_bytes(16, "big")

    def _out1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        temp, given = self._temp(rand), int.from_bytes((sqn + amf) * 2, "big")
        mixed = temp ^ _rotate(given ^ self._opc, _ROTATIONS[0]) ^ _CONSTANTS[0]
        return (self._encrypt(mixed) ^ self._opc).to_bytes(16, "big")

    def _encrypt(self, block: int) -> int:
        return int.from_bytes(_encrypt(self._cipher, block.to_bytes(16, "big")), "big")


class Xor:
    """The test algorithm: whatever the network does, it can do with an exclusive-or. No secret is safe with it."""

    def __init__(self, k: bytes, _opc: bytes = b"") -> None:
        self._k: Final = k

    def vector(self, rand: bytes) -> Vector:
        """3GPP TS 34.108 8.1.2.1: RES is the output, CK and IK are it rotated by one byte and two."""
        out = self._out(rand)
        return Vector(out, out[1:] + out[:1], out[2:] + out[:2], out[3:9], out[3:9])

    def mac(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """The output with SQN and AMF."""
        return xor(self._out(rand)[:8], sqn + amf)

    def mac_resync(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """As `mac`."""
        return self.mac(rand, sqn, amf)

    def _out(self, rand: bytes) -> bytes:
        return xor(self._k, rand)


ALGORITHMS: Final[dict[str, type[Milenage] | type[Xor]]] = {"milenage": Milenage, "xor": Xor}


def opc_of(k: bytes, op: bytes) -> bytes:
    """Answer OPc of the operator's OP and a card's K (16 bytes each). 3GPP TS 35.206 4.1."""
    return xor(_encrypt(_cipher(k), op), op)


def kc(vector: Vector) -> bytes:
    """Answer the GSM key (8 bytes). 3GPP TS 33.102 6.8.1.2, conversion function c3."""
    halves = (vector.ck[:8], vector.ck[8:], vector.ik[:8], vector.ik[8:])
    return xor(xor(halves[0], halves[1]), xor(halves[2], halves[3]))


def sres(vector: Vector) -> bytes:
    """Answer the GSM response (4 bytes). 3GPP TS 33.102 6.8.1.2, conversion function c2."""
    words = [vector.res.ljust(16, b"\0")[at : at + 4] for at in range(0, 16, 4)]
    return xor(xor(words[0], words[1]), xor(words[2], words[3]))


def _cipher(k: bytes) -> Cipher[modes.ECB]:
    # One block at a time is what the algorithm is made of; nothing is enciphered with it.
    return Cipher(AES(k), modes.ECB())  # noqa: S305


def _encrypt(cipher: Cipher[modes.ECB], block: bytes) -> bytes:
    encryptor = cipher.encryptor()
    return encryptor.update(block) + encryptor.finalize()


def _rotate(block: int, bits: int) -> int:
    return (block << bits | block >> (128 - bits)) & _MASK


def xor(one: bytes, other: bytes) -> bytes:
    """Answer the exclusive-or of as many bytes on either side."""
    return bytes(left ^ right for left, right in zip(one, other, strict=True))
