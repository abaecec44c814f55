"""Bundles: files of CA certificates that have ours beside the system's, and the variables that name them.

A runtime that reads one of `WHOLE` trusts what is in that file and nothing else, so the file has the system's bundle,
byte for byte, and then our roots: public sites verify as before. One that reads one of `ADDED` keeps its own
certificates, and gets ours alone.

- A variable that somebody has set stays as it is. The file that it names is a part of the bundle for the others, so
  that a company's own CA goes on being trusted; each set of such files has a bundle of its own, named by its hash.
- Nothing is set where there is no CA of ours, and no variable of `WHOLE` where this system has no bundle that we know.
- The roots are all of ours, for what runs already may still serve by an older one.
- A file is written when a command is about to be started, and only if what it is made of has changed.
- Java reads none of these. Its JVMs take a trust store by an option, and print a line about a variable that adds one;
  so only what starts one gets `JAVA_TOOL_OPTIONS`. The store is a PKCS#12 of the same bundle.

Our roots are limited to our names (`certificates.py`): in none of these places can they vouch for any other site.

Not here: trust stores of the system and of browsers (`trust_stores.py`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from devproxy.paths import Paths, ensure_private
from devproxy.storage import files
from devproxy.tls import java_keystore, pem
from devproxy.tls.authority import authority_folders, read_root

WHOLE: Final = (
    "SSL_CERT_FILE",  # OpenSSL: Python, Ruby, PHP, Perl, wget; Go, Rust, uv
    "REQUESTS_CA_BUNDLE",  # requests, pip
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",  # of every gRPC on the C core
)
ADDED: Final = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
JAVA: Final = "JAVA_TOOL_OPTIONS"

SYSTEM_BUNDLES: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Ubuntu, Arch, Gentoo, NixOS
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),  # Fedora, RHEL
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/var/lib/ca-certificates/ca-bundle.pem"),  # SUSE
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),  # Alpine, macOS, OpenBSD, FreeBSD
    Path("/usr/local/share/certs/ca-root-nss.crt"),
)
_LARGEST: Final = 16 * 1024 * 1024
_STORE: Final = "-Djavax.net.ssl.trustStore="


def trust_variables(
    paths: Paths, environment: Mapping[str, str], *, jvm: bool = False, places: Sequence[Path] = SYSTEM_BUNDLES
) -> dict[str, str]:
    """What to add to `environment`, so that what runs in it trusts our certificates too; `jvm`: it is one of Java.

    Makes the files that it names. Blocks (disk). Raises DevproxyError where the CA is damaged, or not private.
    """
    ours = b"".join(map(read_root, authority_folders(paths.authorities)))
    if not ours:
        return {}
    ensure_private(paths.bundles)
    values = dict.fromkeys(ADDED, str(_written(paths.own_roots, ours)))
    whole = _merged(paths, environment, ours, places)
    if whole is not None:
        values |= dict.fromkeys(WHOLE, str(whole))
    values = {name: value for name, value in values.items() if not _is_set(paths, environment, name)}
    if jvm and whole is not None:
        values |= _java_variable(_java_store(whole), environment.get(JAVA, ""))
    return values


def _java_variable(store: Path, options: str) -> dict[str, str]:
    """With the options that are set, unless they name a store."""
    if _STORE in options:
        return {}
    return {JAVA: f"{options} {java_keystore.options(store)}".strip()}


def _java_store(bundle: Path) -> Path:
    """The PKCS#12 of the certificates in `bundle`, beside it; made anew where they have changed.

    Its name stays, for a JVM opens it when it first needs it. Its content is another at each making (salts), so a
    second file says what it was made of.
    """
    content = _content(bundle)
    store, made_of = bundle.with_suffix(".p12"), bundle.with_suffix(".p12.sha256")
    digest = hashlib.sha256(content).hexdigest().encode()
    if not store.exists() or _content(made_of) != digest:
        files.write_disposable(store, java_keystore.merged([], pem.certificates(content)))
        files.write_disposable(made_of, digest)
    return store


def _is_set(paths: Paths, environment: Mapping[str, str], name: str) -> bool:
    """Whether somebody else has set a variable: a command of ours may run below another one."""
    value = environment.get(name, "")
    return bool(value) and not Path(value).is_relative_to(paths.bundles)


def _merged(paths: Paths, environment: Mapping[str, str], ours: bytes, places: Sequence[Path]) -> Path | None:
    """A bundle of the system's, of what the variables name that somebody has set, and ours; None without a whole one to
    begin with."""
    system = next(filter(None, map(_content, places)), b"")
    named = {name: environment[name] for name in (*WHOLE, *ADDED) if _is_set(paths, environment, name)}
    others = {value: _content(Path(value)) for value in sorted(set(named.values()))}
    others = {value: content for value, content in others.items() if content and content != system}
    if not system and not any(value in others for name, value in named.items() if name in WHOLE):
        return None
    label = hashlib.sha256("\n".join(others).encode()).hexdigest()[:12] if others else ""
    return _written(paths.bundle(label), b"".join(map(_with_end, (system, *others.values(), ours))))


def _with_end(content: bytes) -> bytes:
    return content if not content or content.endswith(b"\n") else content + b"\n"


def _content(file: Path) -> bytes:
    """Empty where it cannot be read."""
    try:
        return files.read(file, any_owner=True, limit=_LARGEST) or b""
    except files.UnreadableError:
        return b""


def _written(file: Path, content: bytes) -> Path:
    if _content(file) != content:
        files.write_disposable(file, content)
    return file
