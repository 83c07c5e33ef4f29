"""A card opened for a verb, in the phone the user asked for, and let go of at the end."""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bsim.applets.bpin import is_bpin
from bsim.applets.proactive import CommandType, ProactiveCommand, Result
from bsim.cli.common import CheckFailed, UsageError, alike, keyring, note, reader_options
from bsim.cli.wrappers import wrapping
from bsim.client import CardError, Wallet
from bsim.handset import Handset, Reply, ScriptedUser, User
from bsim.handset.phone import CardInHandset, Respond
from bsim.lab.fault_rules import Rule
from bsim.lab.relay import Relay
from bsim.lab.replay import ReplayCard
from bsim.lab.targets import comes_bare, is_real, open_target
from bsim.ports import Card
from bsim.spec import FieldError, spec, sw_matches
from bsim.sw import SW

_PATIENCE = 60.0  # seconds a person, or a script with delays, is waited for: the wallet app's over BLE
_NO_PATIENCE = 0.0  # a script without delays has answered already, or never will
_HINTS = {
    SW.SECURITY_STATUS_NOT_SATISFIED: "the BPIN was not verified; --bpin says which to type, --handset ask asks you",
    SW.AUTHENTICATION_METHOD_BLOCKED: "the BPIN is blocked: too many wrong tries",
    SW.INS_NOT_SUPPORTED: "only cards of the extended profile have this; the real card does not",
}
_UNSIGNED = {
    SW.CONDITIONS_NOT_SATISFIED: "the user of the phone did not say yes",
    SW.SECURITY_STATUS_NOT_SATISFIED: "the user of the phone has not answered",
}
_LINKS = frozenset({"vpcd", "ble", "modem"})  # they show what became of a card that is lost
_NO_PHONE = "without a phone nobody can be asked for the BPIN: --handset ask, or --handset right with --bpin"


class WatchedUser:
    """A user who is watched: what the phone showed is remembered, so that a refusal can be explained."""

    def __init__(self, user: User, *, once: bool = False) -> None:
        self._user = user
        self._once = once
        self._entries = 0
        self.shown: list[str] = []
        self.gave_up = False

    def asked(self, command: ProactiveCommand, respond: Respond) -> None:
        """Pass a dialogue on to the user."""
        self.shown.append(command.text)
        self._entries += command.type == CommandType.GET_INPUT
        self.gave_up = False

        def watched(reply: Reply, after: float = 0.0) -> None:
            self.gave_up = reply.result != Result.PERFORMED
            respond(reply, after)

        if self._once and self._entries > 1:
            # A script on a real card: asked again, its BPIN was wrong, and the next try could be the card's last.
            watched(Reply(Result.TERMINATED_BY_USER))
        else:
            self._user.asked(command, watched)


@dataclass(frozen=True, slots=True)
class Session:
    """A card as the verb sees it; `user` is whoever holds the phone, if there is one. `link_rules` are for its link."""

    card: Card
    user: WatchedUser | None
    patience: float
    told: bool
    """Whether the card may be asked where it stands; one in a reader may take that for who knows what."""
    link_rules: tuple[Rule, ...] = ()
    inserted: CardInHandset | None = None
    """The card in its phone, with nothing between."""

    def wallet(self) -> Wallet:
        """A wallet on the card, as patient as its user needs it to be."""
        waiting = False

        def sleep(seconds: float) -> None:
            nonlocal waiting
            if self.user and self.user.gave_up:
                raise CheckFailed("the dialogue on the phone was given up")
            if not waiting:
                note("waiting for the user of the phone")
            waiting = True
            time.sleep(seconds)

        return Wallet(self.card, wait=self.patience, sleep=sleep)

    @property
    def last_shown(self) -> str:
        """What the phone showed last, as the end of a sentence."""
        return f"; the phone showed: {self.user.shown[-1]}" if self.user and self.user.shown else ""


@contextmanager
def opened(
    args: argparse.Namespace,
    new_bpin: str | None = None,
    phone: Callable[[User | None], Handset | None] = lambda user: Handset(user) if user else None,
) -> Iterator[Session]:
    """Open the target of a verb in its phone; a refusal of the card comes out with what to do about it."""
    handset = handset_of(args)
    user = make_user(handset, args.bpin, new_bpin, real=is_real(args.on))
    base = open_target(args.on, keyring(args), reader_options(args))
    try:
        with wrapping(args) as wraps:
            like = alike(args, base)
            inner: Card = Relay(like) if wraps.link in _LINKS else like
            made = phone(wraps.user(user) if user else None)
            inserted = made.insert(inner) if made else None
            card = wraps.card(inserted or inner)
            # A real card without a phone here may be in one elsewhere, such as that of `bsim serve`.
            slow = handset == "ask" or "@" in handset or (user is None and comes_bare(args.on))
            session = Session(
                card,
                user,
                _PATIENCE if slow else _NO_PATIENCE,
                told=_tells(args.on, base),
                link_rules=wraps.link_rules,
                inserted=inserted,
            )
            try:
                yield session
            except CardError as refusal:
                raise CheckFailed(_explain(refusal, session)) from refusal
            except FieldError as fault:  # what was typed is more, or less, than the command has room for
                raise UsageError(f"{fault}; nothing was sent") from fault
    finally:
        base.close()


def handset_of(args: argparse.Namespace) -> str:
    """The handset asked for, or the default: nobody types a BPIN into a real card unasked."""
    return args.handset or ("none" if comes_bare(args.on) else "right")


def make_user(handset: str, bpin: str, new_bpin: str | None = None, *, real: bool = False) -> WatchedUser | None:
    """Make the user of a phone; None for `none`. UsageError says what a handset may be."""
    for digits in (bpin, new_bpin or bpin):
        if not is_bpin(digits.encode()):
            raise UsageError("a BPIN has six digits")
    if handset == "none":
        return None
    try:
        if handset == "ask":
            from bsim.handset.terminal import TerminalUser

            return WatchedUser(TerminalUser())
        return WatchedUser(ScriptedUser(handset, bpin, new_bpin), once=real and new_bpin is None)
    except ValueError as fault:
        raise UsageError(str(fault)) from fault


def _tells(target: str, card: Card) -> bool:
    """Whether a card knows GET STATUS, as far as that can be told without asking it."""
    if isinstance(card, ReplayCard):
        return any(one.name == "GET_STATUS" for one in card.trace.exchanges)
    return not is_real(target)


def verified(session: Session, wallet: Wallet) -> bool:
    """Have the BPIN verified, and wait until the user is done; whether it was right."""
    wallet.verify_bpin()
    if session.told:
        try:
            return wallet.verified()
        except CardError as refusal:
            if refusal.sw != SW.INS_NOT_SUPPORTED:
                raise
    # No command of the real card tells whether the BPIN is verified. Slot 0 is never a key, so SIGN tells and signs
    # nothing.
    try:
        wallet.sign(0, 0, bytes(32))
    except CardError as refusal:
        if refusal.sw == SW.SECURITY_STATUS_NOT_SATISFIED:
            return False
        if refusal.sw != SW.REFERENCED_DATA_NOT_FOUND:
            raise
    return True


def require_bpin(session: Session, wallet: Wallet) -> None:
    """Have the BPIN verified; CheckFailed if it was not."""
    if not verified(session, wallet):
        raise CheckFailed(f"the BPIN was not verified{session.last_shown}")


def wait_for(session: Session, wallet: Wallet, *texts: str) -> str:
    """Wait until the phone shows one of the texts; answers what it shows last, for a real user or a slow script."""
    shown = session.user.shown if session.user else []
    waited = 0.0
    while not (shown and shown[-1] in texts) and waited < session.patience:
        if session.user and session.user.gave_up:
            break
        time.sleep(0.25)
        waited += 0.25
        wallet.version()  # a script's answer is delivered with the next command
    return shown[-1] if shown else ""


def _explain(refusal: CardError, session: Session) -> str:
    """The refusal, what the declaration says of it, and what to do."""
    words = [str(refusal)]
    if refusal.command == "GET_RESULT" and refusal.sw in _UNSIGNED:
        return f"nothing was signed: {_UNSIGNED[SW(refusal.sw)]}{session.last_shown}"
    if session.user is None and refusal.sw in {SW.SECURITY_STATUS_NOT_SATISFIED, SW.CONDITIONS_NOT_SATISFIED}:
        words.append(_NO_PHONE)
    elif refusal.sw in _HINTS:
        words.append(_HINTS[SW(refusal.sw)] + session.last_shown)
    else:
        commands = spec().applets["wallet"].commands
        declared = commands[refusal.command].sw if refusal.command in commands else {}
        words += [own for pattern, own in declared.items() if sw_matches(pattern, refusal.sw)][:1]
    return ": ".join(words)
