"""A card's word that a key lives in it, and whether it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from bsim import tlv
from bsim.applets.device import CONTEXT
from bsim.crypto import p256
from bsim.crypto.verify import encode_der
from bsim.spec import spec

_STATEMENT: Final = spec().applets["wallet"].commands["ATTEST"].response[:-1]


@dataclass(frozen=True, slots=True)
class Attestation:
    """A challenge, what the card answered by the names of the declaration, and its certificate (X.509, DER)."""

    challenge: bytes
    fields: Mapping[str, bytes]
    certificate: bytes

    @property
    def statement(self) -> bytes:
        """What the device key signed."""
        return CONTEXT + b"".join(tlv.encode(field.tag or 0, self.fields[field.name]) for field in _STATEMENT)

    def verify(self, authority: bytes | None = None) -> str:
        """Answer why this proves nothing, or an empty text: it does, to whoever trusts the authority (X.509, DER).

        Without one it is bsim's test authority, whose key everybody has.
        """
        from cryptography import x509  # noqa: PLC0415 - 30 ms, paid by those who verify
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

        from bsim.profiles.authority import certificate  # noqa: PLC0415

        try:
            issued = x509.load_der_x509_certificate(self.certificate)
            issued.verify_directly_issued_by(x509.load_der_x509_certificate(authority or certificate()))
            key = issued.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        except (ValueError, TypeError, InvalidSignature):
            return "the certificate is not the authority's"
        if self.fields["asked"] != self.challenge:
            return "it answers another challenge"
        subject = issued.subject.get_attributes_for_oid(x509.NameOID.SERIAL_NUMBER)
        if [one.value for one in subject] != [self.iccid]:
            return "the certificate is another card's"
        signature = self.fields["signature"]
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        try:
            holds = p256.verify(key, sha256(self.statement).digest(), encode_der(r, s, p256.ORDER))
        except ValueError:
            holds = False
        return "" if holds else "the signature is not the device key's"

    @property
    def iccid(self) -> str:
        """The card's number, 19 or 20 digits. ETSI TS 102 221 13.2."""
        return "".join(f"{byte & 15:X}{byte >> 4:X}" for byte in self.fields["iccid"]).rstrip("F")
