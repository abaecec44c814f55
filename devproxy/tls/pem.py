"""Certificates as text (PEM, RFC 7468): the bytes in them, and the fingerprints that they are known by. Pure.

Not here: what stands in a certificate (`certificates.py`).
"""

import base64
import binascii
import hashlib
import re
from typing import Final

_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----", re.ASCII
)


def certificates(pem: bytes) -> list[bytes]:
    """Every certificate in a bundle, as DER. What is none is passed over."""
    found: list[bytes] = []
    for match in _CERTIFICATE.finditer(pem):
        try:
            found.append(base64.b64decode(match[1]))
        except binascii.Error:
            continue
    return found


def encode(der: bytes) -> bytes:
    """A certificate as PEM."""
    text = base64.b64encode(der)
    lines = b"\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return b"-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n" % lines


def sha256(der: bytes) -> str:
    """The fingerprint that we know a certificate by, in hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def sha1(der: bytes) -> str:
    """What Windows and macOS call a certificate by; nothing is believed for it."""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def fingerprint(pem: bytes) -> str:
    """SHA-256 of the one certificate in `pem`, in hexadecimal; "" where there is none, or more than one."""
    found = certificates(pem)
    return sha256(found[0]) if len(found) == 1 else ""
