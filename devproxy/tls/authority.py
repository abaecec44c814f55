"""The local certificate authorities on the disk: made, read, replaced in time; and a certificate for each hostname.

    state/ca/<first 16 hex digits of the root's SHA-256>/
        root.pem  intermediate.pem  intermediate.key  leaves/<hostname>.pem

One authority is made when the first is needed, for `localhost` and the endings (TLDs) that are configured then. Its
names are limited to those (`certificates.py`), so an ending that is added later gets an authority of its own.

Rotation: an intermediate cannot be renewed, since the root's key is gone. So half a year before an authority ends a
successor is made, under the same lock and without a restart. Nobody trusts that yet: `choose` stays with the old one
as long as it is valid and the new one is not trusted, and whoever made it says once that `devproxy trust` is due.

- A folder appears under its name whole (rename(2)), so nobody sees half an authority; the lock of `state/ca` lets one
  process make it where several begin at once.
- The key of an authority signs for names that your browser believes. It is used only while the folder and the file are
  yours, no symlink, and closed to everybody else; what others could read is refused, and never mended in silence.
- A certificate for a hostname is a cache: whatever is wrong with its file, it is made again.

Not here: what stands in a certificate (`certificates.py`), who is served which (`contexts.py`), trust stores
(`trust_stores.py`).
"""

import contextlib
import datetime as dt
import getpass
import hashlib
import os
import re
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from devproxy.errors import DevproxyError, Exit
from devproxy.paths import ensure_private
from devproxy.storage import files, locks
from devproxy.storage.system_errors import why_and_fix
from devproxy.text import quote, safe
from devproxy.tls.names import is_below
from devproxy.tls.pem import fingerprint

if TYPE_CHECKING:
    from devproxy.tls.certificates import Signer

SUCCEEDED: Final = dt.timedelta(days=180)  # so long before an authority's end its successor is made
MOST_LEAVES: Final = 1024  # in the folder of an authority; the names below a wildcard are without number

_ROOT, _INTERMEDIATE, _KEY, _LEAVES = "root.pem", "intermediate.pem", "intermediate.key", "leaves"
_FOLDER: Final = re.compile("[0-9a-f]{16}")
_UNFINISHED: Final = ".new-"
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOSTNAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_LONGEST_FILE_NAME: Final = 200  # characters of a hostname that names a file; what is longer is named by its hash


class Root(NamedTuple):
    """A root certificate of ours; `current` is false for one that a newer one has taken the place of, or that has
    ended."""

    pem: bytes
    fingerprint: str  # SHA-256, 64 hexadecimal digits
    tlds: tuple[str, ...]
    not_after: dt.datetime
    current: bool


def is_certifiable(hostname: str) -> bool:
    """Whether a certificate may have this name: labels of lower-case letters, digits, `-` and `_`."""
    return _HOSTNAME.fullmatch(hostname) is not None


class Authority:
    """A root and an intermediate; it signs for hostnames at and below `tlds`."""

    def __init__(self, folder: Path):
        """Read the certificates in `folder`. Raises DevproxyError where they are damaged, or not private."""
        from devproxy.tls import certificates

        self.folder = folder
        _check_folder(folder)
        self.root_pem = read_root(folder)
        self.fingerprint = fingerprint(self.root_pem)
        self._intermediate = _present(folder / _INTERMEDIATE)
        try:
            root, intermediate = map(certificates.read_ca, (self.root_pem, self._intermediate))
        except ValueError as error:
            raise _damaged(folder, str(error)) from error
        if not certificates.is_issued_by(intermediate, root):
            raise _damaged(folder, f"{_INTERMEDIATE} is not signed by {_ROOT}")
        self.tlds = intermediate.tlds
        self.not_before = intermediate.not_before
        self.not_after = intermediate.not_after
        self._signer: Signer | None = None

    def is_valid(self, now: dt.datetime) -> bool:
        return self.not_before <= now < self.not_after

    def check_key(self) -> None:
        """Raise DevproxyError where the intermediate's key cannot be used, or others could have read it."""
        self._read_signer()

    def issue(self, hostname: str, now: dt.datetime) -> Path:
        """The PEM file of a certificate for `hostname`, made or renewed if need be. Raises DevproxyError."""
        from devproxy.tls import certificates

        if not is_certifiable(hostname) or not is_below(hostname, self.tlds):
            raise DevproxyError(
                f"no certificate can be made for {hostname}", why=f"this authority is for {', '.join(self.tlds)} only"
            )
        signer = self._signer = self._signer or self._read_signer()
        file = self.folder / _LEAVES / _file_name(hostname)
        if not certificates.is_usable(_cached(file), hostname, signer, now):
            if not file.exists():
                _make_room(file.parent)
            files.write_disposable(file, certificates.make_leaf(hostname, signer, now))
        return file

    def _read_signer(self) -> "Signer":
        from devproxy.tls import certificates

        _check_folder(self.folder)
        key = _read_key(self.folder / _KEY)
        try:
            return certificates.read_signer(self._intermediate, key)
        except (ValueError, TypeError) as error:  # TypeError: a key with a password
            raise _damaged(self.folder, f"{_KEY}: {error}") from error


class AuthorityStore:
    """The authorities in `folder`.

    `is_trusted` says of a root, by its fingerprint, whether some store of the system has it; `on_made` is told of each
    authority that this process has made, and of the one whose place it takes, if it does (`announcement` says it).
    """

    def __init__(
        self,
        folder: Path,
        is_trusted: Callable[[str], bool] = lambda _: False,
        on_made: Callable[[Authority, Authority | None], None] = lambda *_: None,
    ):
        self.folder = folder
        self._is_trusted = is_trusted
        self._on_made = on_made
        self._read: dict[str, Authority] = {}

    def ensure(self, tlds: Sequence[str], now: dt.datetime) -> tuple[Authority, ...]:
        """The authorities that are valid, oldest first; what is missing for `tlds`, or soon at its end, is made.

        Blocks (disk, lock). Raises DevproxyError.
        """
        wanted = tuple(dict.fromkeys(("localhost", *tlds)))
        found = self._all()
        if _missing(found, wanted, now):
            made = None
            with _explained(self.folder), _locked(self.folder):
                if missing := _missing(self._all(), wanted, now):  # else another process was first
                    made = _make(self.folder, missing, now)
            found = self._all()
            if made:
                new = self._read[made.name]
                ending = (
                    one for one in found if one.is_valid(now) and one is not new and is_below(one.tlds[0], new.tlds)
                )
                self._on_made(new, next(ending, None))
        return tuple(authority for authority in found if authority.is_valid(now))

    def choose(self, authorities: Iterable[Authority], hostname: str, now: dt.datetime) -> Authority | None:
        """The one that signs for `hostname`: the newest trusted one; where none is, the newest. None if none may."""
        able = [one for one in authorities if one.is_valid(now) and is_below(hostname, one.tlds)]
        return max(able, key=lambda one: (self._is_trusted(one.fingerprint), one.not_before), default=None)

    def roots(self, now: dt.datetime | None = None) -> tuple[Root, ...]:
        """Every root of ours, the oldest first. Raises DevproxyError."""
        moment = now or dt.datetime.now(dt.UTC)
        found = self._all()
        return tuple(
            Root(one.root_pem, one.fingerprint, one.tlds, one.not_after, _is_current(one, found, moment))
            for one in found
        )

    def check(self, now: dt.datetime) -> None:
        """Raise DevproxyError where nobody should trust an authority that is valid: its key is not as it should be."""
        for authority in self._all():
            if authority.is_valid(now):
                authority.check_key()

    def version(self) -> int:
        """Another number when an authority was made or removed, or what is known of the trust in them was written."""
        try:
            return self.folder.stat().st_mtime_ns
        except OSError:
            return 0

    def _all(self) -> list[Authority]:
        """Those on the disk, the oldest first."""
        folders = authority_folders(self.folder)
        self._read = {folder.name: self._read.get(folder.name) or Authority(folder) for folder in folders}
        return sorted(self._read.values(), key=lambda one: (one.not_before, one.fingerprint))


def announcement(made: Authority, predecessor: Authority | None) -> str:
    """What a person is told of a new authority, once."""
    text = f"a local CA for {', '.join(made.tlds)} was made: `devproxy trust` has browsers and programs accept it"
    if predecessor is None:
        return text
    return f"{text}; until then, the one before it is used, which ends on {predecessor.not_after:%Y-%m-%d}"


def authority_folders(folder: Path) -> list[Path]:
    """The folder of each authority. Raises DevproxyError where somebody else could have put them there."""
    with _explained(folder):
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if _FOLDER.fullmatch(entry.name))
        except FileNotFoundError:
            return []
        _check_folder(folder)
    return [folder / name for name in names]


def root_file(folder: Path, fingerprint: str) -> Path:
    """Where the root with this fingerprint stands in `folder`, that of all authorities."""
    return folder / fingerprint[:16] / _ROOT


def read_root(folder: Path) -> bytes:
    """The root certificate of the authority in `folder`, as PEM. Raises DevproxyError where it is not the one that the
    folder is named after; `cryptography` is not needed for it."""
    pem = _present(folder / _ROOT)
    if fingerprint(pem)[:16] != folder.name:
        raise _damaged(folder, f"{_ROOT} is not the certificate that was made")
    return pem


def _is_current(one: Authority, among: Iterable[Authority], now: dt.datetime) -> bool:
    """Whether some name would be signed by it, were all of them trusted."""
    newer = [other for other in among if other.is_valid(now) and other.not_before > one.not_before]
    return one.is_valid(now) and any(not any(is_below(tld, other.tlds) for other in newer) for tld in one.tlds)


def _missing(found: Iterable[Authority], tlds: Iterable[str], now: dt.datetime) -> tuple[str, ...]:
    """Those of `tlds` that no authority is for, or none that lasts."""
    lasting = [one for one in found if one.is_valid(now) and now < one.not_after - SUCCEEDED]
    return tuple(tld for tld in tlds if not any(is_below(tld, one.tlds) for one in lasting))


# Making one


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    ensure_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _check_folder(folder)
    with locks.exclusive(folder / "authority"):
        yield


def _make(folder: Path, tlds: Sequence[str], now: dt.datetime) -> Path:
    """The folder of a new authority. Only under the lock, for it removes what a killed process has left."""
    from devproxy.tls import certificates

    with os.scandir(folder) as entries:
        leftovers = [entry.path for entry in entries if entry.name.startswith(_UNFINISHED)]
    for leftover in leftovers:
        shutil.rmtree(leftover, ignore_errors=True)
    new = certificates.make_authority(tlds, _whose(), now)
    unfinished = folder / f"{_UNFINISHED}{os.getpid()}"
    unfinished.mkdir(mode=0o700)
    (unfinished / _LEAVES).mkdir(mode=0o700)
    for name, content in ((_ROOT, new.root), (_INTERMEDIATE, new.intermediate), (_KEY, new.key)):
        files.write(unfinished / name, content.decode("ascii"))
    return unfinished.rename(folder / fingerprint(new.root)[:16])


def _whose() -> str:
    """`user@machine`, as far as they can be told."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "unknown"
    return safe(f"{user}@{socket.gethostname()}")


# Files


def _check_folder(folder: Path) -> None:
    """Raise DevproxyError unless `folder` is a folder of ours that nobody else can look into."""
    with _explained(folder):
        status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise _refused(folder, "it is a symlink or a file, so somebody else may have put it there")
    _check_private(folder, status)


def _check_private(path: Path, status: os.stat_result) -> None:
    if sys.platform == "win32":
        return
    if status.st_uid != os.geteuid():
        raise _refused(path, f"it belongs to user {status.st_uid} (you are user {os.geteuid()})")
    if (mode := stat.S_IMODE(status.st_mode)) & 0o077:
        raise _refused(path, f"others have rights to it (mode {mode:o}), and may have read the key")


def _refused(path: Path, why: str) -> DevproxyError:
    ours = next((one for one in (path, *path.parents) if one.name == "ca"), path)
    return DevproxyError(
        f"{path} is not private, so the local CA is not used",
        why=f"{why}; whoever has the CA's key can pass for your local sites",
        fix=f"look at it: ls -la {quote(path)}; then have a new CA made: devproxy untrust, rm -r {quote(ours)}, "
        "devproxy trust",
        exit_code=Exit.REFUSED,
    )


def _damaged(folder: Path, why: str) -> DevproxyError:
    return DevproxyError(
        f"the local CA in {folder} is damaged",
        why=why,
        fix=f"have a new one made: rm -r {quote(folder)}, then: devproxy trust",
    )


def _present(file: Path) -> bytes:
    try:
        content = files.read(file)
    except files.UnreadableError as error:
        raise _damaged(file.parent, f"{file.name}: {error.problem.message}, {error.problem.why}") from error
    if content is None:
        raise _damaged(file.parent, f"{file.name} is missing")
    return content


def _read_key(file: Path) -> bytes:
    """The key, if it is a plain file of ours that nobody else can read. Raises DevproxyError."""
    with _explained(file):
        try:
            if not stat.S_ISREG(file.lstat().st_mode):
                raise _refused(file, "it is a symlink, or no plain file, so somebody else may have put it there")
            descriptor = _open(file)
        except FileNotFoundError:
            raise _damaged(file.parent, f"{file.name} is missing") from None
        with os.fdopen(descriptor, "rb") as opened:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _refused(file, "it is not a plain file")
            _check_private(file, status)
            return opened.read(files.MAX_BYTES)


def _cached(file: Path) -> bytes:
    """The content of a plain file of ours that nobody else can read; else nothing."""
    try:
        with os.fdopen(_open(file), "rb") as opened:
            status = os.fstat(opened.fileno())
            is_ours = sys.platform == "win32" or (status.st_uid == os.geteuid() and not status.st_mode & 0o077)
            return opened.read(files.MAX_BYTES) if stat.S_ISREG(status.st_mode) and is_ours else b""
    except OSError:
        return b""


def _open(file: Path) -> int:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    return os.open(file, flags)


def _file_name(hostname: str) -> str:
    if len(hostname) > _LONGEST_FILE_NAME:
        hostname = f"{hostname[:100]}-{hashlib.sha256(hostname.encode()).hexdigest()}"
    return f"{hostname}.pem"


def _make_room(folder: Path) -> None:
    """Remove the older half of the certificates where they are many, and what killed writers have left."""
    with _explained(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        with os.scandir(folder) as entries:
            found = list(entries)
        if len(found) >= MOST_LEAVES:
            found.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)
            for entry in found[: len(found) // 2]:
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why, fix = why_and_fix(error, path)
        raise DevproxyError(f"{path} cannot be used for the local CA", why=why, fix=fix) from error
