"""Authentication between the subscriber and a network. 3GPP TS 31.102 7.1, TS 31.103 7.1, TS 33.102 6.3."""

from dataclasses import replace
from enum import IntEnum
from hmac import compare_digest
from typing import Final

from bsim.applets.file_session import FileSession
from bsim.applets.usim import ADF_USIM, usim
from bsim.crypto import milenage, sequence
from bsim.crypto.milenage import Authentication, Vector
from bsim.sw import SW, SwError

_CHALLENGE: Final = 16
_SQN: Final = 6
_SUCCESS: Final = 0xDB
_SYNCHRONISATION_FAILURE: Final = 0xDC
_NO_AMF: Final = bytes(2)  # 3GPP TS 33.102 6.3.3: AMF is all zeros in a resynchronisation


class Context(IntEnum):
    """What AUTHENTICATE authenticates for. 3GPP TS 31.102 table 7.1."""

    GSM = 0x80
    UMTS = 0x81


@usim.handles("AUTHENTICATE")
def authenticate(ctx: FileSession, context: Context, challenge: bytes) -> bytes:
    """Answer a network's challenge: RAND, and AUTN in the context of 3G and later, each behind its length."""
    parts = _parts(challenge, 1 if context is Context.GSM else 2)
    if context is Context.GSM:
        if not ctx.within(ADF_USIM):
            raise SwError(SW.SECURITY_CONTEXT_NOT_SUPPORTED, "an ISIM has no GSM context")
        response, key = run_gsm_algorithm(ctx, parts[0])
        return _with_lengths(response, key)
    return _authenticate(ctx, *parts)


def run_gsm_algorithm(ctx: FileSession, rand: bytes) -> tuple[bytes, bytes]:
    """Answer SRES (4 bytes) and Kc (8) of a challenge. 3GPP TS 33.102 6.8.1.2."""
    algorithm = _algorithm(ctx)
    vector = algorithm.vector(rand)
    if ctx.subscriber.cell.value.algorithm == "xor":
        return vector.res[:4], vector.res[4:12]  # 3GPP TS 34.108 8.1.2.1: cut from the output
    return milenage.sres(vector), milenage.kc(vector)


def _authenticate(ctx: FileSession, rand: bytes, autn: bytes) -> bytes:
    algorithm, cell = _algorithm(ctx), ctx.subscriber.cell
    vector = algorithm.vector(rand)
    sqn = milenage.xor(autn[:_SQN], vector.ak)
    if not compare_digest(algorithm.mac(rand, sqn, autn[_SQN:8]), autn[8:]):
        raise SwError(SW.MAC_FAILURE, "the network does not know the key")
    known = sequence.fresh(int.from_bytes(sqn, "big"), cell.value.sequences)
    if known is None:
        return _resynchronisation(algorithm, vector, rand, cell.value.sequences)
    cell.put(replace(cell.value, sequences=known))
    keys = _with_lengths(vector.res, vector.ck, vector.ik)
    # Kc is there where the application has service 27, GSM access. 3GPP TS 31.102 7.1.2.1.
    return bytes((_SUCCESS,)) + keys + (_with_lengths(milenage.kc(vector)) if ctx.within(ADF_USIM) else b"")


def _resynchronisation(algorithm: Authentication, vector: Vector, rand: bytes, known: tuple[int, ...]) -> bytes:
    """AUTS tells the network the highest number the card has taken. 3GPP TS 33.102 6.3.3."""
    sqn = sequence.highest(known).to_bytes(_SQN, "big")
    auts = milenage.xor(sqn, vector.ak_resync) + algorithm.mac_resync(rand, sqn, _NO_AMF)
    return bytes((_SYNCHRONISATION_FAILURE,)) + _with_lengths(auts)


def _algorithm(ctx: FileSession) -> Authentication:
    state = ctx.subscriber.cell.value
    return milenage.ALGORITHMS[state.algorithm](state.ki, state.opc)


def _parts(challenge: bytes, count: int) -> list[bytes]:
    if len(challenge) != count * (_CHALLENGE + 1):
        raise SwError(SW.WRONG_DATA, "the context has another number of parts")
    parts = [challenge[at : at + _CHALLENGE + 1] for at in range(0, len(challenge), _CHALLENGE + 1)]
    if any(part[0] != _CHALLENGE for part in parts):
        raise SwError(SW.WRONG_DATA, "RAND and AUTN have 16 bytes")
    return [part[1:] for part in parts]


def _with_lengths(*parts: bytes) -> bytes:
    return b"".join(bytes((len(part),)) + part for part in parts)
