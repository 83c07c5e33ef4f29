"""Sign-in messages: EIP-4361 for Ethereum's accounts, and the same text for Conflux Core Space's, under CIP-23.

`parse` is the standard's grammar and nothing more lenient; `decode` also refuses what would mislead who signs it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from bsim.chains import core_account as core
from bsim.chains import evm_account as evm
from bsim.chains import timestamp
from bsim.chains.family import Line, Names, Signature, Summary, called, nobody
from bsim.chains.personal import CFX_PREFIX, ETH_PREFIX, digest, signed


class Kind(NamedTuple):
    """Whose accounts sign in: the word for them, what is hashed before the text, and how an address is checked."""

    word: str
    prefix: bytes
    check: Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class SignIn:
    """One message. Times are seconds since 1970 (a part of a second is dropped); `domain` is as it is written."""

    domain: str
    address: str
    uri: str
    chain_id: int
    nonce: str
    issued_at: int
    expiration_time: int | None
    not_before: int | None
    scheme: str | None
    statement: str | None
    request_id: str | None
    resources: tuple[str, ...]
    lines: tuple[Line, ...]
    kind: Kind
    text: bytes

    def digest(self, public_key: bytes = b"") -> bytes:  # noqa: ARG002 - of no account here
        """Answer what is signed: the message's own hash (EIP-191 version 45, or CIP-23)."""
        return digest(self.kind.prefix, self.text)

    def summary(self, names: Names = nobody) -> Summary:
        """Say where one signs in, and every line of the message."""
        site = f"{self.scheme}://{self.domain}" if self.scheme else self.domain
        head = Line("Site", site), Line("Account", called(names, self.address))
        return Summary(f"Sign in to {self.domain}", (*head, *self.lines))

    def signed(self, signature: Signature, public_key: bytes = b"") -> bytes:  # noqa: ARG002 - it can be recovered
        """Answer r | s | v, 65 bytes."""
        return signed(self.kind.prefix, signature)

    @property
    def delegates(self) -> bool:
        """Whether it lets somebody else act for the account, beside signing in. ERC-5573."""
        return any(resource.lower().startswith("urn:recap:") for resource in self.resources)


def _check_ethereum(text: str, _chain_id: int) -> None:
    if evm.checksum(evm.parse_address(text)) != text:
        raise ValueError("not as EIP-55 writes it")


def _check_core(text: str, chain_id: int) -> None:
    network, _ = core.decode(text)
    if network != chain_id:
        raise ValueError("of another network than the chain id")


ETHEREUM: Final = Kind("Ethereum", ETH_PREFIX, _check_ethereum)
CONFLUX: Final = Kind("Conflux", CFX_PREFIX, _check_core)

# RFC 3986, appendix A. Addresses in brackets are taken by their characters.
_PCHAR: Final = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
_HOST: Final = r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)"
_AUTHORITY: Final = rf"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{{2}})*@)?{_HOST}(?::[0-9]*)?"
_URI: Final = re.compile(
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9+\-.]*):(?://(?P<authority>{_AUTHORITY})?(?:/{_PCHAR}*)*|/?(?:{_PCHAR}+(?:/{_PCHAR}*)*)?)"
    rf"(?:\?(?:{_PCHAR}|[/?])*)?(?:#(?:{_PCHAR}|[/?])*)?"
)
_HEAD: Final = re.compile(
    rf"(?:([A-Za-z][A-Za-z0-9+\-.]*)://)?({_AUTHORITY}) wants you to sign in with your (\w+) account:"
)
_STATEMENT: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;= ]+")
_REQUEST_ID: Final = re.compile(rf"{_PCHAR}*")
_NONCE: Final = re.compile(r"[A-Za-z0-9]{8,}")
_NUMBER: Final = re.compile(r"[0-9]{1,78}")
_PORTS: Final = {"http": "80", "https": "443"}


class _Lines:
    """The lines of a message, each to be taken in its turn."""

    def __init__(self, text: str) -> None:
        self._left = text.split("\n")
        self.shown: list[Line] = []

    def next(self, name: str) -> str:
        if not self._left:
            raise ValueError(f"{name}: missing")
        return self._left.pop(0)

    def blank(self, after: str) -> None:
        if self.next(after):
            raise ValueError(f"{after}: no empty line after it")

    def field(self, name: str) -> str:
        """Take the line of that name; ValueError if it is not next."""
        value = self.optional(name)
        if value is None:
            raise ValueError(f"{name}: missing")
        return value

    def optional(self, name: str) -> str | None:
        """Take the line of that name if it is next."""
        if not self._left or not self._left[0].startswith(f"{name}: "):
            return None
        value = self._left.pop(0)[len(name) + 2 :]
        self.shown.append(Line(name, value))
        return value

    def resources(self) -> tuple[str, ...]:
        """Take the list that ends a message, if it is there."""
        if not self._left or self._left[0] != "Resources:":
            return ()
        self._left.pop(0)
        found = []
        while self._left:
            line = self._left.pop(0)
            if not line.startswith("- "):
                raise ValueError("Resources: a line that is no entry")
            found.append(_matched(_URI, line[2:], "Resources"))
            self.shown.append(Line("Resource", line[2:]))
        return tuple(found)

    def end(self) -> tuple[Line, ...]:
        """Answer what was shown of the message; ValueError if lines are left."""
        if self._left:
            raise ValueError("message: lines after its last field, or in another order")
        return tuple(self.shown)


def _matched(pattern: re.Pattern[str], text: str, name: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError(f"{name}: not as EIP-4361 has it")
    return text


def _time(name: str, text: str) -> int:
    try:
        return timestamp.parse(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def parse(message: bytes, kind: Kind = ETHEREUM) -> SignIn:
    """Read a message by EIP-4361's grammar; ValueError names what is wrong and repeats nothing of it."""
    lines = _Lines(_ascii(message))
    scheme, domain = _head(lines, kind)
    # Each part takes its lines, in the order the message has them.
    found = SignIn(
        scheme=scheme,
        domain=domain,
        address=lines.next("address"),
        statement=_statement(lines),
        uri=_matched(_URI, lines.field("URI"), "URI"),
        chain_id=_chain_id(lines),
        nonce=_matched(_NONCE, lines.field("Nonce"), "Nonce"),
        issued_at=_time("Issued At", lines.field("Issued At")),
        expiration_time=_optional_time(lines, "Expiration Time"),
        not_before=_optional_time(lines, "Not Before"),
        request_id=_request_id(lines),
        resources=lines.resources(),
        lines=lines.end(),
        kind=kind,
        text=message,
    )
    try:
        kind.check(found.address, found.chain_id)
    except ValueError as error:
        raise ValueError(f"address: {error}") from None
    return found


def _ascii(message: bytes) -> str:
    try:
        return message.decode("ascii")
    except UnicodeDecodeError:
        raise ValueError("message: characters outside ASCII") from None


def _head(lines: _Lines, kind: Kind) -> tuple[str | None, str]:
    """Take the first line: the scheme, if it has one, and the domain."""
    head = _HEAD.fullmatch(lines.next("domain"))
    if head is None or head[3] != kind.word:
        raise ValueError("domain: the first line is not a sign-in's")
    return head[1], head[2]


def _chain_id(lines: _Lines) -> int:
    if lines.field("Version") != "1":
        raise ValueError("Version: not 1")
    return int(_matched(_NUMBER, lines.field("Chain ID"), "Chain ID"))


def _optional_time(lines: _Lines, name: str) -> int | None:
    text = lines.optional(name)
    return None if text is None else _time(name, text)


def _request_id(lines: _Lines) -> str | None:
    text = lines.optional("Request ID")
    return None if text is None else _matched(_REQUEST_ID, text, "Request ID")


def _statement(lines: _Lines) -> str | None:
    lines.blank("address")
    line = lines.next("statement")
    if not line:
        return None
    lines.shown.append(Line("Statement", _matched(_STATEMENT, line, "statement")))
    lines.blank("statement")
    return line


def agrees(message: SignIn) -> bool:
    """Say whether domain and URI are of one site: the same host and port, and scheme if the message has one."""
    uri = _URI.fullmatch(message.uri)
    if uri is None or uri["authority"] is None:
        return False
    scheme = uri["scheme"].lower()
    if message.scheme is not None and message.scheme.lower() != scheme:
        return False
    return _site(uri["authority"], scheme) == _site(message.domain, scheme)


def _site(authority: str, scheme: str) -> str:
    host = authority.lower().rstrip(":")
    port = _PORTS.get(scheme)
    return host.removesuffix(f":{port}") if port else host


def _decode(message: bytes, kind: Kind) -> SignIn:
    found = parse(message, kind)
    if "@" in found.domain:
        raise ValueError("domain: has a user's name before it, which hides the host")  # RFC 3986 7.6
    if not agrees(found):
        raise ValueError("URI: of another site than the domain")
    if found.issued_at < 0:
        raise ValueError("Issued At: before 1970")
    if found.expiration_time is not None and found.expiration_time <= max(found.issued_at, found.not_before or 0):
        raise ValueError("Expiration Time: before the message is valid")
    return found


def decode(message: bytes) -> SignIn:
    """Read a message of EIP-4361 whose domain and URI agree; ValueError otherwise."""
    return _decode(message, ETHEREUM)


def decode_core(message: bytes) -> SignIn:
    """Read the same for an account of Conflux Core Space, whose network is the chain id; ValueError otherwise."""
    return _decode(message, CONFLUX)
