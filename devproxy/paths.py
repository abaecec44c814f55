"""Every folder and file that devproxy owns, and what the files of a project are called.

Lives here: where things are, a property or function each, and the check that a folder is ours alone.
Not here: reading or writing them (`storage/files.py`, `registry/loader.py`).
"""

import os
import stat
import sys
from pathlib import Path

import msgspec

from devproxy.errors import DevproxyError, Exit
from devproxy.text import quote

REGISTRY_FILE = "registry.toml"
PROJECT_FILE = "devproxy.toml"
LOCAL_FILE = "devproxy.local.toml"
PROJECT_FILES = (PROJECT_FILE, LOCAL_FILE)
SCHEMA_FILE = "registry.schema.json"
ENDING = ".ending"


def _xdg(variable: str, default: str) -> Path:
    """As platformdirs has it (XDG Base Directory Specification), without the 5 ms of its import."""
    base = os.environ.get(variable, "")
    return (Path(base) if os.path.isabs(base) else Path.home() / default) / "devproxy"  # noqa: PTH117 (it is text)


class Paths(msgspec.Struct, frozen=True):
    """The two folders, and what stands in them."""

    config: Path
    state: Path

    @classmethod
    def from_environment(cls) -> "Paths":
        """`DEVPROXY_HOME` holds both folders where it is set; else the platform's own folders do."""
        home = os.environ.get("DEVPROXY_HOME")
        if home:
            base = Path(home).expanduser().absolute()
            return cls(base / "config", base / "state")
        if sys.platform == "linux":
            return cls(_xdg("XDG_CONFIG_HOME", ".config"), _xdg("XDG_STATE_HOME", ".local/state"))
        import platformdirs

        return cls(
            Path(platformdirs.user_config_dir("devproxy", appauthor=False)),
            Path(platformdirs.user_state_dir("devproxy", appauthor=False)),
        )

    # config/

    @property
    def registry(self) -> Path:
        """What you and `add`, `rm`, `link` and `unlink` write."""
        return self.config / REGISTRY_FILE

    # state/

    @property
    def proxy(self) -> Path:
        """What the running proxy says of itself."""
        return self.state / "proxy.json"

    @property
    def claim(self) -> Path:
        """Locked by the process that serves this folder."""
        return self.state / "proxy.lock"

    @property
    def health(self) -> Path:
        """What its monitor knows of each service."""
        return self.state / "health.json"

    @property
    def history(self) -> Path:
        """What happened to services, an event a line."""
        return self.state / "history.jsonl"

    # state/leases/

    @property
    def leases(self) -> Path:
        """Which services `run` and `up` have running, a file each."""
        return self.state / "leases"

    def lease(self, service: str) -> Path:
        return self.leases / f"{service}.toml"

    # state/runs/

    @property
    def runs(self) -> Path:
        """What became of each service's command, a file each."""
        return self.state / "runs"

    def run(self, service: str) -> Path:
        return self.runs / f"{service}.json"

    # state/up/

    @property
    def groups(self) -> Path:
        """What each running `devproxy up` runs."""
        return self.state / "up"

    def group(self, pid: int) -> Path:
        return self.groups / f"{pid}.json"

    def group_requests(self, pid: int) -> Path:
        """What an `up` is asked to do, a verb and a service a line."""
        return self.groups / f"{pid}.requests"

    def attach_pipes(self, pid: int) -> tuple[Path, Path]:
        """What is typed in the `devproxy attach` of process `pid`, and what it is to show."""
        return self.groups / f"{pid}.typed", self.groups / f"{pid}.shown"

    @property
    def group_turn(self) -> Path:
        """A name in the folder that is locked while an `up` looks at what the others run."""
        return self.groups / "turn" / "up"

    # state/ports/

    @property
    def reserved_ports(self) -> Path:
        return self.state / "ports" / "held" / "ports.json"

    @property
    def port_choice(self) -> Path:
        """A name in the folder that is locked while a port is chosen; the file of ports has a lock of its own."""
        return self.state / "ports" / "choice"

    # state/ca/

    @property
    def authorities(self) -> Path:
        """The local certificate authorities, a folder each, and which of them are trusted where."""
        return self.state / "ca"

    @property
    def trusted(self) -> Path:
        """Which stores were asked to trust our authorities, and do."""
        return self.authorities / "trusted.json"

    # state/bundles/: files of CA certificates for the programs that `run` and `up` start

    @property
    def bundles(self) -> Path:
        return self.state / "bundles"

    @property
    def own_roots(self) -> Path:
        """The roots of our own authorities alone."""
        return self.bundles / "devproxy.pem"

    def bundle(self, label: str) -> Path:
        """The system's and ours; `label` tells those apart that have more than that."""
        return self.bundles / (f"bundle-{label}.pem" if label else "bundle.pem")

    # state/log/: devproxy's own logs beside those of the services

    @property
    def log(self) -> Path:
        return self.state / "log"

    @property
    def proxy_log(self) -> Path:
        """What the proxy has to say."""
        return self.log / "devproxy.log"

    @property
    def access_log(self) -> Path:
        return self.log / "access.log"

    @property
    def serve_output(self) -> Path:
        """What `devproxy serve` in the background has printed since it was started."""
        return self.log / "serve.log"

    @property
    def group_output(self) -> Path:
        """What the last `devproxy up --detach` has printed."""
        return self.log / "up.log"

    def on_request_output(self, service: str) -> Path:
        """What the `devproxy up` that a request has started has printed."""
        return self.log / "on-request" / f"{service}.log"

    def service_log(self, service: str) -> Path:
        """What a service has printed. No service's name has a `_` in it, so that none gets a log of devproxy's own."""
        file = self.log / f"{service}.log"
        ours = (self.proxy_log, self.access_log, self.serve_output, self.group_output)
        return file.with_name(f"{service}_.log") if file in ours else file

    def make(self, folder: Path) -> Path:
        """Make `folder`, and those of ours around it, private, and return it. Raises as `ensure_private` does."""
        for one in (*reversed(folder.parents), folder):
            if one.is_relative_to(self.config) or one.is_relative_to(self.state):
                ensure_private(one)
        return folder


def ending_file(lease: Path, group: int) -> Path:
    """Where a dead lease is kept while what is left of its process group ends."""
    return lease.with_name(f"{lease.stem}.{group}{ENDING}")


# Files of a project, which lie where it lies.


def local_file(project: Path | str) -> Path:
    """Your own file beside a project's."""
    return Path(project).with_name(LOCAL_FILE)


def project_file(file: Path | str) -> Path:
    """The project's file that a file of a project belongs to: the one beside your own, else itself."""
    return Path(file).with_name(PROJECT_FILE) if Path(file).name == LOCAL_FILE else Path(file)


def schema_file(beside: Path) -> Path:
    """The schema that the first line of a registry file names, for editors."""
    return beside.with_name(SCHEMA_FILE)


def nearest_project(folder: Path) -> Path | None:
    """The project file of `folder` or of the nearest folder above that has one."""
    return next((file for at in (folder, *folder.parents) if (file := at / PROJECT_FILE).is_file()), None)


def hosts_file() -> Path:
    """The system's file of names and addresses (hosts(5)), which every program's resolver reads."""
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "drivers", "etc", "hosts")
    return Path("/etc/hosts")


def ensure_private(folder: Path) -> Path:
    """Make `folder` with mode 0700 if it is missing, and return it. Raises OSError, and as `check_private` does."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:  # a file, or a symlink that leads nowhere
        raise _refused(
            folder, "something that is not a folder stands at this path", f"ls -ld {quote(folder)}"
        ) from None
    check_private(folder)
    return folder


def is_root() -> bool:
    """Whether there is nothing that more rights would add."""
    return sys.platform != "win32" and os.geteuid() == 0


def sudo_caller() -> int | None:
    """The user who runs us as root by sudo; None where nobody does."""
    caller = os.environ.get("SUDO_UID", "") if is_root() else ""
    return int(caller) if caller.isascii() and caller.isdigit() else None


def as_root(command: str) -> str:
    """`command`, which takes the rights of root, as whoever runs us types it: root needs no sudo, and where that is not
    installed su(1) asks for root's password."""
    if is_root():
        return command
    import shutil

    return f"sudo {command}" if shutil.which("sudo") is not None else f"su -c {quote(command)}"


def check_private(folder: Path) -> None:
    """Raise DevproxyError (exit 4) unless `folder` is ours or missing; take other users' rights to it away (0700).

    Refused are a folder that belongs to another user, and a symlink that another user made, wherever it leads: whoever
    owns it could change what devproxy routes and runs. A symlink of ours to a folder of ours is fine, and its mode is
    left alone. Windows keeps the profile's folders private by itself: nothing is checked there.
    """
    if sys.platform == "win32":
        return
    try:
        link = folder.lstat()
        target = folder.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(target.st_mode):
        raise _no_folder(folder)
    us = os.geteuid()
    for status in (link, target):
        if status.st_uid != us:
            why = f"it belongs to user {status.st_uid}, who could change what devproxy routes (you are user {us})"
            fix = "point DEVPROXY_HOME at a folder of your own"
            if us == 0:
                by_sudo = sudo_caller() is not None
                fix = "run devproxy without sudo" if by_sudo else f"run devproxy as user {status.st_uid}, or {fix}"
            raise _refused(folder, why, fix)
    if stat.S_IMODE(target.st_mode) & 0o077 and not stat.S_ISLNK(link.st_mode):
        folder.chmod(0o700)


def _no_folder(folder: Path) -> DevproxyError:
    return _refused(folder, "something that is not a folder stands at this path", f"ls -ld {quote(folder)}")


def _refused(folder: Path, why: str, fix: str) -> DevproxyError:
    return DevproxyError(f"{folder} is not a folder of yours", why=why, fix=fix, exit_code=Exit.REFUSED)
