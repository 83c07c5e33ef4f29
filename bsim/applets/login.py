"""Logging the user in: a sign-in is held against the slot's account, and signed on yes, or by itself where allowed.

The card has no clock. What time it is a message says itself; docs/decisions/0018 says why that is enough.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bsim import tlv
from bsim.applets import approval
from bsim.applets.confirm import confirm
from bsim.applets.signing_state import MAX_POLICIES, Policy
from bsim.applets.wallet_state import Slot
from bsim.chains import addresses, timestamp
from bsim.chains.conflux import address as core
from bsim.chains.evm import address as ethereum
from bsim.chains.sign_in import CONFLUX, ETHEREUM, SignIn
from bsim.spec import spec
from bsim.sw import SW, SwError

if TYPE_CHECKING:
    from bsim.applets.wallet_session import WalletSession

_TEXT: Final = spec().applets["wallet"].dialogue
_POLICY_TAG: Final = 0xE3
_MOST_CHAIN: Final = (1 << 64) - 1
_ADDRESS: Final[dict[str, Callable[[bytes], str]]] = {ETHEREUM.word: ethereum.address, CONFLUX.word: core.address}


def login(session: "WalletSession", number: int, message: SignIn, uses: int, until: int) -> None:
    """Sign a sign-in with the key of a slot: at once if its domain is allowed to, else when the user says yes.

    With `uses` the user is asked, after the yes, whether the card may do so by itself that often and until then
    (seconds since 1970). SwError 6A80 for a message that is not the slot's account's, or an end before it begins;
    6A84 if no more domains can be remembered; and what `approve` raises.
    """
    check(approval.slot_of(session, number), message)
    wanted = _Wanted(number, message)
    policy = wanted.found(session)
    if policy is not None and _covers(policy, message):
        _put(session, replace(policy, uses=policy.uses - 1, last=message.issued_at))
        approval.sign_unasked(session, number, message)
        return
    remember = _remember(session, wanted, message, uses, until) if uses else lambda: None

    def seen() -> None:
        known = wanted.found(session)
        if known is not None and known.last < message.issued_at:
            _put(session, replace(known, last=message.issued_at))

    approval.approve(session, number, message, done=seen, then=remember)


def check(slot: Slot, message: SignIn) -> None:
    """Refuse a message that is not for the account of a slot, however its address is written; SwError 6A80."""
    own = _ADDRESS[message.kind.word](slot.public_key)
    if message.chain_id > _MOST_CHAIN or addresses.parse(own).account != addresses.parse(message.address).account:
        raise SwError(SW.WRONG_DATA, "the message is for another account")


def policies(session: "WalletSession") -> Iterator[bytes]:
    """Answer what the user allowed, one E3 object a domain."""
    for policy in session.signing.value.policies:
        parts = (
            bytes((policy.number,)),
            policy.domain.encode(),
            bytes((policy.slot,)),
            policy.chain.to_bytes(8, "big"),
            policy.uses.to_bytes(2, "big"),
            policy.until.to_bytes(8, "big"),
            policy.last.to_bytes(8, "big"),
        )
        yield tlv.encode(_POLICY_TAG, b"".join(tlv.encode(tag, part) for tag, part in enumerate(parts, 0x80)))


def forget(session: "WalletSession", number: int) -> None:
    """Take back what the user allowed a domain; SwError 6A88 if there is none of this number."""
    state = session.signing.value
    left = tuple(policy for policy in state.policies if policy.number != number)
    if len(left) == len(state.policies):
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such policy")
    session.signing.put(replace(state, policies=left))


class _Wanted:
    """Whom a policy is for: a domain, with the key of a slot, on a chain."""

    def __init__(self, number: int, message: SignIn) -> None:
        self.slot: Final = number
        self.chain: Final = message.chain_id
        # A site may be reached by several schemes; what was allowed for one is not allowed for another.
        self.domain: Final = (f"{message.scheme}://{message.domain}" if message.scheme else message.domain).lower()

    def found(self, session: "WalletSession") -> Policy | None:
        """The policy there is for it, spent or not."""
        policies = session.signing.value.policies
        return next((one for one in policies if (one.slot, one.chain, one.domain) == self._key), None)

    def policy(self, session: "WalletSession", uses: int, until: int, last: int) -> Policy | None:
        """A policy for it under its own number, or the first that is free; None if there is none free."""
        known = self.found(session)
        taken = {policy.number for policy in session.signing.value.policies}
        free = [number for number in range(1, MAX_POLICIES + 1) if number not in taken]
        number = known.number if known else next(iter(free), 0)
        return Policy(number, self.slot, self.chain, uses, until, last, self.domain) if number else None

    @property
    def _key(self) -> tuple[int, int, str]:
        return self.slot, self.chain, self.domain


def _covers(policy: Policy, message: SignIn) -> bool:
    """Whether a message may be signed without asking: newer than the last, of before the end, and valid when issued."""
    begun = message.not_before is None or message.not_before <= message.issued_at
    return begun and policy.uses > 0 and policy.last < message.issued_at < policy.until


def _remember(session: "WalletSession", wanted: _Wanted, message: SignIn, uses: int, until: int) -> Callable[[], None]:
    """How to ask, later, whether the card may log its user in by itself; what is wrong with that is refused now."""
    if until <= message.issued_at:
        raise SwError(SW.WRONG_DATA, "it would end before it begins")
    if wanted.policy(session, uses, until, message.issued_at) is None:
        raise SwError(SW.NOT_ENOUGH_MEMORY, "the card remembers no more domains")

    def answered(yes: bool) -> None:
        policy = wanted.policy(session, uses, until, message.issued_at)
        if yes and policy is not None:
            _put(session, policy)

    question = _TEXT["remember"].format(domain=wanted.domain, uses=uses, until=timestamp.encode(until))
    return lambda: confirm(session, [question], answered)


def _put(session: "WalletSession", policy: Policy) -> None:
    """Write a policy down; one that has no use left is kept, for what it saw last."""
    state = session.signing.value
    others = [one for one in state.policies if one.number != policy.number]
    policies = tuple(sorted((*others, policy), key=lambda one: one.number))
    session.signing.put(replace(state, policies=policies))
