"""VERIFY, CHANGE, DISABLE, ENABLE and UNBLOCK PIN. ETSI TS 102 221 11.1.9 to 11.1.13."""

from enum import IntEnum
from typing import Final

from bsim.applets.file_session import FileSession
from bsim.applets.pins import PIN1, PIN_LENGTH, Code, Outcome, is_value
from bsim.applets.usim import usim
from bsim.sw import SW, SwError

_TRIES_LEFT: Final = 0x63C0


class Replacement(IntEnum):
    """What stands for a PIN that is disabled. ETSI TS 102 221 table 11.13."""

    NONE = 0x00
    UNIVERSAL = 0x91


@usim.handles("VERIFY_PIN")
def verify_pin(ctx: FileSession, reference: int, pin: bytes) -> bytes:
    """Verify a PIN; without one, answer how many tries are left."""
    code = ctx.pins.code(reference)
    if not pin:
        raise SwError(_TRIES_LEFT | code.tries, "the tries that are left were asked for")
    if len(pin) != PIN_LENGTH:
        raise SwError(SW.WRONG_LENGTH, "a PIN has eight bytes")
    compare(ctx, enabled(code), pin)
    return b""


@usim.handles("CHANGE_PIN")
def change_pin(ctx: FileSession, reference: int, old: bytes, new: bytes) -> bytes:
    """Replace a PIN by another."""
    code = enabled(ctx.pins.code(reference))
    well_formed(new)
    compare(ctx, code, old)
    ctx.pins.change(reference, value=new)
    return b""


@usim.handles("DISABLE_PIN")
def disable_pin(ctx: FileSession, replacement: Replacement, reference: int, pin: bytes) -> bytes:
    """Ask for PIN1 no longer, or for the universal PIN in its place."""
    code = enabled(switchable(ctx, reference))
    compare(ctx, code, pin)
    ctx.pins.change(reference, enabled=False, replaced=replacement is Replacement.UNIVERSAL)
    return b""


@usim.handles("ENABLE_PIN")
def enable_pin(ctx: FileSession, reference: int, pin: bytes) -> bytes:
    """Ask for PIN1 again."""
    code = switchable(ctx, reference)
    if code.enabled:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "the PIN is enabled already")
    compare(ctx, code, pin)
    ctx.pins.change(reference, enabled=True, replaced=False)
    return b""


@usim.handles("UNBLOCK_PIN")
def unblock_pin(ctx: FileSession, reference: int, codes: bytes) -> bytes:
    """Replace a PIN with what unblocks it; without both, answer how many tries are left."""
    code = ctx.pins.code(reference)
    if not code.unblocking:
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "nothing unblocks this PIN")
    if not codes:
        raise SwError(_TRIES_LEFT | code.unblocking_tries, "the tries that are left were asked for")
    if len(codes) != 2 * PIN_LENGTH:
        raise SwError(SW.WRONG_LENGTH, "two codes have eight bytes each")
    unblocking, new = codes[:PIN_LENGTH], codes[PIN_LENGTH:]
    well_formed(new)
    outcome = ctx.pins.unblock(reference, unblocking, new, ctx.card.commit)
    _judge(outcome, ctx.pins.code(reference).unblocking_tries)
    return b""


def enabled(code: Code) -> Code:
    """Refuse with 6984 to use a PIN that is disabled."""
    if not code.enabled:
        raise SwError(SW.REFERENCE_DATA_NOT_USABLE, "the PIN is disabled")
    return code


def switchable(ctx: FileSession, reference: int) -> Code:
    """Answer PIN1; SwError 6A81 for others, which are always asked for."""
    code = ctx.pins.code(reference)
    if reference != PIN1:
        raise SwError(SW.FUNCTION_NOT_SUPPORTED, "only PIN1 can be disabled")
    return code


def well_formed(value: bytes) -> None:
    """Refuse with 6A80 a new PIN that is none."""
    if not is_value(value):
        raise SwError(SW.WRONG_DATA, "a PIN has four to eight digits")


def compare(ctx: FileSession, code: Code, value: bytes) -> None:
    """Check a PIN; SwError 63Cx where it is wrong, 6983 where it is blocked."""
    outcome = ctx.pins.check(code.reference, value, ctx.card.commit)
    _judge(outcome, ctx.pins.code(code.reference).tries)


def _judge(outcome: Outcome, left: int) -> None:
    if outcome is Outcome.BLOCKED:
        raise SwError(SW.AUTHENTICATION_METHOD_BLOCKED, "no try is left")
    if outcome is Outcome.WRONG:
        raise SwError(_TRIES_LEFT | left, "wrong PIN")
