"""The test authority that certifies device keys. Its key is published here: what it signs proves nothing to anybody."""

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

# A key for tests, as GlobalPlatform's default keys are: SHA-256 of "bsim test authority".
_SECRET: Final = 0xFC68EAF5B3F48870017D6BE112068E1C72634BE87B509E7123D31679EC0AAB80
_NAME: Final = "bsim test authority (its key is published)"
_ORGANIZATION: Final = "bsim"
_YEARS: Final = (2025, 2075)


def certify(public_key: bytes, iccid: bytes) -> bytes:
    """Answer the certificate (DER) of a device key: 65 bytes, uncompressed; EF.ICCID of 10 bytes. RFC 5280."""
    from cryptography import x509  # noqa: PLC0415 - 30 ms, paid by cards that attest
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    digits = "".join(f"{byte & 15:X}{byte >> 4:X}" for byte in iccid).rstrip("F")
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, "bsim device key"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, digits),
        ]
    )
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    return _signed(subject, key, authority=False)


@cache
def certificate() -> bytes:
    """Answer the authority's own certificate, DER."""
    return _signed(_issuer(), _key().public_key(), authority=True)


def _signed(subject: "x509.Name", key: "ec.EllipticCurvePublicKey", *, authority: bool) -> bytes:
    from datetime import UTC, datetime  # noqa: PLC0415

    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    begin, end = (datetime(year, 1, 1, tzinfo=UTC) for year in _YEARS)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    usage = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_issuer())
        .public_key(key)
        # The same key has the same certificate: its number is its key's identifier. RFC 5280 4.1.2.2: positive.
        .serial_number(int.from_bytes(identifier.digest[:16], "big") | 1)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(_key().public_key()), critical=False)
    )
    return builder.sign(_key(), SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)


def _issuer() -> "x509.Name":
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, _NAME),
        ]
    )


@cache
def _key() -> "ec.EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    return ec.derive_private_key(_SECRET, ec.SECP256R1())
