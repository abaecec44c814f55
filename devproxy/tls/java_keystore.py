"""A keystore for Java (PKCS#12, RFC 7292) with the roots that it believes anyway, and ours.

A Java runtime has a keystore of its own (`cacerts`). It is read and left alone: another version of the runtime has
another one, and it may be root's. Whoever wants ours sets what `options` says.

Not here: running `keytool` (`trusting.py`).
"""

import contextlib
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from devproxy.tls import pem

NAME: Final = "java.p12"
PASSWORD: Final = "changeit"  # noqa: S105 (what Java's own keystore has; only certificates are in it)


def options(file: Path) -> str:
    """The value of JAVA_TOOL_OPTIONS (JVM Tool Interface: every runtime reads it) that makes Java use `file`."""
    return (
        f"-Djavax.net.ssl.trustStore={_option(file)} -Djavax.net.ssl.trustStoreType=PKCS12 "
        f"-Djavax.net.ssl.trustStorePassword={PASSWORD}"
    )


def _option(file: Path) -> str:
    """A path as JAVA_TOOL_OPTIONS takes it: quoted where it has blanks."""
    return f'"{file}"' if any(char.isspace() for char in str(file)) else str(file)


def listing(keytool: str) -> tuple[str, ...]:
    """The command line that prints what the runtime believes, as PEM."""
    return (keytool, "-list", "-rfc", "-cacerts", "-storepass", PASSWORD)


def merged(ours: Sequence[bytes], public: Iterable[bytes]) -> bytes:
    """The keystore, from certificates as DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    entries = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of public roots that are odd
        for number, der in enumerate(dict.fromkeys([*ours, *public])):
            with contextlib.suppress(ValueError):  # and of those that are no X.509 at all
                name = f"{'devproxy' if der in ours else 'public'}-{number}"
                entries.append(pkcs12.PKCS12Certificate(x509.load_der_x509_certificate(der), name.encode()))
    return pkcs12.serialize_java_truststore(entries, BestAvailableEncryption(PASSWORD.encode()))


def fingerprints(keystore: bytes) -> list[str]:
    """Those of the certificates in a keystore of ours; none where it is damaged."""
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = pkcs12.load_pkcs12(keystore, PASSWORD.encode())
    except ValueError:
        return []
    return [pem.sha256(one.certificate.public_bytes(Encoding.DER)) for one in loaded.additional_certs]
