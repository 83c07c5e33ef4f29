"""Faults of the file system's PINs and access rules, and secrets in the log."""

import logging
from collections.abc import Callable
from hmac import compare_digest
from typing import Final

from bsim.applets import wallet
from bsim.applets.file_session import FileSession
from bsim.applets.pins import Outcome, Pins
from bsim.applets.wallet_session import WalletSession
from bsim.applets.wallet_state import with_seed
from bsim.bench.plant import Fault, attribute, instead_of
from bsim.crypto.scp.scp03 import Scp03
from bsim.spec.access import Mode

_check, _unblock, _permit, _authenticate = Pins.check, Pins.unblock, FileSession.permit, Scp03.authenticate


def _wrong_is_free(self: Pins, reference: int, value: bytes, commit: Callable[[], None]) -> Outcome:
    code = self.code(reference)
    if code.tries and not compare_digest(value, code.value):
        self._verified.discard(reference)
        return Outcome.WRONG
    return _check(self, reference, value, commit)


def _any_pin(self: Pins, reference: int, value: bytes, commit: Callable[[], None]) -> Outcome:  # noqa: ARG001
    return _check(self, reference, self.code(reference).value, commit)


def _any_puk(self: Pins, reference: int, unblocking: bytes, value: bytes, commit: Callable[[], None]) -> Outcome:  # noqa: ARG001
    return _unblock(self, reference, self.code(reference).unblocking, value, commit)


def _no_rule(self: FileSession, path: bytes, mode: Mode) -> None:
    if mode not in {Mode.READ, Mode.UPDATE}:
        _permit(self, path, mode)


def _logs_seed(ctx: WalletSession) -> bytes:
    ctx.cell.put(with_seed(ctx.state, ctx.card.rng(32)))
    logging.getLogger("bsim.card").warning("a new seed: %s", ctx.state.seed.hex())
    return b""


def _logs_key(ctx: WalletSession, key: bytes) -> bytes:
    ctx.session_key = key
    logging.getLogger("bsim.card").warning("a session key: %s", key.hex())
    return b""


def _logs_channel(self: Scp03, level: int, authentication: bytes) -> bool:
    logging.getLogger("bsim.card").warning("session keys %s", self._mac.hex())
    return _authenticate(self, level, authentication)


MORE: Final = (
    Fault(
        "pin-free",
        "a wrong PIN of the file system costs no try",
        "pin-counter",
        (1,),
        lambda: attribute(Pins, "check", _wrong_is_free),
    ),
    Fault(
        "pin-any",
        "any PIN of the file system is right",
        "pin-counter",
        (1,),
        lambda: attribute(Pins, "check", _any_pin),
    ),
    Fault(
        "puk-any",
        "any PUK unblocks a PIN",
        "pin-counter",
        (1,),
        lambda: attribute(Pins, "unblock", _any_puk),
    ),
    Fault(
        "file-rule",
        "files are read and updated whatever their access rules say",
        "access-control",
        (1, 2, 3),
        lambda: attribute(FileSession, "permit", _no_rule),
    ),
    Fault(
        "seed-logged",
        "GENERATE SEED logs the new seed",
        "secret-leak",
        (2,),
        lambda: instead_of(wallet.generate_seed, _logs_seed),
    ),
    Fault(
        "key-logged",
        "WRITE SESSION KEY logs the key",
        "secret-leak",
        (4,),
        lambda: instead_of(wallet.write_session_key, _logs_key),
    ),
    Fault(
        "channel-logged",
        "EXTERNAL AUTHENTICATE logs a session key",
        "secret-leak",
        (3,),
        lambda: attribute(Scp03, "authenticate", _logs_channel),
    ),
)
