"""Every folder and file that devproxy owns.

Lives here: where things are, and the check that a folder is ours alone.
Not here: reading or writing them (`storage/files.py`, `registry/loader.py`).
"""

import os
import shlex
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from devproxy.errors import DevproxyError, Exit

PROJECT_FILE = "devproxy.toml"
LOCAL_FILE = "devproxy.local.toml"
SCHEMA_FILE = "registry.schema.json"


def _xdg(variable: str, default: str) -> Path:
    """As platformdirs has it (XDG Base Directory Specification), without the 5 ms of its import."""
    base = os.environ.get(variable, "")
    return (Path(base) if os.path.isabs(base) else Path.home() / default) / "devproxy"  # noqa: PTH117 (it is text)


@dataclass(frozen=True, slots=True)
class Paths:
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

    @property
    def registry(self) -> Path:
        return self.config / "registry.toml"

    @property
    def leases(self) -> Path:
        return self.state / "leases"

    @property
    def proxy(self) -> Path:
        return self.state / "proxy.json"

    @property
    def health(self) -> Path:
        return self.state / "health.json"

    @property
    def history(self) -> Path:
        return self.state / "history.jsonl"

    @property
    def log(self) -> Path:
        return self.state / "log"


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
            fix = "run devproxy without sudo" if us == 0 else "point DEVPROXY_HOME at a folder of your own"
            raise _refused(folder, why, fix)
    if stat.S_IMODE(target.st_mode) & 0o077 and not stat.S_ISLNK(link.st_mode):
        folder.chmod(0o700)


def quote(path: Path) -> str:
    """`path` as it can be pasted into a shell."""
    return shlex.quote(str(path))


def _no_folder(folder: Path) -> DevproxyError:
    return _refused(folder, "something that is not a folder stands at this path", f"ls -ld {quote(folder)}")


def _refused(folder: Path, why: str, fix: str) -> DevproxyError:
    return DevproxyError(f"{folder} is not a folder of yours", why=why, fix=fix, exit_code=Exit.REFUSED)
