"""The card's own key: made when it is first needed, kept, and certified by an authority. It vouches for slots' keys."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Final

from bsim import tlv
from bsim.applets.signing_state import SigningState
from bsim.applets.wallet_state import Slot
from bsim.ports import Rng
from bsim.store import Cell

Certify = Callable[[bytes, bytes], bytes]
"""Answers the certificate (X.509, DER) of a public key (65 bytes) in the card with an EF.ICCID (10 bytes)."""

CONTEXT: Final = b"bsim attestation 1"
_SIGNATURE: Final = 0x86


class Device:
    """The device key of one card."""

    __slots__ = ("_cell", "_certify", "_iccid")

    def __init__(self, cell: Cell[SigningState], iccid: Callable[[], bytes], certify: Certify) -> None:
        self._cell: Final = cell
        self._iccid: Final = iccid
        self._certify: Final = certify

    def certificate(self, rng: Rng) -> bytes:
        """Answer the certificate, DER; the key is made if there is none."""
        return self._made(rng).certificate

    def attest(self, number: int, slot: Slot, challenge: bytes, rng: Rng) -> bytes:
        """State that a slot's key lives here, over a challenge, and sign the statement."""
        from bsim.crypto import p256, verify  # noqa: PLC0415 - for cards that attest

        parts = (
            challenge,
            slot.public_key,
            slot.coin_type.to_bytes(4, "big"),
            bytes((number,)),
            bytes((slot.algorithm,)),
            self._iccid(),
        )
        statement = b"".join(tlv.encode(tag, part) for tag, part in enumerate(parts, 0x80))
        signer = p256.signer(self._made(rng).device_key)
        r, s = verify.parse_der(signer.sign(sha256(CONTEXT + statement).digest()), p256.ORDER)
        signer.wipe()
        return statement + tlv.encode(_SIGNATURE, r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    def _made(self, rng: Rng) -> SigningState:
        """The state with a device key in it."""
        state = self._cell.value
        if state.device_key:
            return state
        secret, public_key = _new_key(rng)
        made = replace(state, device_key=secret, certificate=self._certify(public_key, self._iccid()))
        self._cell.put(made)
        return made


def _new_key(rng: Rng) -> tuple[bytes, bytes]:
    """A secret and its public key; what is no secret (once in 2^32) is drawn again. FIPS 186-5 A.2.2."""
    from bsim.crypto import p256  # noqa: PLC0415 - as above

    while True:
        secret = rng(32)
        try:
            return secret, p256.public_key(secret)
        except ValueError:
            continue
