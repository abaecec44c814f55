"""What stands in our certificates (RFC 5280), and how they are made.

A root (pathLen 1) signs an intermediate (pathLen 0), which signs a certificate for each hostname. What keeps a stolen
key worthless is in both CA certificates, since Java ignores what a root says of names:
- critical name constraints (§4.2.1.10): DNS names at or below our endings, and loopback addresses, nothing else. A kind
  of name that no constraint speaks of would be free, hence the addresses;
- in the intermediate, the extended key usage serverAuth: no signing of programs or mail, no client's certificate.
The root's key signs those two certificates and is forgotten; nobody ever has it on a disk.

A certificate for a hostname has one name, in subjectAltName alone. Its subject is empty, so that extension is critical
(§4.2.1.6). It never outlives the CA, nor the 398 days that browsers accept.

Times: every certificate begins some weeks before it is made, for machines whose clock is behind (a virtual machine that
slept, a container's host).

Not here: where they are kept and when they are made anew (`authority.py`). `cryptography` takes some 100 ms to import,
so this module is imported late.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BACKDATED: Final = dt.timedelta(days=30)
AUTHORITY_LIFE: Final = dt.timedelta(days=3652)
LEAF_LIFE: Final = dt.timedelta(days=397)
LEAF_RENEWED: Final = dt.timedelta(days=45)  # so long before its end it is made anew

_LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_LONGEST: Final = 64  # bytes of a part of a subject (RFC 5280, appendix A: ub-common-name and its like)
_NOT_OURS: Final = (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound)
_PKCS8: Final = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True, slots=True)
class NewAuthority:
    """What is kept of a new authority: two certificates and one key, as PEM."""

    root: bytes
    intermediate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class CaCertificate:
    """One CA certificate of ours, read."""

    certificate: x509.Certificate
    tlds: tuple[str, ...]

    @property
    def not_before(self) -> dt.datetime:
        return self.certificate.not_valid_before_utc

    @property
    def not_after(self) -> dt.datetime:
        return self.certificate.not_valid_after_utc


@dataclass(frozen=True, slots=True)
class Signer:
    """The intermediate with its key."""

    ca: CaCertificate
    key: ec.EllipticCurvePrivateKey
    pem: bytes


class _Issuer(NamedTuple):
    name: x509.Name
    key: ec.EllipticCurvePrivateKey


# Making


def make_authority(tlds: Sequence[str], whose: str, now: dt.datetime) -> NewAuthority:
    """A new root and intermediate for hostnames at and below `tlds`; `whose` (user@machine) stands in their names."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    label = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()).digest.hex()[:8]
    names = [_subject(kind, label, whose, tlds) for kind in ("root", "intermediate")]
    parent = _Issuer(names[0], root_key)
    start = _whole(now - BACKDATED)
    root = _sign_ca(_builder(names[0], parent, root_key, start, start + AUTHORITY_LIFE), parent, tlds, 1)
    intermediate = _sign_ca(_builder(names[1], parent, key, start, start + AUTHORITY_LIFE), parent, tlds, 0)
    return NewAuthority(
        root.public_bytes(Encoding.PEM), intermediate.public_bytes(Encoding.PEM), key.private_bytes(*_PKCS8)
    )


def make_leaf(hostname: str, signer: Signer, now: dt.datetime) -> bytes:
    """A key, its certificate for `hostname`, and the intermediate's, in one PEM, as `load_cert_chain` reads them."""
    key = ec.generate_private_key(ec.SECP256R1())
    start = max(_whole(now - BACKDATED), signer.ca.not_before)
    end = min(start + LEAF_LIFE - dt.timedelta(seconds=1), signer.ca.not_after)  # the last second counts (§4.1.2.5)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = (
        _builder(x509.Name([]), _Issuer(signer.ca.certificate.subject, signer.key), key, start, end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(usage, critical=False)
    )
    certificate = builder.sign(signer.key, hashes.SHA256())
    return key.private_bytes(*_PKCS8) + certificate.public_bytes(Encoding.PEM) + signer.pem


def _sign_ca(
    builder: x509.CertificateBuilder, issuer: _Issuer, tlds: Sequence[str], path_length: int
) -> x509.Certificate:
    names = [*map(x509.DNSName, tlds), *map(x509.IPAddress, _LOOPBACK)]
    constraints = x509.NameConstraints(permitted_subtrees=names, excluded_subtrees=None)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(constraints, critical=True)
    )
    if path_length == 0:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: _Issuer, key: ec.EllipticCurvePrivateKey, start: dt.datetime, end: dt.datetime
) -> x509.CertificateBuilder:
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return (
        x509.CertificateBuilder(issuer.name, subject, key.public_key(), x509.random_serial_number(), start, end)
        .add_extension(own, critical=False)
        .add_extension(issuers, critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(kind: str, label: str, whose: str, tlds: Sequence[str]) -> x509.Name:
    """Whoever finds it in a list of authorities sees whose it is and what it is for; no two have the same one."""
    parts = (
        (NameOID.ORGANIZATION_NAME, "devproxy, local development only"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, f"only for {', '.join(tlds)}"),
        (NameOID.COMMON_NAME, f"devproxy {kind} {label} {whose}"),
    )
    return x509.Name([x509.NameAttribute(oid, _cut(text)) for oid, text in parts])


def _cut(text: str) -> str:
    raw = text.encode()
    return text if len(raw) <= _LONGEST else raw[: _LONGEST - 3].decode(errors="ignore") + "..."


def _whole(moment: dt.datetime) -> dt.datetime:
    """A certificate counts whole seconds."""
    return moment.replace(microsecond=0)


# Reading


def read_ca(pem: bytes) -> CaCertificate:
    """Raises ValueError where `pem` is no CA certificate of ours."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        raise ValueError("it has no name constraints") from None
    names = [name.value for name in constraints.permitted_subtrees or () if isinstance(name, x509.DNSName)]
    return CaCertificate(certificate, tuple(names))


def is_our_root(pem: bytes) -> bool:
    """Whether `pem` is a root that devproxy has made, by its subject and by what it is limited to."""
    try:
        ca = read_ca(pem).certificate
        limits = ca.extensions.get_extension_for_class(x509.NameConstraints)
    except _NOT_OURS:
        return False
    names = list(limits.value.permitted_subtrees or ())
    kinds = {type(name) for name in names}
    loopback = all(name.value in _LOOPBACK for name in names if isinstance(name, x509.IPAddress))
    common = "".join(str(one.value) for one in ca.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    is_limited = limits.critical and kinds == {x509.DNSName, x509.IPAddress} and loopback
    return is_limited and ca.subject == ca.issuer and common.startswith("devproxy root ")


def read_signer(pem: bytes, key: bytes) -> Signer:
    """Raises ValueError where they are damaged, or do not belong together."""
    ca = read_ca(pem)
    private = load_pem_private_key(key, password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != ca.certificate.public_key():
        raise ValueError("the key is not that of the certificate beside it")
    return Signer(ca, private, pem)


def is_issued_by(ca: CaCertificate, root: CaCertificate) -> bool:
    """Whether `root` has signed `ca`."""
    try:
        ca.certificate.verify_directly_issued_by(root.certificate)
    except _NOT_OURS:
        return False
    return True


def is_usable(pem: bytes, hostname: str, signer: Signer, now: dt.datetime) -> bool:
    """Whether `pem` is what `make_leaf` would make, and not soon at its end."""
    try:
        key = load_pem_private_key(pem, password=None)
        leaf, *chain = x509.load_pem_x509_certificates(pem)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        leaf.verify_directly_issued_by(signer.ca.certificate)
    except _NOT_OURS:
        return False
    last = leaf.not_valid_after_utc
    renewed = last - LEAF_RENEWED if last < signer.ca.not_after else last
    return (
        names.get_values_for_type(x509.DNSName) == [hostname]
        and chain == [signer.ca.certificate]
        and key.public_key() == leaf.public_key()
        and leaf.not_valid_before_utc <= now < renewed
    )
