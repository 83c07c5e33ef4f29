"""What cards of the extended profile do beside the real card's commands, as typed calls."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from bsim import tlv
from bsim.chains import FAMILIES
from bsim.chains.family import Family, Signable, Signature, Summary
from bsim.client import connection
from bsim.client.account import Account
from bsim.client.attestation import Attestation
from bsim.client.connection import CardError
from bsim.client.keys import KeyCalls
from bsim.crypto.algorithm import Algorithm
from bsim.spec import spec
from bsim.sw import SW

_COMMANDS: Final = spec().applets["wallet"].commands
_ALGORITHMS, _FAMILIES = 0x80, 0x81
_CHALLENGE: Final = 32
_MOST_CERTIFICATE: Final = 16  # segments
_MOST_POLICIES: Final = 64
_CORE: Final = 503  # SLIP-44: Conflux Core Space
# The family of a coin's transactions, and of its messages, typed data and sign-ins where the coin has its own.
_TRANSACTIONS: Final = {60: "evm", _CORE: "conflux"}
_MESSAGES: Final = {_CORE: "cip23-personal"}
_TYPED_DATA: Final = {_CORE: "cip23-typed"}
_LOGINS: Final = {_CORE: "CONFLUX"}


@dataclass(frozen=True, slots=True)
class Status:
    """Where a card stands. `dialogue` is NONE, or what the user is being asked."""

    life_cycle: str
    tries: int
    seed: bool
    slots: int
    version: bytes
    extension_version: bytes
    verified: bool
    dialogue: str
    algorithms: tuple[Algorithm, ...]
    families: tuple[int, ...]

    @classmethod
    def parse(cls, fields: Mapping[str, bytes]) -> Self:
        """Read what GET STATUS answered; ValueError or TlvError for something else."""
        capabilities = {part.tag: part.value for part in tlv.parse(fields["capabilities"])}
        known = [Algorithm(one) for one in capabilities.get(_ALGORITHMS, b"") if one in set(Algorithm)]
        return cls(
            life_cycle=_label("life_cycle", fields).lower(),
            tries=fields["tries"][0],
            seed=fields["seed"] != b"\0",
            slots=fields["slots"][0],
            version=fields["version"],
            extension_version=fields["extension_version"],
            verified=fields["verified"] != b"\0",
            dialogue=_label("dialogue", fields),
            algorithms=tuple(known),
            families=tuple(capabilities.get(_FAMILIES, b"")),
        )


@dataclass(frozen=True, slots=True)
class Signed:
    """A payload the user approved: what was shown, the signature, and what is broadcast or handed over (`raw`)."""

    account: Account
    family: Family
    summary: Summary
    digest: bytes
    signature: Signature
    der: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class LoginPolicy:
    """A domain that the card logs its user in to by itself; `until` and `last` are seconds since 1970."""

    number: int
    domain: str
    slot: int
    chain: int
    uses: int
    until: int
    last: int

    @classmethod
    def parse(cls, part: tlv.Tlv) -> Self:
        """Read one E3 object of LOGIN POLICIES; ValueError or TlvError if it is none."""
        number, domain, *numbers = (field.value for field in tlv.parse(part.value))
        return cls(number[0], domain.decode(), *(int.from_bytes(value, "big") for value in numbers))


class SigningCalls(KeyCalls):
    """Status, keys, and everything the user is shown before it is signed."""

    def status(self) -> Status:
        """Answer where the card stands; CardError 6D00 from a card of the strict profile."""
        return Status.parse(self.ask("GET_STATUS"))

    def verified(self) -> bool:
        """Wait while the user is asked for the BPIN; whether it is verified. CardError 6983 if it is blocked by now."""
        seen: list[Status] = []

        def done() -> bool:
            seen.append(self.status())
            return seen[-1].verified or seen[-1].dialogue == "NONE"

        self.wait_for(done)
        if not seen[-1].tries:
            raise CardError("VERIFY_BPIN", SW.AUTHENTICATION_METHOD_BLOCKED)
        return seen[-1].verified

    def import_seed(self, seed: bytes | str) -> None:
        """Give a card without a seed one that is known: a mnemonic, or its entropy (16-32 bytes)."""
        form = _COMMANDS["IMPORT_SEED"].p1.values["MNEMONIC" if isinstance(seed, str) else "ENTROPY"]
        self.call("IMPORT_SEED", form=form, secret=seed.encode() if isinstance(seed, str) else seed)

    def address(self, slot: int) -> str:
        """Answer the address of a slot as the card writes it."""
        return self.call("GET_ADDRESS", slot=slot).decode()

    def sign_transaction(self, slot: int, payload: bytes, family: str | None = None) -> Signed:
        """Have a transaction shown and signed; the family is the coin's own unless named.

        Waits while the user types the BPIN, reads and decides; CardError 6985 if the answer is no. ValueError for a
        payload that is malformed, or for no such family.
        """
        return self._approved(slot, payload, family, _TRANSACTIONS)

    def sign_message(self, slot: int, message: bytes) -> Signed:
        """Have a message shown and signed: EIP-191, or CIP-23 with a key of Conflux Core. As `sign_transaction`."""
        return self._approved(slot, message, None, _MESSAGES, "personal")

    def sign_typed_data(self, slot: int, document: Mapping[str, object]) -> Signed:
        """Have typed data shown and signed: EIP-712, or CIP-23 with a key of Conflux Core. As `sign_transaction`.

        `document` is the object that libraries take: types, domain, primaryType and message.
        """
        from bsim.chains import typed_data  # noqa: PLC0415 - imported by those who sign such

        core = self.account(slot).coin_type == _CORE
        payload = typed_data.from_json(document, typed_data.CONFLUX if core else typed_data.ETHEREUM)
        return self._approved(slot, payload, None, _TYPED_DATA, "typed-data")

    def login(self, slot: int, message: bytes, *, uses: int = 0, until: int = 0) -> Signed:
        """Have a sign-in (EIP-4361, or the same for Conflux Core) signed.

        With `uses` (1-65535) the user is asked whether the card may sign for this domain by itself that often, until
        then (seconds since 1970). As `sign_transaction` otherwise.
        """
        account = self.account(slot)
        codes = next(field for field in _COMMANDS["LOGIN"].data if field.name == "family").values
        code = codes[_LOGINS.get(account.coin_type, "ETHEREUM")]
        signable = FAMILIES[code].decode(message)
        self._when_verified("LOGIN", slot=slot, family=code, uses=uses, until=until, message=message)
        return self._result(account, FAMILIES[code], signable)

    def policies(self) -> list[LoginPolicy]:
        """Answer the domains that the card logs in to by itself."""
        listed = self.stream("LOGIN_POLICIES", most=_MOST_POLICIES, action=_action("LIST"), number=b"")
        return [LoginPolicy.parse(part) for part in tlv.parse(listed)]

    def forget(self, policy: int) -> None:
        """Take a domain's permission back, by its policy's number."""
        self.call("LOGIN_POLICIES", action=_action("REMOVE"), part=0, number=bytes((policy,)))

    def attest(self, slot: int, challenge: bytes | None = None) -> Attestation:
        """Have the card's device key vouch for a slot's, over a challenge of 8-64 bytes (random unless given)."""
        asked = secrets.token_bytes(_CHALLENGE) if challenge is None else challenge
        fields = self.ask("ATTEST", slot=slot, challenge=asked)
        return Attestation(asked, fields, self.stream("GET_CERTIFICATE", most=_MOST_CERTIFICATE))

    def _approved(
        self, slot: int, payload: bytes, name: str | None, own: Mapping[int, str], otherwise: str = ""
    ) -> Signed:
        account = self.account(slot)
        family = named(name or own.get(account.coin_type, otherwise))
        signable = family.decode(payload)
        self._when_verified("SIGN_TRANSACTION", slot=slot, family=family.code, payload=payload)
        return self._result(account, family, signable)

    def _when_verified(self, name: str, **values: int | bytes) -> None:
        """Send a command that needs the BPIN, again when it is verified: a long payload is not sent once a second."""
        try:
            self.call(name, **values)
        except CardError as refusal:
            if refusal.sw != SW.SECURITY_STATUS_NOT_SATISFIED or not self.verified():
                raise
            self.call(name, **values)

    def _result(self, account: Account, family: Family, signable: Signable) -> Signed:
        fields = connection.fields("GET_RESULT", self._patiently("GET_RESULT"))
        digest = fields["digest"]
        if digest != signable.digest(account.public_key):
            raise ValueError("the card signed something else than it was given")
        r, s = (int.from_bytes(fields[name], "big") for name in ("r", "s"))
        signature = Signature(r, s, fields["recovery_id"][0] if fields["recovery_id"] else None)
        raw = signable.signed(signature, account.public_key)
        return Signed(account, family, signable.summary(), digest, signature, fields["der"], raw)


def named(name: str) -> Family:
    """Answer the family of that name; ValueError names those there are."""
    found = next((family for family in FAMILIES.values() if family.name == name), None)
    if found is None:
        known = ", ".join(family.name for family in FAMILIES.values())
        raise ValueError(f"no family {name!r}; there is {known}" if name else f"of what family? There is {known}")
    return found


def _action(name: str) -> int:
    return _COMMANDS["LOGIN_POLICIES"].p1.values[name]


def _label(name: str, fields: Mapping[str, bytes]) -> str:
    values = next(field.values for field in _COMMANDS["GET_STATUS"].response if field.name == name)
    return next((label for label, value in values.items() if value == fields[name][0]), "UNKNOWN")
