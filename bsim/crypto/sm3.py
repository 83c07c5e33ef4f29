"""SM3 (GM/T 0004-2012, GB/T 32905-2016): by OpenSSL where Python's has it, by Python itself where not."""

import hashlib
from struct import iter_unpack, pack
from typing import Final

_START: Final = (
    *(0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600),
    *(0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E),
)
_MASK: Final = 0xFFFFFFFF
_BLOCK: Final = 64


def sm3(data: bytes) -> bytes:
    """Answer the 32-byte digest."""
    try:
        return hashlib.new("sm3", data).digest()
    except ValueError:  # an OpenSSL without it
        return sm3_by_python(data)


def hmac_sm3(key: bytes, message: bytes) -> bytes:
    """Answer HMAC (RFC 2104) with SM3; the key is at most 64 bytes."""
    padded = key.ljust(_BLOCK, b"\0")
    inner = sm3(bytes(byte ^ 0x36 for byte in padded) + message)
    return sm3(bytes(byte ^ 0x5C for byte in padded) + inner)


def sm3_by_python(data: bytes) -> bytes:
    """Answer the digest as GM/T 0004 5 computes it, a hundred times slower."""
    padded = data + b"\x80" + bytes(-(len(data) + 9) % _BLOCK) + pack(">Q", 8 * len(data))
    state: tuple[int, ...] = _START
    for at in range(0, len(padded), _BLOCK):
        words = [word for (word,) in iter_unpack(">I", padded[at : at + _BLOCK])]
        state = _compress(state, _expand(words))
    return pack(">8I", *state)


def _expand(words: list[int]) -> list[int]:
    """GM/T 0004 5.3.2: 16 words to 68."""
    for j in range(16, 68):
        mixed = words[j - 16] ^ words[j - 9] ^ _left(words[j - 3], 15)
        words.append(mixed ^ _left(mixed, 15) ^ _left(mixed, 23) ^ _left(words[j - 13], 7) ^ words[j - 6])
    return words


def _compress(state: tuple[int, ...], words: list[int]) -> tuple[int, ...]:
    """GM/T 0004 5.3.3."""
    a, b, c, d, e, f, g, h = state
    for j in range(64):
        turned = _left(a, 12)
        ss1 = _left(turned + e + _left(0x79CC4519 if j < 16 else 0x7A879D8A, j % 32) & _MASK, 7)
        ff = a ^ b ^ c if j < 16 else a & b | a & c | b & c
        gg = e ^ f ^ g if j < 16 else e & f | ~e & g
        tt1 = ff + d + (ss1 ^ turned) + (words[j] ^ words[j + 4]) & _MASK
        tt2 = gg + h + ss1 + words[j] & _MASK
        a, b, c, d = tt1, a, _left(b, 9), c
        e, f, g, h = tt2 ^ _left(tt2, 9) ^ _left(tt2, 17), e, _left(f, 19), g
    return tuple(old ^ new for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True))


def _left(word: int, by: int) -> int:
    return (word << by | word >> (32 - by)) & _MASK
