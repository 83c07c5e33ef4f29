"""Messages people sign as they are: EIP-191 version 45 (personal_sign), and CIP-23's twin for Conflux Core Space."""

from dataclasses import dataclass
from typing import Final

from bsim.chains.family import Line, Names, Signature, Summary, nobody
from bsim.chains.signatures import recoverable
from bsim.crypto.keccak import keccak256

ETH_PREFIX: Final = b"\x19Ethereum Signed Message:\n"
CFX_PREFIX: Final = b"\x19Conflux Signed Message:\n"

_SIGN_IN: Final = b" wants you to sign in with your "  # EIP-4361
_FIRST_V: Final = {ETH_PREFIX: 27, CFX_PREFIX: 0}


def digest(prefix: bytes, message: bytes) -> bytes:
    """Answer keccak256(prefix | length of the message in decimal | message)."""
    return keccak256(prefix + str(len(message)).encode() + message)


def signed(prefix: bytes, signature: Signature) -> bytes:
    """Answer r | s | v, 65 bytes: v is 27 or 28 as Ethereum's libraries have it, 0 or 1 as Conflux's have it."""
    r, s, recovery_id = recoverable(signature)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((_FIRST_V[prefix] + recovery_id,))


@dataclass(frozen=True, slots=True)
class Message:
    """A message and its prefix."""

    prefix: bytes
    content: bytes

    def digest(self, public_key: bytes = b"") -> bytes:  # noqa: ARG002 - of no account here
        """Answer what is signed."""
        return digest(self.prefix, self.content)

    def summary(self, names: Names = nobody) -> Summary:  # noqa: ARG002 - names nobody
        """Show the message: as text where it is UTF-8, in hex where not."""
        return Summary("Sign a message", (_line(self.content),))

    def signed(self, signature: Signature, public_key: bytes = b"") -> bytes:  # noqa: ARG002 - it can be recovered
        """Answer r | s | v, 65 bytes."""
        return signed(self.prefix, signature)


def _line(content: bytes) -> Line:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return Line("Message in hex", f"0x{content.hex()}")
    return Line("Message", text)


def _decode(prefix: bytes, content: bytes) -> Message:
    if _SIGN_IN in content.split(b"\n", 1)[0]:
        # It would log in somewhere without the checks that a sign-in's own family makes.
        raise ValueError("message: a sign-in, which is a family of its own")
    return Message(prefix, content)


def decode(payload: bytes) -> Message:
    """Take any bytes for a message of EIP-191; ValueError for a sign-in."""
    return _decode(ETH_PREFIX, payload)


def decode_core(payload: bytes) -> Message:
    """Take any bytes for a message of CIP-23; ValueError for a sign-in."""
    return _decode(CFX_PREFIX, payload)
