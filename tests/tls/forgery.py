"""Certificates that a thief of a CA's key would sign, and a CA without constraints, which may sign them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = dt.timedelta(days=200)


@dataclass
class Issuer:
    """An intermediate whose key is known, and the root that it stands below."""

    root: bytes
    intermediate: bytes
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def stolen(cls, folder: Path) -> "Issuer":
        """From the files of an authority of ours."""
        key = load_pem_private_key((folder / "intermediate.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls((folder / "root.pem").read_bytes(), (folder / "intermediate.pem").read_bytes(), key)

    @classmethod
    def unlimited(cls) -> "Issuer":
        """As a public CA is: what it signs is for any name."""
        root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        name = _subject("unlimited root")
        root = _ca(name, name, root_key, root_key, 1)
        intermediate = _ca(_subject("unlimited intermediate"), name, key, root_key, 0)
        return cls(root.public_bytes(Encoding.PEM), intermediate.public_bytes(Encoding.PEM), key)

    def leaf(self, names: Sequence[x509.GeneralName], common_name: str = "") -> bytes:
        """A key, its certificate with these names, and the chain, as one PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self.intermediate)
        subject = _subject(common_name) if common_name else x509.Name([])
        builder = _builder(subject, issuer.subject, key, self.key)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not common_name)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_ca=False), critical=True)
            .add_extension(usage, critical=False)
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private + builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM) + self.intermediate


def _subject(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    start, end = now - dt.timedelta(days=1), now + _LIFE
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), start, end)
        .add_extension(own, critical=False)
        .add_extension(issuers, critical=False)
    )


def _ca(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    path_length: int,
) -> x509.Certificate:
    builder = _builder(subject, issuer, key, issuer_key)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.add_extension(_usage(is_ca=True), critical=True).sign(issuer_key, hashes.SHA256())


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    unused = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    return x509.KeyUsage(
        digital_signature=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca, decipher_only=False, **unused
    )
