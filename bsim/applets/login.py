"""Logging the user in: a sign-in is held against the slot's account, and signed on yes, or by itself where allowed.

The card has no clock. What time it is a message says itself; docs/decisions/0018 says why that is enough.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bsim.applets import approval, policies
from bsim.applets.confirm import confirm
from bsim.applets.policies import Site
from bsim.applets.signing_state import MAX_DOMAIN, Policy
from bsim.applets.wallet_state import Slot
from bsim.chains import conflux, evm, timestamp
from bsim.chains.family import Signable
from bsim.chains.sign_in import CONFLUX, ETHEREUM, Kind, SignIn
from bsim.crypto.algorithm import Algorithm
from bsim.spec import spec
from bsim.sw import SW, SwError

if TYPE_CHECKING:
    from bsim.applets.wallet_session import WalletSession

_TEXT: Final = spec().applets["wallet"].dialogue
_MOST_CHAIN: Final = (1 << 64) - 1

# How an account is told from a public key, and from how it is written; whatever the network, it is the same.
_ACCOUNTS: Final[dict[Kind, tuple[Callable[[bytes], bytes], Callable[[str], bytes]]]] = {
    ETHEREUM: (evm.address_bytes, evm.parse_address),
    CONFLUX: (conflux.address_bytes, conflux.parse_address),
}


def login(session: "WalletSession", number: int, message: Signable, uses: int, until: int) -> None:
    """Sign a sign-in with the key of a slot: at once if its domain is allowed to, else when the user says yes.

    With `uses` the user is asked, after the yes, whether the card may do so by itself that often and until then
    (seconds since 1970). SwError 6A80 for a message that is not the slot's account's, or an end before it begins;
    6A84 if no more domains can be remembered; and what `approve` raises.
    """
    message = check(approval.slot_of(session, number), message)
    cell, site = session.signing, _site(number, message)
    policy = policies.found(cell.value, site)
    if policy is not None and _covers(policy, message):
        policies.put(cell, replace(policy, uses=policy.uses - 1, last=message.issued_at))
        approval.sign_unasked(session, number, message)
        return

    def seen() -> None:
        known = policies.found(cell.value, site)
        if known is not None and known.last < message.issued_at:
            policies.put(cell, replace(known, last=message.issued_at))

    if uses:
        approval.approve(session, number, message, done=seen, then=_remember(session, site, message, uses, until))
    else:
        approval.approve(session, number, message, done=seen)


def check(slot: Slot, message: Signable) -> SignIn:
    """Answer a sign-in that is for the account of a slot, on whatever network; SwError 6A80 for another."""
    if not isinstance(message, SignIn):
        raise SwError(SW.WRONG_DATA, "the message is no sign-in")
    own, asked = _ACCOUNTS[message.kind]
    # Only these keys have such an account: what makes an address of a point takes no other.
    if slot.algorithm is not Algorithm.SECP256K1 or own(slot.public_key) != asked(message.address):
        raise SwError(SW.WRONG_DATA, "the message is for another account")
    return message


def _site(number: int, message: SignIn) -> Site:
    # What was allowed for one scheme is not allowed for another. RFC 3986 6.2.2.1: case says nothing here.
    domain = (f"{message.scheme}://{message.domain}" if message.scheme else message.domain).lower()
    if message.chain_id > _MOST_CHAIN or len(domain) > MAX_DOMAIN:
        raise SwError(SW.WRONG_DATA, "a chain id or a domain longer than any there is")
    return Site(number, message.chain_id, domain)


def _covers(policy: Policy, message: SignIn) -> bool:
    """Whether a message may be signed unasked: a mere login, newer than the last, before the end, valid when issued."""
    begun = message.not_before is None or message.not_before <= message.issued_at
    return not message.delegates and begun and policy.uses > 0 and policy.last < message.issued_at < policy.until


def _remember(session: "WalletSession", site: Site, message: SignIn, uses: int, until: int) -> Callable[[], None]:
    """How to ask, later, whether the card may log its user in by itself; what is wrong with that is refused now."""
    cell = session.signing
    if until <= message.issued_at:
        raise SwError(SW.WRONG_DATA, "it would end before it begins")
    if policies.number_for(cell.value, site) is None:
        raise SwError(SW.NOT_ENOUGH_MEMORY, "the card remembers no more domains")

    def answered(yes: bool) -> None:
        number, known = policies.number_for(cell.value, site), policies.found(cell.value, site)
        if yes and number is not None:
            # What was seen once stays seen, whatever the user allows since.
            last = max(message.issued_at, known.last) if known else message.issued_at
            policies.put(cell, Policy(number, site.slot, site.chain, uses, until, last, site.domain))

    question = _TEXT["remember"].format(domain=site.domain, uses=uses, until=timestamp.encode(until))
    return lambda: confirm(session, [question], answered)
