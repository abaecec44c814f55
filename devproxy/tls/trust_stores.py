"""The trust stores: which there are, how each is found, and the steps that put a root into it and take it out again.

Lives here: one row a kind of store (`KINDS`), one row a Linux distribution's folder of anchors (`ANCHORS`), and the
plan (`trust_plan`, `untrust_plan`): from what a store holds and what it is to hold, the steps. All of it is pure; a
`Machine` says where the system's root and the home are, so the plan for every system can be made on any.

A root of ours is known by its fingerprint, or by a name that bears its beginning and says devproxy (and whose it is,
where users share a store). What is not known so is never touched.

- Linux keeps what the administrator trusts as files in a folder, and a program makes bundles of them: the file is ours,
  the bundle is the program's. Debian's leaves the links of a file that is gone, unless it is told `--fresh`, and tells
  its hooks (Java's keystore) nothing of it: so they are told as it would tell them (update-ca-certificates(8)).
- NSS (`nss.py`): `certutil`, once a database.
- macOS: the login keychain, by security(1). Windows: the current user's Root store, by PowerShell, which takes the
  certificate as text; so WSL reaches it too. Neither has run on a real macOS or Windows.
- Java: the runtime is left alone. A keystore beside the CA holds the runtime's roots and ours; whoever wants it sets
  `JAVA_TOOL_OPTIONS`.

Not here: looking and doing (`trusting.py`), what stands where since when (`trust_record.py`).
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final, NamedTuple

from devproxy.tls import nss, pem


class Machine(NamedTuple):
    """Where stores are looked for; `owner` is the person's name in a store that users share."""

    platform: str  # as sys.platform has it
    root: Path
    home: Path
    state: Path  # the folder of our authorities
    owner: str
    variables: Mapping[str, str]
    program: Callable[[str], str | None]  # the path of an installed program


class Anchor(NamedTuple):
    """A root certificate that is to be trusted."""

    pem: bytes
    fingerprint: str  # SHA-256, 64 hexadecimal digits

    @property
    def der(self) -> bytes:
        return next(iter(pem.certificates(self.pem)), b"")


class HeldRoot(NamedTuple):
    """A root of ours that a store holds, under `label`; `counts` says whether it is believed."""

    fingerprint: str
    label: str
    counts: bool = True


class StoreFault(NamedTuple):
    """Why a store that is here cannot be used, and what to do."""

    why: str
    fix: str = ""


class TrustStore(NamedTuple):
    """A store that this machine has, and what of ours it holds."""

    kind: str
    place: PurePath
    tool: str = ""  # the program that changes it
    anchors: "AnchorFolder | None" = None
    hooks: tuple[str, ...] = ()
    owner: str = ""  # whose roots are ours, where users share it
    is_new: bool = False  # it is not there yet
    is_made: bool = False  # it was made for our roots, and is to go with them
    held: tuple[HeldRoot, ...] = ()
    fault: StoreFault | None = None


# Steps


class WriteFile(NamedTuple):
    """Make `content` that of the file, for everybody to read."""

    path: Path
    content: bytes

    @property
    def says(self) -> str:
        return f"write {self.path.name}"


class RemoveFile(NamedTuple):
    path: Path

    @property
    def says(self) -> str:
        return f"remove {self.path.name}"


class MakeFolder(NamedTuple):
    """Make a private folder."""

    path: Path

    @property
    def says(self) -> str:
        return "make the folder"


class RemoveDatabase(NamedTuple):
    """Remove an NSS database that we have made, if nothing is left in it."""

    path: Path

    @property
    def says(self) -> str:
        return "remove the database, if nothing else is in it"


class MakeKeystore(NamedTuple):
    """Write a PKCS#12 of the runtime's roots and these."""

    path: Path
    anchors: tuple[Anchor, ...]
    keytool: str

    @property
    def says(self) -> str:
        return f"write {self.path.name}: the roots of Java, and ours"


class RunTool(NamedTuple):
    """Run a program. Where it fails for want of a password, `asking` is run on a terminal; where all fails, `undo`."""

    says: str
    argv: tuple[str, ...]
    stdin: bytes = b""
    asking: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()


Step = WriteFile | RemoveFile | MakeFolder | RemoveDatabase | MakeKeystore | RunTool


class Plan(NamedTuple):
    """What is to be done to a store; no steps where it is as it should be."""

    store: TrustStore
    steps: tuple[Step, ...] = ()


# The kinds of stores


class StoreKind(NamedTuple):
    """A row of the table: who reads the store, and the steps to add roots and to remove them."""

    readers: str
    add: Callable[[TrustStore, Sequence[Anchor]], Iterator[Step]]
    remove: Callable[[TrustStore, Sequence[HeldRoot]], Iterator[Step]]
    needs_root: bool = False
    is_for_urls: bool = True  # whether a person's URLs are believed by what reads it
    after_adding: str = ""  # what a program that runs has to do
    after_removal: str = ""


class AnchorFolder(NamedTuple):
    """Where a distribution keeps what the administrator trusts, and what makes the bundle of it."""

    distributions: str
    folder: str
    update: tuple[str, ...]
    after_removal: tuple[str, ...]
    bundle: str
    links: str = ""  # the folder of which hooks are told
    hooks: str = ""
    sign: str = ""  # a file by which it is known, where another has the same folder


ANCHORS: Final = (
    AnchorFolder(
        "Fedora, RHEL",
        "etc/pki/ca-trust/source/anchors",
        ("update-ca-trust", "extract"),
        ("update-ca-trust", "extract"),
        "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    ),
    AnchorFolder(
        "SUSE",
        "etc/pki/trust/anchors",
        ("update-ca-certificates",),
        ("update-ca-certificates",),
        "var/lib/ca-certificates/ca-bundle.pem",
    ),
    AnchorFolder(
        "Arch",
        "etc/ca-certificates/trust-source/anchors",
        ("update-ca-trust",),
        ("update-ca-trust",),
        "etc/ca-certificates/extracted/tls-ca-bundle.pem",
    ),
    AnchorFolder(
        "Alpine",
        "usr/local/share/ca-certificates",
        ("update-ca-certificates",),
        ("update-ca-certificates",),
        "etc/ssl/certs/ca-certificates.crt",
        sign="etc/alpine-release",
    ),
    AnchorFolder(
        "Debian, Ubuntu",
        "usr/local/share/ca-certificates",
        ("update-ca-certificates",),
        ("update-ca-certificates", "--fresh"),
        "etc/ssl/certs/ca-certificates.crt",
        links="etc/ssl/certs",
        hooks="etc/ca-certificates/update.d",
    ),
)

_FILE: Final = re.compile(r"devproxy-(?P<owner>[A-Za-z0-9_.-]+)-(?P<digits>[0-9a-f]{16})\.crt")
_OWNER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def is_owner(name: str) -> bool:
    """Whether `name` may say whose a root is, in the name of a file."""
    return _OWNER.fullmatch(name) is not None


def anchor_file(owner: str, fingerprint: str) -> str:
    """What a root's file is called in a folder of anchors."""
    return f"devproxy-{owner}-{fingerprint[:16]}.crt"


def is_anchor_of(name: str, owner: str, fingerprint: str) -> bool:
    """Whether a file that holds the certificate `fingerprint` is called as one of ours of `owner`."""
    found = _FILE.fullmatch(name)
    return found is not None and found["owner"] == owner and found["digits"] == fingerprint[:16]


def _add_files(store: TrustStore, anchors: Sequence[Anchor]) -> Iterator[Step]:
    assert store.anchors is not None
    there = {held.fingerprint for held in store.held}
    for anchor in anchors:
        if anchor.fingerprint not in there:
            yield WriteFile(Path(store.place, anchor_file(store.owner, anchor.fingerprint)), anchor.pem)
    yield RunTool(_typed(store.anchors.update), (store.tool, *store.anchors.update[1:]))


def _remove_files(store: TrustStore, held: Sequence[HeldRoot]) -> Iterator[Step]:
    assert store.anchors is not None
    for one in held:
        yield RemoveFile(Path(store.place, one.label))
    yield RunTool(_typed(store.anchors.after_removal), (store.tool, *store.anchors.after_removal[1:]))
    gone = "".join(f"-/{store.anchors.links}/{Path(one.label).stem}.pem\n" for one in held)
    for hook in store.hooks:
        yield RunTool(f"tell {hook} of it", (hook,), gone.encode())


def _add_nss(store: TrustStore, anchors: Sequence[Anchor]) -> Iterator[Step]:
    database = f"sql:{store.place}"
    if store.is_new:
        yield MakeFolder(Path(store.place))
        yield RunTool("certutil: make the database", (store.tool, "-N", "-d", database, "--empty-password"))
    for anchor in anchors:
        name = nss.nickname(anchor.fingerprint)
        argv = (store.tool, "-A", "-d", database, "-t", nss.TRUST, "-n", name)
        undo = (store.tool, "-D", "-d", database, "-n", name)
        # with a password, certutil adds the certificate, and only then fails to say that it is trusted
        is_there = any(held.fingerprint == anchor.fingerprint for held in store.held)
        yield RunTool("certutil: add it", (*argv, "-f", "/dev/null"), anchor.pem, argv, () if is_there else undo)


def _remove_nss(store: TrustStore, held: Sequence[HeldRoot]) -> Iterator[Step]:
    for one in held:
        argv = (store.tool, "-D", "-d", f"sql:{store.place}", "-n", one.label)
        yield RunTool("certutil: remove it", (*argv, "-f", "/dev/null"), b"", argv)
    if store.is_made:
        yield RemoveDatabase(Path(store.place))


_KEYCHAIN_TRUST: Final = ("-r", "trustRoot", "-p", "ssl", "-p", "basic")


def _add_keychain(store: TrustStore, anchors: Sequence[Anchor]) -> Iterator[Step]:
    keychain = str(store.place)
    for anchor in anchors:
        yield RunTool(
            "security: add it; macOS asks for your password",
            (
                store.tool,
                *("add-trusted-cert", "-r", "trustRoot", "-p", "ssl", "-p", "basic", "-k", keychain),
                STDIN_FILE,
            ),
            anchor.pem,
            undo=(store.tool, "delete-certificate", "-Z", pem.sha1(anchor.der), keychain),
        )


def _remove_keychain(store: TrustStore, held: Sequence[HeldRoot]) -> Iterator[Step]:
    for one in held:
        argv = (store.tool, "delete-certificate", "-Z", one.label, "-t", str(store.place))
        yield RunTool("security: remove it; macOS may ask for your password", argv)


STDIN_FILE: Final = "{stdin}"  # in an argv: a file with what is to be read, for who reads no standard input

_ROOT_STORE: Final = (
    "$ErrorActionPreference='Stop';"
    "$s=[Security.Cryptography.X509Certificates.X509Store]::new('Root','CurrentUser');$s.Open('{mode}');"
)
LIST_WINDOWS: Final = (
    _ROOT_STORE.format(mode="ReadOnly") + "$s.Certificates|Where-Object{$_.Subject -like '*devproxy root*'}"
    "|ForEach-Object{[Convert]::ToBase64String($_.RawData)}"
)


def powershell(tool: str, script: str) -> tuple[str, ...]:
    """A command line. A script has no double quotation mark and no backslash, so every shell on the way leaves it."""
    return (tool, "-NoProfile", "-NonInteractive", "-Command", script)


def _add_windows(store: TrustStore, anchors: Sequence[Anchor]) -> Iterator[Step]:
    for anchor in anchors:
        content = base64.b64encode(anchor.der).decode()
        certificate = (
            f"[Security.Cryptography.X509Certificates.X509Certificate2]::new([Convert]::FromBase64String('{content}'))"
        )
        script = f"{_ROOT_STORE.format(mode='ReadWrite')}$s.Add({certificate});$s.Close()"
        yield RunTool("PowerShell: add it; Windows asks you to confirm", powershell(store.tool, script))


def _remove_windows(store: TrustStore, held: Sequence[HeldRoot]) -> Iterator[Step]:
    for one in held:
        found = f"$s.Certificates.Find('FindByThumbprint','{one.label}',$false)"
        script = f"{_ROOT_STORE.format(mode='ReadWrite')}{found}|ForEach-Object{{$s.Remove($_)}};$s.Close()"
        says = "PowerShell: remove it; Windows asks you to confirm"
        yield RunTool(says, powershell(store.tool, script))


def _add_java(store: TrustStore, anchors: Sequence[Anchor]) -> Iterator[Step]:
    yield MakeKeystore(Path(store.place), tuple(anchors), store.tool)


def _remove_java(store: TrustStore, held: Sequence[HeldRoot]) -> Iterator[Step]:
    if held:
        yield RemoveFile(Path(store.place))


_RESTART_PROGRAMS: Final = "programs that are running read it when they are started again"
_RESTART_BROWSER: Final = "a browser that is running may have to be started again"

KINDS: Final[Mapping[str, StoreKind]] = {
    "system": StoreKind(
        "curl, Python, Go, Ruby, PHP and most programs",
        _add_files,
        _remove_files,
        needs_root=True,
        after_adding=_RESTART_PROGRAMS,
        after_removal=_RESTART_PROGRAMS,
    ),
    "chrome": StoreKind("Chromium, Chrome, Edge, Brave", _add_nss, _remove_nss),
    "firefox": StoreKind(
        "Firefox, a profile each",
        _add_nss,
        _remove_nss,
        after_removal="a Firefox that is running believes it until it is started again",
    ),
    "keychain": StoreKind(
        "Safari, Chrome, curl of macOS, Firefox from 120 on",
        _add_keychain,
        _remove_keychain,
        after_adding=_RESTART_BROWSER,
        after_removal=_RESTART_BROWSER,
    ),
    "windows": StoreKind(
        "Edge, Chrome, curl of Windows, Firefox from 120 on",
        _add_windows,
        _remove_windows,
        after_adding=_RESTART_BROWSER,
        after_removal=_RESTART_BROWSER,
    ),
    "java": StoreKind("Java, where JAVA_TOOL_OPTIONS names it", _add_java, _remove_java, is_for_urls=False),
}


# Plans


def missing(store: TrustStore, anchors: Sequence[Anchor]) -> list[Anchor]:
    """Those that the store does not hold, or does not believe."""
    there = {held.fingerprint for held in store.held if held.counts}
    return [anchor for anchor in anchors if anchor.fingerprint not in there]


def trust_plan(store: TrustStore, anchors: Sequence[Anchor]) -> Plan:
    """The steps after which the store believes `anchors`. What it holds already is not added again."""
    wanted = missing(store, anchors)
    if not wanted or store.fault is not None:
        return Plan(store)
    if store.kind == "java":  # it is written whole
        wanted = list(anchors)
    return Plan(store, tuple(KINDS[store.kind].add(store, wanted)))


def untrust_plan(store: TrustStore) -> Plan:
    """The steps after which the store holds none of our roots, nor anything that was made for them."""
    if store.fault is not None or not store.held:
        return Plan(store)
    return Plan(store, tuple(KINDS[store.kind].remove(store, store.held)))


def _typed(argv: Sequence[str]) -> str:
    return " ".join(argv)
