"""What the card keeps of its device key and of logins over power loss, and how it is written down."""

from dataclasses import dataclass, field, replace
from struct import Struct
from typing import Final

from bsim.store import Layout

MAX_POLICIES: Final = 32
MAX_DOMAIN: Final = 255
_HEAD: Final = Struct(">BBQHQQB")  # number, slot, chain, uses, until, last, length of the domain


@dataclass(frozen=True, slots=True)
class Policy:
    """A domain that the card logs its user in to by itself: with the key of a slot, on a chain, so often, so long.

    `until` and `last` are seconds since 1970: when it ends, and what the last sign-in said it was issued at.
    """

    number: int
    slot: int
    chain: int
    uses: int
    until: int
    last: int
    domain: str

    def encode(self) -> bytes:
        """Write it: 30 bytes and the domain."""
        domain = self.domain.encode()
        head = (self.number, self.slot, self.chain, self.uses, self.until, self.last, len(domain))
        return _HEAD.pack(*head) + domain


@dataclass(frozen=True, slots=True)
class SigningState:
    """The persistent state: the device key (32 bytes, none before it is first needed), its certificate, policies."""

    device_key: bytes = field(default=b"", repr=False)
    certificate: bytes = b""
    policies: tuple[Policy, ...] = ()

    def without_policies(self) -> "SigningState":
        """Answer the state with nothing allowed; itself, where nothing is."""
        return replace(self, policies=()) if self.policies else self


def _encode_policies(policies: tuple[Policy, ...]) -> bytes:
    return b"".join(policy.encode() for policy in policies)


def _decode_policies(encoded: bytes) -> tuple[Policy, ...]:
    found, at = [], 0
    while at < len(encoded):
        if len(encoded) - at < _HEAD.size:
            raise ValueError("policies cut short")
        number, slot, chain, uses, until, last, length = _HEAD.unpack_from(encoded, at)
        at += _HEAD.size
        if length > len(encoded) - at:
            raise ValueError("policies cut short")
        found.append(Policy(number, slot, chain, uses, until, last, encoded[at : at + length].decode()))
        at += length
    return tuple(found)


LAYOUT: Final = Layout(
    SigningState,
    "signing",
    {"device_key": (bytes, bytes), "certificate": (bytes, bytes), "policies": (_encode_policies, _decode_policies)},
    later={"device_key": b"", "certificate": b"", "policies": b""},
)
