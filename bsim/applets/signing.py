"""What this project adds to the wallet applet: one handler a command of applet_spec/signing.toml."""

from enum import IntEnum
from typing import Final

from bsim import tlv
from bsim.applets import approval, pages, policies
from bsim.applets.bpin import Dialogue
from bsim.applets.session import Response
from bsim.applets.wallet import Part, wallet
from bsim.applets.wallet_session import WalletSession
from bsim.applets.wallet_state import Slot, with_seed
from bsim.chains import FAMILIES, address
from bsim.chains.family import Family, Signable
from bsim.crypto import mnemonic
from bsim.sw import SW, SwError

VERSION: Final = b"\x00\x01"
_ALGORITHMS: Final = 0x80
_FAMILIES: Final = 0x81


class Form(IntEnum):
    """How IMPORT SEED is given the seed."""

    ENTROPY = 0
    MNEMONIC = 1


class SignInFamily(IntEnum):
    """Whose accounts sign in: the families of sign-ins."""

    ETHEREUM = 0x14
    CONFLUX = 0x15


class Action(IntEnum):
    """What LOGIN POLICIES does."""

    LIST = 0
    REMOVE = 1


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


@wallet.right("import_channel")
def import_channel(ctx: WalletSession) -> SW | None:
    """Whoever hands a card a seed has the issuer's keys, where the profile demands it."""
    refused = ctx.rules.secure_import and ctx.secure is None
    return SW.SECURITY_STATUS_NOT_SATISFIED if refused else None


@wallet.handles("IMPORT_SEED")
def import_seed(ctx: WalletSession, form: Form, secret: bytes) -> bytes:
    """A card has one seed, and here it is one that somebody knows."""
    try:
        entropy = mnemonic.to_entropy(secret.decode(errors="replace")) if form is Form.MNEMONIC else secret
        state = with_seed(ctx.state, entropy)
    except ValueError as fault:
        raise SwError(SW.WRONG_DATA, "no mnemonic, or entropy of another length") from fault
    ctx.keys.wipe()
    ctx.cell.put(state)
    return b""


@wallet.handles("GET_ADDRESS")
def get_address(ctx: WalletSession, slot: int) -> bytes:
    """As people read it."""
    key = approval.slot_of(ctx, slot)
    found = address(key.coin_type, key.algorithm, key.public_key)
    if found is None:
        raise SwError(SW.FUNCTION_NOT_SUPPORTED, "no address is known for this coin type")
    return found.encode()


@wallet.handles("SIGN_TRANSACTION")
def sign_transaction(ctx: WalletSession, slot: int, family: int, payload: bytes) -> bytes:
    """Answers at once; the user reads and decides later."""
    kind = FAMILIES.get(family)
    if kind is None:
        raise SwError(SW.WRONG_DATA, "no such family")
    key = _fitting(ctx, slot, kind)
    signable = decoded(kind, payload)
    if kind.code in set(SignInFamily):
        from bsim.applets import login as logins  # noqa: PLC0415

        logins.check(key, signable)
    approval.approve(ctx, slot, signable)
    return b""


@wallet.handles("GET_RESULT")
def get_result(ctx: WalletSession) -> bytes:
    """As SIGN before the BPIN: 6982 while the user has not answered, so that apps ask again."""
    if ctx.approval is None:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "nothing was approved")
    if ctx.approval.asking:
        raise SwError(SW.SECURITY_STATUS_NOT_SATISFIED, "the user has not answered")
    return ctx.approval.result


@wallet.handles("LOGIN")
def login(  # noqa: PLR0917 - the entry's fields
    ctx: WalletSession, slot: int, family: SignInFamily, uses: int, until: int, message: bytes
) -> bytes:
    """Answers at once; where the user allowed it, the result is there at once too."""
    from bsim.applets import login as logins  # noqa: PLC0415

    _fitting(ctx, slot, FAMILIES[family])
    logins.login(ctx, slot, decoded(FAMILIES[family], message), uses, until)
    return b""


@wallet.handles("LOGIN_POLICIES")
def login_policies(ctx: WalletSession, action: Action, part: Part, number: bytes) -> bytes | Response:
    """Where the user is logged in is nobody's business without the BPIN."""
    if (action is Action.LIST) == bool(number):
        raise SwError(SW.WRONG_DATA, "a list takes no number, and REMOVE takes one")
    if action is Action.LIST and part is Part.NEXT:
        return pages.following(ctx.paged, "LOGIN_POLICIES")
    if action is Action.LIST:
        return pages.first(ctx.paged, "LOGIN_POLICIES", policies.listed(ctx.signing.value))
    if part is Part.NEXT:
        raise SwError(SW.WRONG_P1_P2, "only a list has segments")
    policies.forget(ctx.signing, number[0])
    return b""


@wallet.handles("ATTEST")
def attest(ctx: WalletSession, slot: int, challenge: bytes) -> bytes:
    """The device key vouches for the slot's."""
    return ctx.device.attest(slot, approval.slot_of(ctx, slot), challenge, ctx.card.rng)


@wallet.handles("GET_CERTIFICATE")
def get_certificate(ctx: WalletSession, part: Part) -> bytes | Response:
    """One certificate, cut into segments where they fall."""
    if part is Part.NEXT:
        return pages.following(ctx.paged, "GET_CERTIFICATE")
    return pages.first(ctx.paged, "GET_CERTIFICATE", [ctx.device.certificate(ctx.card.rng)])


def _fitting(ctx: WalletSession, number: int, family: Family) -> Slot:
    """Answer a slot whose key a family takes; SwError 6A88 if there is no such slot, 6A80 if its key is another's."""
    slot = approval.slot_of(ctx, number)
    if slot.algorithm not in family.algorithms or slot.coin_type not in (family.coin_types or {slot.coin_type}):
        raise SwError(SW.WRONG_DATA, "the slot's key is none for this family")
    return slot


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
