"""The BSIM wallet applet: one handler a command. Lengths, P1/P2, conditions and rights were judged before."""

from dataclasses import replace
from enum import IntEnum
from hmac import compare_digest
from struct import pack
from typing import Final

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from bsim import tlv
from bsim.applets import bpin as dialogues
from bsim.applets import pages
from bsim.applets.base import Binding
from bsim.applets.bpin import Dialogue
from bsim.applets.session import Response
from bsim.applets.wallet_session import WalletSession
from bsim.applets.wallet_state import MAX_SLOTS, Slot, WalletState, with_seed
from bsim.crypto import envelope
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.derive import HARDENED
from bsim.sw import AUTHENTICATION_FAILED, SW, SwError

GENERATED_ENTROPY: Final = 32
PUBLIC_KEY_TAG: Final = 0xC2

wallet: Final = Binding[WalletSession]("wallet")


class Part(IntEnum):
    """Which segment EXPORT PUBKEYS is asked for."""

    FIRST = 0
    NEXT = 1


@wallet.condition("no_seed")
def no_seed(ctx: WalletSession) -> bool:
    """A seed is never replaced by a generated one."""
    return not ctx.state.has_seed


@wallet.condition("default_bpin")
def default_bpin(ctx: WalletSession) -> bool:
    """SET BPIN serves once."""
    return ctx.state.bpin_is_default


@wallet.condition("not_opened")
def not_opened(ctx: WalletSession) -> bool:
    """Card opening is done once."""
    return not ctx.state.opened


@wallet.right("opened")
def opened(ctx: WalletSession) -> SW | None:
    """Only some profiles demand card opening."""
    if ctx.rules.opening_required and not ctx.state.opened:
        return SW.SECURITY_STATUS_NOT_SATISFIED
    return None


@wallet.right("bpin_usable")
def bpin_usable(ctx: WalletSession) -> SW | None:
    """A blocked BPIN stays blocked."""
    return SW.AUTHENTICATION_METHOD_BLOCKED if ctx.cell.value.tries == 0 else None


@wallet.right("bpin")
def bpin(ctx: WalletSession) -> SW | None:
    """Verified on this channel, and not blocked by another since."""
    if ctx.cell.value.tries == 0:
        return SW.AUTHENTICATION_METHOD_BLOCKED
    return None if ctx.verified else SW.SECURITY_STATUS_NOT_SATISFIED


@wallet.right("restore")
def restore(ctx: WalletSession) -> SW | None:
    """The wallet app sends RESTORE SEED right after VERIFY BPIN, while the user is still typing."""
    if not ctx.state.has_seed or ctx.dialogue is Dialogue.VERIFY:
        return None
    return bpin(ctx)


@wallet.right("issuer_session")
def issuer_session(ctx: WalletSession) -> SW | None:
    """Card opening happened on this channel."""
    return None if ctx.issuer else SW.SECURITY_STATUS_NOT_SATISFIED


@wallet.handles("GET_VERSION")
def get_version(ctx: WalletSession) -> bytes:
    """Two bytes."""
    return ctx.cell.value.version


@wallet.handles("SET_BPIN")
def set_bpin(ctx: WalletSession, bpin: bytes) -> bytes:
    """Once, from the BPIN the card was shipped with."""
    if not dialogues.is_bpin(bpin):
        raise SwError(SW.WRONG_DATA, "a BPIN has six digits")
    ctx.cell.put(replace(ctx.state, bpin=bpin, bpin_is_default=False))
    return b""


@wallet.handles("GENERATE_SEED")
def generate_seed(ctx: WalletSession) -> bytes:
    """A card has one seed."""
    ctx.cell.put(with_seed(ctx.state, ctx.card.rng(GENERATED_ENTROPY)))
    return b""


@wallet.handles("GET_CHALLENGE")
def get_challenge(ctx: WalletSession) -> bytes:
    """A challenge serves for one attempt."""
    ctx.challenge = ctx.card.rng(16)
    return ctx.challenge


@wallet.handles("EXTERNAL_AUTHENTICATE")
def external_authenticate(ctx: WalletSession, cryptogram: bytes) -> bytes | Response:
    """The cryptogram is AES-CMAC of the challenge under the opening key. NIST SP 800-38B."""
    challenge, ctx.challenge = ctx.challenge, b""
    if not challenge:
        raise SwError(SW.REFERENCE_DATA_NOT_USABLE, "no challenge was asked for")
    mac = CMAC(AES(ctx.state.opening_key))
    mac.update(challenge)
    if not compare_digest(mac.finalize(), cryptogram):
        # A warning, which a secure channel protects as it does success; what is raised it does not. Amendment D 6.2.5.
        return Response(b"", AUTHENTICATION_FAILED)
    ctx.cell.put(replace(ctx.state, opened=True))
    ctx.card.commit()  # an opening that could not be written grants nothing
    ctx.issuer = True
    return b""


@wallet.handles("WRITE_SESSION_KEY")
def write_session_key(ctx: WalletSession, key: bytes) -> bytes:
    """Kept until the channel closes; what the real card does with it is unknown."""
    ctx.session_key = key
    return b""


@wallet.handles("VERIFY_BPIN")
def verify_bpin(ctx: WalletSession) -> bytes:
    """Answers at once; the user types later. One dialogue at a time."""
    if (ctx.verified and not ctx.rules.ask_each_time) or ctx.card.toolkit.busy:
        return b""
    dialogues.verify(ctx)
    ctx.verified = False
    return b""


@wallet.handles("UPDATE_BPIN")
def update_bpin(ctx: WalletSession) -> bytes:
    """Answers at once; a repeated command does not open a second dialogue."""
    if ctx.dialogue is not Dialogue.UPDATE:
        dialogues.update(ctx)
    return b""


@wallet.handles("DERIVE_KEY")
def derive_key(ctx: WalletSession, coin_type: int, algorithm: Algorithm) -> bytes:
    """The next slot of the one counter over all coin types."""
    if algorithm not in ctx.rules.algorithms:
        raise SwError(SW.WRONG_DATA, "an algorithm this card has not")
    state = seeded(ctx)
    if coin_type >= HARDENED:
        raise SwError(SW.WRONG_DATA, "SLIP-0044 coin types are below 2^31")
    if len(state.slots) == MAX_SLOTS:
        raise SwError(SW.NOT_ENOUGH_MEMORY, "all slots are used")
    public_key = ctx.keys.public_key(state.seed, coin_type, len(state.slots) + 1, algorithm)
    ctx.cell.put(replace(state, slots=(*state.slots, Slot(coin_type, algorithm, public_key))))
    return b""


@wallet.handles("SIGN")
def sign(ctx: WalletSession, coin_type: int, slot: int, digest: bytes) -> bytes:
    """The hot path: keys of used slots stay derived while the card is powered.

    Constant work: what is decided here and on the way here is decided by the command (its bytes, its slot), by what the
    user granted and by whether the slot was used since power-on. No secret is looked at before libsecp256k1 has it.
    """
    key = ctx.keys.ready.get(slot) or ctx.keys.derive(ctx.cell.value, slot)
    if key is None or key.coin_type != coin_type:
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such slot of that coin type")
    if key.digest_length is not None and key.digest_length != len(digest):
        raise SwError(SW.WRONG_DATA, "the hash has another length")
    if ctx.rules.verified_for_one_signature:
        ctx.verified = False
    return key.sign(digest)


@wallet.handles("EXPORT_PUBKEYS")
def export_pubkeys(ctx: WalletSession, part: Part) -> bytes | Response:
    """One TLV stream, cut into segments where they fall."""
    state = seeded(ctx)
    if part is Part.NEXT:
        return pages.following(ctx.paged, "EXPORT_PUBKEYS")
    stream = (public_key_tlv(number, slot) for number, slot in enumerate(state.slots, 1))
    return pages.first(ctx.paged, "EXPORT_PUBKEYS", stream)


@wallet.handles("EXPORT_SEED")
def export_seed(ctx: WalletSession, key2: bytes) -> bytes:
    """The entropy under a password."""
    return envelope.seal(seeded(ctx).entropy, key2, ctx.card.rng)


@wallet.handles("RESTORE_SEED")
def restore_seed(ctx: WalletSession, key2: bytes, ciphertext: bytes) -> bytes:
    """A wrong password changes nothing; a right one empties all slots."""
    try:
        entropy = envelope.unseal(ciphertext, key2)
    except ValueError as fault:
        raise SwError(SW.WRONG_DATA, "the backup cannot be opened") from fault
    ctx.keys.wipe()
    if not compare_digest(entropy, ctx.state.entropy):
        ctx.registry.clear()  # what other keys own is no longer this card's. docs/decisions/0024
    # Slots will have other keys, or come in another order: what was allowed for one is not allowed for the next.
    ctx.signing.put(ctx.signing.value.without_policies())
    ctx.cell.put(with_seed(ctx.state, entropy))
    return b""


def seeded(ctx: WalletSession) -> WalletState:
    """Answer the state of a card that has a seed; SwError 6A88 for one that has none."""
    if not ctx.state.has_seed:
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "the card has no seed")
    return ctx.state


def public_key_tlv(number: int, slot: Slot) -> bytes:
    """C2: coin type, slot, algorithm, key; a key that is no curve point carries its length."""
    key = slot.public_key
    if slot.algorithm is Algorithm.ED25519:
        # The wallet app takes a first byte 1F-40 for a length, so a bare 32-byte key could be misread.
        key = bytes((len(key),)) + key
    return tlv.encode(PUBLIC_KEY_TAG, pack(">IBB", slot.coin_type, number, slot.algorithm) + key)


COMMANDS: Final = wallet.compile()
TERMINATED: Final = wallet.refused_in("terminated")
