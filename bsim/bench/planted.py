"""Faults to be found: each planted into the running card code for a while, and nowhere in what is shipped of a card."""

from dataclasses import replace
from hmac import compare_digest
from typing import Final

from bsim.applets import bpin, pages, wallet
from bsim.applets.pages import SEGMENT, Pages
from bsim.applets.routes import _Chain
from bsim.applets.session import Response, Session
from bsim.applets.toolkit import Toolkit
from bsim.applets.wallet import Part, public_key_tlv, seeded
from bsim.applets.wallet_session import WalletApplet, WalletSession
from bsim.applets.wallet_state import MAX_TRIES, Slot
from bsim.bench.plant import Fault, attribute, instead_of
from bsim.bench.planted_more import MORE
from bsim.crypto import envelope, mnemonic
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.ecdsa import ORDER
from bsim.crypto.verify import encode_der, parse_der
from bsim.sw import SW, SwError

# What the card does instead. Signatures are those of what is replaced.


def _compares_first(session: WalletSession, digits: bytes) -> bool:
    cell = session.cell
    if compare_digest(digits, cell.value.bpin):
        cell.put(replace(cell.value, tries=MAX_TRIES))
        return True
    cell.put(replace(cell.value, tries=cell.value.tries - 1))
    return False


def _no_right(ctx: WalletSession) -> SW | None:  # noqa: ARG001
    return None


def _any_channel(ctx: WalletSession) -> SW | None:
    sessions = ctx.card._sessions.values()  # type: ignore[attr-defined]
    verified = any(getattr(session, "verified", False) for session in sessions)
    return None if verified and ctx.cell.value.tries else SW.SECURITY_STATUS_NOT_SATISFIED


def _undeclared(ctx: WalletSession, part: Part) -> bytes | Response:
    state = seeded(ctx)
    if part is Part.NEXT:
        if "EXPORT_PUBKEYS" not in ctx.paged:
            raise SwError(0x6A83, "no segment is left")
        return pages.following(ctx.paged, "EXPORT_PUBKEYS")
    stream = (public_key_tlv(number, slot) for number, slot in enumerate(state.slots, 1))
    return pages.first(ctx.paged, "EXPORT_PUBKEYS", stream)


def _one_off(self: Pages) -> bytes | Response:
    begin, end = self._at, self._at + SEGMENT
    if len(self._buffer) <= end:
        self._fill()
        begin, end = 0, SEGMENT
    self._at = end + 1
    segment = self._buffer[begin:end]
    return Response(segment, SW.MORE_DATA) if len(self._buffer) > end else segment


def _never_ends(ctx: WalletSession, part: Part) -> bytes | Response:
    state = seeded(ctx)
    while part is Part.NEXT and "EXPORT_PUBKEYS" not in ctx.paged:
        part = Part.NEXT
    if part is Part.NEXT:
        return pages.following(ctx.paged, "EXPORT_PUBKEYS")
    stream = (public_key_tlv(number, slot) for number, slot in enumerate(state.slots, 1))
    return pages.first(ctx.paged, "EXPORT_PUBKEYS", stream)


def _key_in_error(ctx: WalletSession, coin_type: int, slot: int, digest: bytes) -> bytes | Response:
    key = ctx.keys.ready.get(slot) or ctx.keys.derive(ctx.cell.value, slot)
    if key is None or key.coin_type != coin_type:
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such slot of that coin type")
    if key.digest_length is not None and key.digest_length != len(digest):
        return Response(ctx.cell.value.seed[:16], SW.WRONG_DATA)
    return key.sign(digest)


def _high_s(ctx: WalletSession, coin_type: int, slot: int, digest: bytes) -> bytes:
    key = ctx.keys.ready.get(slot) or ctx.keys.derive(ctx.cell.value, slot)
    if key is None or key.coin_type != coin_type:
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such slot of that coin type")
    if key.digest_length is not None and key.digest_length != len(digest):
        raise SwError(SW.WRONG_DATA, "the hash has another length")
    if key.digest_length is None:
        return key.sign(digest)
    r, s = parse_der(key.sign(digest))
    return encode_der(r, ORDER - s)


def _same_nonce(ctx: WalletSession, coin_type: int, slot: int, digest: bytes) -> bytes:
    from ecdsa import SECP256k1, SigningKey  # noqa: PLC0415 - only here
    from ecdsa.util import sigencode_der_canonize  # noqa: PLC0415

    key = ctx.keys.ready.get(slot) or ctx.keys.derive(ctx.cell.value, slot)
    if key is None or key.coin_type != coin_type:
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such slot of that coin type")
    if key.digest_length is not None and key.digest_length != len(digest):
        raise SwError(SW.WRONG_DATA, "the hash has another length")
    if key.digest_length is None:
        return key.sign(digest)
    with ctx.keys._node(ctx.state.seed, coin_type, slot, ctx.state.slots[slot - 1].algorithm) as node:
        secret = SigningKey.from_string(bytes(node.secret), SECP256k1)
    return bytes(secret.sign_digest(digest, sigencode=sigencode_der_canonize, k=20_251_123))


def _in_two(ctx: WalletSession, key2: bytes, ciphertext: bytes) -> bytes:
    try:
        entropy = envelope.unseal(ciphertext, key2)
    except ValueError as fault:
        raise SwError(SW.WRONG_DATA, "the backup cannot be opened") from fault
    ctx.keys.wipe()
    ctx.cell.put(replace(ctx.state, entropy=entropy, seed=mnemonic.seed(entropy)))
    ctx.card.commit()
    ctx.cell.put(replace(ctx.state, slots=(), tries=MAX_TRIES, opened=not ctx.state.opened))
    ctx.card.commit()
    return b""


def _slot_again(ctx: WalletSession, coin_type: int, algorithm: Algorithm) -> bytes:
    state = seeded(ctx)
    if coin_type >= 1 << 31:
        raise SwError(SW.WRONG_DATA, "SLIP-0044 coin types are below 2^31")
    number = min(len(state.slots) + 1, 2)
    public_key = ctx.keys.public_key(state.seed, coin_type, number, algorithm)
    ctx.cell.put(replace(state, slots=(*state.slots[: number - 1], Slot(coin_type, algorithm, public_key))))
    return b""


def _long_challenge(ctx: WalletSession) -> bytes:
    ctx.challenge = ctx.card.rng(16)
    return ctx.challenge + b"\0"


def _gives_back(ctx: WalletSession) -> bytes:
    ctx.cell.put(replace(ctx.state, tries=MAX_TRIES))
    return b""


def _empty_text(digits: bytes) -> bool:
    return digits[0] in b"0123456789" and len(digits) == 6 and digits.isdigit()


def _crashes_verified(ctx: WalletSession, key2: bytes) -> bytes:
    if len(key2) > 1:
        raise IndexError("planted")
    return envelope.seal(seeded(ctx).entropy, key2, ctx.card.rng)


def _keeps_asking(self: Toolkit) -> None:
    self.terminal = False
    self.waiting = getattr(self, "waiting", b"")
    self._command = getattr(self, "_command", None)
    self._then = getattr(self, "_then", None)
    self._offer = getattr(self, "_offer", None)
    self._next = getattr(self, "_next", None)


def _goes_on(self: _Chain, session: Session, raw: bytes) -> bytes:
    routes = self._routes
    while isinstance(routes, _Chain):  # one chain that goes on inside another is no other fault
        routes = routes._routes
    return routes[raw[:4]](session, raw)


FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault(
            "pin-order",
            "the BPIN is compared before a try is spent",
            "pin-counter",
            (5,),
            lambda: instead_of(bpin.try_bpin, _compares_first),
        ),
        Fault(
            "no-right",
            "SIGN and EXPORT SEED ask for no BPIN",
            "access-control",
            (2, 3),
            lambda: instead_of(wallet.bpin, _no_right),
        ),
        Fault(
            "channels",
            "verified on one channel is verified on all",
            "access-control",
            (8,),
            lambda: instead_of(wallet.bpin, _any_channel),
        ),
        Fault(
            "undeclared-sw",
            "EXPORT PUBKEYS answers 6A83",
            "sw-conformance",
            (2,),
            lambda: instead_of(wallet.export_pubkeys, _undeclared),
        ),
        Fault(
            "segment",
            "a byte is lost between segments",
            "metamorphic",
            (3,),
            lambda: attribute(Pages, "next", _one_off),
        ),
        Fault(
            "hang", "EXPORT PUBKEYS never ends", "hang", (2,), lambda: instead_of(wallet.export_pubkeys, _never_ends)
        ),
        Fault(
            "key-in-error",
            "SIGN answers seed bytes with 6A80",
            "secret-leak",
            (6,),
            lambda: instead_of(wallet.sign, _key_in_error),
        ),
        Fault("high-s", "s in the upper half", "metamorphic", (6,), lambda: instead_of(wallet.sign, _high_s)),
        Fault(
            "nonce",
            "the same nonce for every digest",
            "metamorphic",
            (6,),
            lambda: instead_of(wallet.sign, _same_nonce),
        ),
        Fault(
            "tear",
            "RESTORE SEED writes in two steps",
            "atomicity",
            (2,),
            lambda: instead_of(wallet.restore_seed, _in_two),
        ),
        Fault(
            "slot-reuse",
            "DERIVE KEY fills slot 2 again",
            "metamorphic",
            (2,),
            lambda: instead_of(wallet.derive_key, _slot_again),
        ),
        Fault(
            "length",
            "GET CHALLENGE answers a byte too many",
            "response-schema",
            (2,),
            lambda: instead_of(wallet.get_challenge, _long_challenge),
        ),
        Fault(
            "tries-back",
            "UPDATE BPIN gives all tries back",
            "pin-counter",
            (2,),
            lambda: instead_of(wallet.update_bpin, _gives_back),
        ),
        Fault(
            "reset",
            "a dialogue survives the reset",
            "access-control",
            (3, 4, 5),
            lambda: attribute(Toolkit, "reset", _keeps_asking),
        ),
        Fault(
            "chain",
            "a chain goes on after another command",
            "sw-conformance",
            (4, 8),
            lambda: attribute(_Chain, "_break_off", _goes_on),
        ),
        Fault(
            "terminated",
            "a terminated card goes on",
            "access-control",
            (2, 3),
            lambda: attribute(WalletApplet, "routes", property(lambda self: self._in_use)),
        ),
        Fault(
            "crash",
            "EXPORT SEED fails once the BPIN is verified",
            "crash",
            (6,),
            lambda: instead_of(wallet.export_seed, _crashes_verified),
        ),
        *MORE,
    )
}
