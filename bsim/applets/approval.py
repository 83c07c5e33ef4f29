"""What the user approves: a payload's summary is shown, and signed on yes with the key it was shown for.

What comes of it is kept on the session, volatile, for GET RESULT. TRANSFER ASSET and LOGIN go the same way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bsim import tlv
from bsim.applets.confirm import confirm, page
from bsim.applets.wallet_state import Slot
from bsim.chains import coin_name
from bsim.chains.family import Signable, Signature, Summary
from bsim.crypto import p256, sm2_curve, verify
from bsim.crypto.algorithm import Algorithm
from bsim.spec import spec
from bsim.sw import SW, SwError

if TYPE_CHECKING:
    from bsim.applets.wallet_session import WalletSession

_TEXT: Final = spec().applets["wallet"].dialogue
_ORDERS: Final = {Algorithm.SM2: sm2_curve.ORDER, Algorithm.P256: p256.ORDER}
_DIGEST, _R, _S, _RECOVERY, _DER = range(0x80, 0x85)


@dataclass(frozen=True, slots=True)
class Approval:
    """What became of the last payload on a session: nothing yet (`asking`), a result, or no."""

    asking: bool = False
    result: bytes = b""


def _nothing() -> None:
    """What there is to do beside signing, where there is nothing."""


def approve(
    session: "WalletSession",
    number: int,
    signable: Signable,
    *,
    done: Callable[[], None] = _nothing,
    then: Callable[[], None] = _nothing,
) -> None:
    """Ask the user whether the key of a slot is to sign; answers at once, and GET RESULT tells later.

    The caller has the right to sign. SwError 6A88 for a slot there is not, 6A80 for a payload that the slot's key
    cannot sign, 6985 if the card cannot ask. `done` changes what signing changes: it is called after the user's yes,
    and what it puts is written before the signature is handed out. `then` is called after all that, and may ask on.
    """
    slot = slot_of(session, number)
    try:
        digest = signable.digest(slot.public_key)
        pages = [told(signable.summary(session.contacts.name_of)), _question(number, slot)]
    except ValueError as fault:
        raise SwError(SW.WRONG_DATA, "the slot's key cannot sign this") from fault

    def answered(yes: bool) -> None:
        session.approval = None
        if not yes or not still_granted(session, number, slot):
            return
        done()
        _sign(session, number, slot, digest)
        then()

    confirm(session, pages, answered)
    session.approval = Approval(asking=True)


def sign_unasked(session: "WalletSession", number: int, signable: Signable) -> None:
    """Sign what the user has allowed before; GET RESULT tells it. SwError 6985 while the user is being asked."""
    if session.approval is not None and session.approval.asking:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "the user is being asked about something else")
    slot = slot_of(session, number)
    _sign(session, number, slot, signable.digest(slot.public_key))


def slot_of(session: "WalletSession", number: int) -> Slot:
    """Answer a slot (1-127); SwError 6A88 if there is none of that number."""
    slots = session.state.slots
    if not 1 <= number <= len(slots):
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such slot")
    return slots[number - 1]


def still_granted(session: "WalletSession", number: int, slot: Slot) -> bool:
    """Whether what held when the user was asked holds now: the BPIN may be blocked meanwhile, the seed replaced."""
    slots, granted = session.state.slots, session.verified and session.open and not session.state.blocked
    return granted and slots[number - 1 : number] == (slot,)


def result(session: "WalletSession", number: int, slot: Slot, digest: bytes) -> bytes:
    """Sign 32 bytes with a slot's key, as GET RESULT tells it."""
    der = session.keys.sign(session.state, number, digest)
    if session.rules.verified_for_one_signature:
        session.verified = False
    r, s, recovery_id = signature(slot, digest, der)
    parts = {
        _DIGEST: digest,
        _R: r.to_bytes(32, "big"),
        _S: s.to_bytes(32, "big"),
        _RECOVERY: b"" if recovery_id is None else bytes((recovery_id,)),
        _DER: der,
    }
    return b"".join(tlv.encode(tag, value) for tag, value in parts.items())


def _sign(session: "WalletSession", number: int, slot: Slot, digest: bytes) -> None:
    session.approval = None
    session.card.commit()  # nothing is handed out for a change that could not be written
    session.approval = Approval(result=result(session, number, slot, digest))


def signature(slot: Slot, digest: bytes, der: bytes) -> Signature:
    """Take a signature apart; with secp256k1 it has the recovery id that leads to the slot's key."""
    if slot.algorithm is Algorithm.SECP256K1:
        return Signature(*verify.recoverable(digest, der, slot.public_key))
    return Signature(*verify.parse_der(der, _ORDERS[slot.algorithm]), None)


def told(summary: Summary) -> str:
    """Write a summary as the phone shows it; fields that are not shown are named."""
    hidden = [("Not shown", ", ".join(summary.hidden))] if summary.hidden else []
    return page(summary.title, [*summary.lines, *hidden])


def _question(number: int, slot: Slot) -> str:
    return _TEXT["confirm"].format(slot=number, coin=coin_name(slot.coin_type))
