"""The domains that the card logs its user in to by itself: listed, found, changed and taken back."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from bsim import tlv
from bsim.applets.signing_state import MAX_POLICIES, Policy, SigningState
from bsim.store import Cell
from bsim.sw import SW, SwError

POLICY_TAG: Final = 0xE3


class Site(NamedTuple):
    """Whom a policy is for: a domain, with the key of a slot, on a chain."""

    slot: int
    chain: int
    domain: str


def listed(state: SigningState) -> Iterator[bytes]:
    """Answer what the user allowed, one E3 object a site: number, domain, slot, chain, uses, until, last."""
    for policy in state.policies:
        parts = (
            bytes((policy.number,)),
            policy.domain.encode(),
            bytes((policy.slot,)),
            policy.chain.to_bytes(8, "big"),
            policy.uses.to_bytes(2, "big"),
            policy.until.to_bytes(8, "big"),
            policy.last.to_bytes(8, "big"),
        )
        yield tlv.encode(POLICY_TAG, b"".join(tlv.encode(tag, part) for tag, part in enumerate(parts, 0x80)))


def found(state: SigningState, site: Site) -> Policy | None:
    """Answer the policy there is for a site, spent or not."""
    return next((one for one in state.policies if (one.slot, one.chain, one.domain) == site), None)


def number_for(state: SigningState, site: Site) -> int | None:
    """Answer the number a site's policy has, or would have; None where there is no room for another."""
    known = found(state, site)
    if known is not None:
        return known.number
    taken = {policy.number for policy in state.policies}
    return next((number for number in range(1, MAX_POLICIES + 1) if number not in taken), None)


def put(cell: Cell[SigningState], policy: Policy) -> None:
    """Write a policy down. One that has no use left is kept: it knows what it saw last."""
    others = [one for one in cell.value.policies if one.number != policy.number]
    policies = tuple(sorted((*others, policy), key=lambda one: one.number))
    cell.put(replace(cell.value, policies=policies))


def forget(cell: Cell[SigningState], number: int) -> None:
    """Take back what the user allowed; SwError 6A88 if there is no policy of this number."""
    left = tuple(policy for policy in cell.value.policies if policy.number != number)
    if len(left) == len(cell.value.policies):
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such policy")
    cell.put(replace(cell.value, policies=left))
