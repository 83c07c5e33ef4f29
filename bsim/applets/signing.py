"""What this project adds to the wallet applet: one handler a command of applet_spec/signing.toml."""

from typing import Final

from bsim import tlv
from bsim.applets import approval
from bsim.applets.bpin import Dialogue
from bsim.applets.wallet import wallet
from bsim.applets.wallet_session import WalletSession
from bsim.chains import FAMILIES
from bsim.chains.family import Family, Signable
from bsim.sw import SW, SwError

VERSION: Final = b"\x00\x01"
_ALGORITHMS: Final = 0x80
_FAMILIES: Final = 0x81
_STATUS: Final = {field.name: field.values for field in wallet.spec.commands["GET_STATUS"].response}

_DIALOGUES: Final = {
    Dialogue.VERIFY: "VERIFY_BPIN",
    Dialogue.UPDATE: "UPDATE_BPIN",
    Dialogue.CONFIRMATION: "CONFIRMATION",
}


@wallet.handles("GET_STATUS")
def get_status(ctx: WalletSession) -> bytes:
    """Everything an app would otherwise find out by being refused."""
    state = ctx.state
    head = (_STATUS["life_cycle"][state.life_cycle.upper()], state.tries, state.has_seed, len(state.slots))
    return bytes(head) + state.version + VERSION + bytes((ctx.verified, _dialogue(ctx))) + _capabilities(ctx)


@wallet.handles("SIGN_TRANSACTION")
def sign_transaction(ctx: WalletSession, slot: int, family: int, payload: bytes) -> bytes:
    """Answers at once; the user reads and decides later."""
    kind = FAMILIES.get(family)
    if kind is None:
        raise SwError(SW.WRONG_DATA, "no such family")
    key = approval.slot_of(ctx, slot)
    if key.algorithm not in kind.algorithms or key.coin_type not in (kind.coin_types or {key.coin_type}):
        raise SwError(SW.WRONG_DATA, "the slot's key is none for this family")
    approval.approve(ctx, slot, decoded(kind, payload))
    return b""


@wallet.handles("GET_RESULT")
def get_result(ctx: WalletSession) -> bytes:
    """As SIGN before the BPIN: 6982 while the user has not answered, so that apps ask again."""
    if ctx.approval is None:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "nothing was approved")
    if ctx.approval.asking:
        raise SwError(SW.SECURITY_STATUS_NOT_SATISFIED, "the user has not answered")
    return ctx.approval.result


def decoded(family: Family, payload: bytes) -> Signable:
    """Decode a payload strictly; SwError 6A80 for one that is malformed."""
    try:
        return family.decode(payload)
    except ValueError as fault:
        raise SwError(SW.WRONG_DATA, "the payload is malformed") from fault


def _dialogue(ctx: WalletSession) -> int:
    otherwise = "OTHER" if ctx.card.toolkit.busy else "NONE"
    return _STATUS["dialogue"][_DIALOGUES[ctx.dialogue] if ctx.dialogue else otherwise]


def _capabilities(ctx: WalletSession) -> bytes:
    return tlv.encode(_ALGORITHMS, bytes(sorted(ctx.rules.algorithms))) + tlv.encode(_FAMILIES, bytes(FAMILIES))


COMMANDS: Final = wallet.compile("signing")
TERMINATED: Final = wallet.refused_in("terminated", "signing")
