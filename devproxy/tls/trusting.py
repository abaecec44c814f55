"""Looking at the trust stores of this machine, and changing them: the shell around `trust_stores.py`.

`survey` finds the stores that are here and what of ours each holds. `perform` runs one plan; a failure is told in words
and ends that plan alone. No step asks anybody anything, but a program that needs a password does so itself, on
a terminal.

Not here: which steps there are (`trust_stores.py`), rights of root (`cli/trust.py`), the record (`trust_record.py`).
"""

import base64
import binascii
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import Final, NamedTuple

from devproxy.errors import DevproxyError
from devproxy.paths import as_root
from devproxy.storage import files
from devproxy.storage.system_errors import why_and_fix
from devproxy.tls import java_keystore, nss, pem
from devproxy.tls.trust_stores import (
    ANCHORS,
    LIST_WINDOWS,
    STDIN_FILE,
    AnchorFolder,
    HeldRoot,
    Machine,
    MakeFolder,
    MakeKeystore,
    Plan,
    RemoveDatabase,
    RemoveFile,
    RunTool,
    Step,
    StoreFault,
    TrustStore,
    WriteFile,
    is_anchor_of,
    powershell,
)

_PATIENCE: Final = 300.0  # seconds for a program that asks nobody
_SYSTEM_PROGRAMS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not in the PATH of an ordinary user
_POWERSHELL: Final = "mnt/c/Windows/System32/WindowsPowerShell/v1.0/powershell.exe"
_DATABASE_FILES: Final = frozenset(("cert9.db", "key4.db", "pkcs11.txt"))

# The package with `certutil`, by the program that installs packages.
_CERTUTIL_PACKAGES: Final = (
    ("apt-get", "apt-get install libnss3-tools"),
    ("dnf", "dnf install nss-tools"),
    ("yum", "yum install nss-tools"),
    ("pacman", "pacman -S nss"),
    ("zypper", "zypper install mozilla-nss-tools"),
    ("apk", "apk add nss-tools"),
)


def this_machine(state: Path, owner: str) -> Machine:
    """The machine that we run on; `state` is the folder of our authorities."""
    return Machine(sys.platform, Path("/"), Path.home(), state, owner, os.environ, _program)


def _program(name: str) -> str | None:
    import shutil

    search = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_PROGRAMS))
    return shutil.which(name, path=search)


# Looking


class Search(NamedTuple):
    """Where to look, and what for.

    `known` are the fingerprints of our roots, `made` the places of databases that were made for them. `kinds` are those
    that were asked for by name, which are made where they are not there; without any, all that are here are looked at.
    """

    machine: Machine
    known: Collection[str] = ()
    made: Collection[str] = ()
    kinds: Collection[str] = ()


def survey(search: Search) -> list[TrustStore]:
    """The stores that are here, and what of ours they hold."""
    found: list[TrustStore] = []
    for kind, find in _FINDERS.get(search.machine.platform, ()):
        if not search.kinds or kind in search.kinds:
            try:
                found += find(search)
            except OSError as error:
                place = Path(error.filename if isinstance(error.filename, str) else search.machine.root)
                found.append(TrustStore(kind, place, fault=StoreFault(*why_and_fix(error, place))))
    return [store._replace(is_made=store.is_made or str(store.place) in search.made) for store in found]


def possible_kinds(platform: str) -> list[str]:
    """The kinds of stores that a system may have."""
    return [kind for kind, _ in _FINDERS.get(platform, ())]


def _system(search: Search) -> Iterator[TrustStore]:
    machine = search.machine
    for anchors in ANCHORS:
        folder = machine.root / anchors.folder
        program = machine.program(anchors.update[0])
        is_this = _is_folder(folder) and (not anchors.sign or _is_file(machine.root / anchors.sign))
        if is_this and program is not None:
            yield _anchored(machine, anchors, TrustStore("system", folder, program, anchors, owner=machine.owner))
            return
    fix = "let it trust the root by hand: devproxy trust --json says where it is"
    if (machine.root / "etc/NIXOS").exists():
        fix = "name the root in security.pki.certificateFiles: devproxy trust --json says where it is"
    elif machine.program("apt-get") or machine.program("apk"):
        fix = as_root(f"{'apt-get install' if machine.program('apt-get') else 'apk add'} ca-certificates")
    fault = StoreFault("this system has none of the folders that devproxy knows, or not the program that reads it", fix)
    yield TrustStore("system", machine.root / "etc/ssl", fault=fault)


def _anchored(machine: Machine, anchors: AnchorFolder, store: TrustStore) -> TrustStore:
    believed = set(map(pem.sha256, pem.certificates(_content(machine.root / anchors.bundle))))
    held = []
    for file in sorted(Path(store.place).iterdir()):
        fingerprint = pem.fingerprint(_content(file)) if file.name.startswith("devproxy-") else ""
        if is_anchor_of(file.name, machine.owner, fingerprint):
            held.append(HeldRoot(fingerprint, file.name, fingerprint in believed))
    hooks = machine.root / anchors.hooks
    programs = sorted(hooks.iterdir()) if anchors.hooks and _is_folder(hooks) else []
    return store._replace(held=tuple(held), hooks=tuple(str(one) for one in programs if os.access(one, os.X_OK)))


def _content(file: Path) -> bytes:
    try:
        return files.read(file, any_owner=True, limit=files.MAX_SYSTEM_BYTES) or b""
    except files.UnreadableError:
        return b""


def _chrome(search: Search) -> Iterator[TrustStore]:
    machine = search.machine
    folders = nss.chromium_folders(machine.home, machine.variables)
    there = [folder for folder in folders if _is_file(folder / nss.DATABASE)]
    for folder in _distinct(there):
        yield _nss_store(machine, "chrome", folder, search.known)
    is_wanted = "chrome" in search.kinds or any(
        not program.startswith("/snap/") for program in filter(None, map(machine.program, nss.CHROMIUMS))
    )
    first = folders[0]
    # Every version reads the first place, and no other one where that folder is. Which one it makes itself depends on
    # the version.
    if first not in there and (_is_folder(first) or (is_wanted and not there)):
        yield _usable(machine, TrustStore("chrome", first, is_new=True, is_made=not _is_folder(first)))


def _firefox(search: Search) -> Iterator[TrustStore]:
    machine = search.machine
    found: list[Path] = []
    for base in nss.firefox_folders(machine.home, machine.variables):
        named = nss.profiles(_content(base / "profiles.ini"), base)
        # Profiles of a profile group are in no profiles.ini, but beside those that are.
        beside = sorted(base.iterdir()) if _may_list(base) else []
        found += [folder for folder in (*named, *beside) if _is_file(folder / nss.DATABASE)]
    for folder in _distinct(found):
        yield _nss_store(machine, "firefox", folder, search.known)


def _may_list(folder: Path) -> bool:
    return _is_folder(folder) and os.access(folder, os.R_OK | os.X_OK)


def _is_file(path: Path) -> bool:
    """Whether a file is there; what we may not look at is not there for us."""
    return os.path.isfile(path)  # noqa: PTH113 (pathlib's raises where rights are missing)


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112


def _distinct(folders: Sequence[Path]) -> list[Path]:
    """Without those that are another one by way of a symlink."""
    by_place = {Path(os.path.realpath(folder)): folder for folder in reversed(folders)}
    return [folder for folder in folders if by_place.pop(Path(os.path.realpath(folder)), None) is not None]


def _nss_store(machine: Machine, kind: str, folder: Path, known: Collection[str]) -> TrustStore:
    store = _usable(machine, TrustStore(kind, folder))
    if store.fault is not None:
        return store
    listing = _run((store.tool, "-L", "-d", f"sql:{folder}"))
    if listing.returncode:
        return store._replace(fault=_nss_fault(kind, listing))
    held = []
    for entry in nss.listed(listing.stdout.decode("utf-8", "replace")):
        digits = nss.named_fingerprint(entry.nickname)
        if not digits and "devproxy" not in entry.nickname:
            continue
        shown = _run((store.tool, "-L", "-d", f"sql:{folder}", "-n", entry.nickname, "-a"))
        for fingerprint in map(pem.sha256, pem.certificates(shown.stdout)):
            if fingerprint in known or fingerprint[:16] == digits:
                held.append(HeldRoot(fingerprint, entry.nickname, entry.is_authority))
    return store._replace(held=tuple(held))


def _usable(machine: Machine, store: TrustStore) -> TrustStore:
    certutil = machine.program("certutil")
    if certutil is not None:
        return store._replace(tool=certutil)
    install = next((line for program, line in _CERTUTIL_PACKAGES if machine.program(program)), "")
    fix = f"{as_root(install)}, then do it again" if install else "install NSS's tools (certutil), then do it again"
    return store._replace(fault=StoreFault("the program certutil, which changes it, is not installed", fix))


def _nss_fault(kind: str, done: "subprocess.CompletedProcess[bytes]") -> StoreFault:
    program = "Firefox" if kind == "firefox" else "the browser"
    return StoreFault(*nss.fault(_said(done), program))


def _keychain(search: Search) -> Iterator[TrustStore]:
    machine = search.machine
    store = TrustStore(
        "keychain", machine.home / "Library/Keychains/login.keychain-db", machine.program("security") or ""
    )
    if not store.tool:
        yield store._replace(fault=StoreFault("the program security is not there"))
        return
    listing = _run((store.tool, "find-certificate", "-a", "-p", "-c", "devproxy root", str(store.place)))
    yield store._replace(held=_by_sha1(pem.certificates(listing.stdout), search.known))


def _windows(search: Search) -> Iterator[TrustStore]:
    machine = search.machine
    tool = machine.program("powershell.exe")
    if tool is None and _is_file(machine.root / _POWERSHELL):
        tool = str(machine.root / _POWERSHELL)
    store = TrustStore("windows", PureWindowsPath(r"Cert:\CurrentUser\Root"), tool or "")
    if tool is None:
        yield store._replace(
            fault=StoreFault("PowerShell was not found", "switch on interop (wsl.conf), or do it there")
        )
        return
    listing = _run(powershell(tool, LIST_WINDOWS))
    if listing.returncode:
        yield store._replace(fault=StoreFault(f"PowerShell says: {_said(listing)[-200:]}"))
        return
    yield store._replace(held=_by_sha1(list(_decoded(listing.stdout)), search.known))


def _decoded(output: bytes) -> Iterator[bytes]:
    """The certificates in what PowerShell has printed; a line of another kind is passed over."""
    for line in output.split():
        with contextlib.suppress(binascii.Error):
            yield base64.b64decode(line, validate=True)


def _by_sha1(found: Sequence[bytes], known: Collection[str]) -> tuple[HeldRoot, ...]:
    """Those that are ours: known, or made by us as their contents say."""
    return tuple(
        HeldRoot(pem.sha256(one), pem.sha1(one)) for one in found if pem.sha256(one) in known or _is_of_devproxy(one)
    )


def _is_of_devproxy(der: bytes) -> bool:
    from devproxy.tls.certificates import is_our_root

    return is_our_root(pem.encode(der))


def _wsl(search: Search) -> Iterator[TrustStore]:
    """The Windows that this Linux runs below, if it does."""
    machine = search.machine
    kernel = _content(machine.root / "proc/sys/kernel/osrelease")
    if b"microsoft" in kernel.lower():
        yield from _windows(search)


def _java(search: Search) -> Iterator[TrustStore]:
    machine = search.machine
    home = machine.variables.get("JAVA_HOME", "")
    own = Path(home, "bin", "keytool.exe" if machine.platform == "win32" else "keytool")
    keytool = str(own) if home and _is_file(own) else machine.program("keytool")
    if keytool is None and "java" not in search.kinds and machine.program("java") is None:
        return
    file = machine.state / java_keystore.NAME
    held: list[HeldRoot] = []
    if content := _content(file):
        found = [one for one in java_keystore.fingerprints(content) if one in search.known]
        held = [HeldRoot(one, file.name) for one in found] or [HeldRoot("", file.name, counts=False)]
    yield TrustStore("java", file, keytool or "", held=tuple(held))


_Finder = Callable[[Search], Iterator[TrustStore]]
_FINDERS: Final[dict[str, tuple[tuple[str, _Finder], ...]]] = {
    "linux": (
        *(("system", _system), ("chrome", _chrome), ("firefox", _firefox)),
        *(("windows", _wsl), ("java", _java)),
    ),
    "darwin": (("keychain", _keychain), ("java", _java)),
    "win32": (("windows", _windows), ("java", _java)),
}


# Doing


Announce = Callable[[str], None]


def perform(plan: Plan, announce: Announce | None = None) -> None:
    """Take the steps of one plan. Raises DevproxyError at the first that fails.

    `announce` says what a program is about to ask for on the terminal; without it there is none, and nothing is asked.
    """
    for step in plan.steps:
        try:
            _take(plan.store, step, announce)
        except OSError as error:
            path = Path(error.filename if isinstance(error.filename, str) else plan.store.place)
            why, fix = why_and_fix(error, path)
            raise _failed(plan.store, step, why, fix) from error


def _take(store: TrustStore, step: Step, announce: Announce | None) -> None:
    match step:
        case WriteFile(path, content):
            files.change_bytes(path, lambda _: content)
        case RemoveFile(path):
            files.remove(path)
        case MakeFolder(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        case RemoveDatabase(path):
            _remove_database(store.tool, path)
        case MakeKeystore(path, anchors, keytool):
            listing = _run(java_keystore.listing(keytool)).stdout if keytool else b""
            public = pem.certificates(listing) or pem.certificates(_bundle())
            files.write_disposable(path, java_keystore.merged([anchor.der for anchor in anchors], public))
        case RunTool():
            _run_tool(store, step, announce)


def _bundle() -> bytes:
    """What the system believes, as its own bundle has it."""
    return next(filter(None, (_content(Path("/", anchors.bundle)) for anchors in ANCHORS)), b"")


def _run_tool(store: TrustStore, step: RunTool, announce: Announce | None) -> None:
    done = _run(step.argv, step.stdin)
    try:
        if done.returncode and step.asking and announce is not None and nss.needs_password(_said(done)):
            announce(f"{store.place} has a password, which certutil asks for; to leave it alone: Ctrl-C")
            done = _run(step.asking, step.stdin, patience=None)
    except KeyboardInterrupt:
        _undo(step)
        raise
    if not done.returncode:
        return
    _undo(step)
    if store.kind in ("chrome", "firefox"):
        raise _failed(store, step, *_nss_fault(store.kind, done))
    raise _failed(store, step, f"{Path(step.argv[0]).name} has ended with {done.returncode}: {_said(done)[-500:]}", "")


def _undo(step: RunTool) -> None:
    if step.undo:
        _run(step.undo)


def _failed(store: TrustStore, step: Step, why: str, fix: str) -> DevproxyError:
    return DevproxyError(f"{store.kind}: {store.place}: {step.says}: this failed", why=why.strip(), fix=fix)


def _run(
    argv: Sequence[str], stdin: bytes = b"", patience: float | None = _PATIENCE
) -> "subprocess.CompletedProcess[bytes]":
    """Run a program; where it cannot be run, or does not end, the result says so."""
    with contextlib.ExitStack() as stack:
        if STDIN_FILE in argv:
            file = Path(stack.enter_context(tempfile.TemporaryDirectory()), "root.pem")
            file.write_bytes(stdin)
            argv = [str(file) if word == STDIN_FILE else word for word in argv]
        environment = {**os.environ, "LC_ALL": "C"}
        try:
            return subprocess.run(
                argv, input=stdin, capture_output=True, env=environment, timeout=patience, check=False
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(argv, 1, b"", f"it has not ended in {patience:.0f} seconds".encode())
        except OSError as error:
            return subprocess.CompletedProcess(argv, 127, b"", (error.strerror or str(error)).lower().encode())


def _said(done: "subprocess.CompletedProcess[bytes]") -> str:
    return (done.stderr or done.stdout).decode("utf-8", "replace").strip()


def _remove_database(certutil: str, folder: Path) -> None:
    """Remove a database with nothing in it, and the folders that were made for it."""
    if {entry.name for entry in folder.iterdir()} - _DATABASE_FILES:
        return
    certificates, keys = (_run((certutil, what, "-d", f"sql:{folder}", "-f", os.devnull)) for what in ("-L", "-K"))
    if certificates.returncode or nss.listed(certificates.stdout.decode("utf-8", "replace")) or not keys.returncode:
        return  # `certutil -K` fails where there is no key
    for name in _DATABASE_FILES:
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody else's files are in it
        folder.rmdir()
        folder.parent.rmdir()
