"""Every folder and file that devproxy owns.

Lives here: where things are, and the check that a folder is ours alone.
Not here: reading or writing them (`registry/store.py`, `registry/load.py`).
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from devproxy.errors import DevproxyError, Exit

PROJECT_FILE = "devproxy.toml"
LOCAL_FILE = "devproxy.local.toml"


@dataclass(frozen=True, slots=True)
class Paths:
    """The two folders, and what stands in them (DESIGN §3, "Files on disk")."""

    config: Path
    state: Path

    @classmethod
    def from_environment(cls) -> "Paths":
        """`DEVPROXY_HOME` holds both folders where it is set; else the platform's own folders do."""
        home = os.environ.get("DEVPROXY_HOME")
        if home:
            base = Path(home).expanduser().absolute()
            return cls(base / "config", base / "state")
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
    def log(self) -> Path:
        return self.state / "log"


def ensure_private(folder: Path) -> Path:
    """Make `folder` with mode 0700 if it is missing, and return it.

    Raises DevproxyError (exit 4) where it is a symlink that another user made, is not a folder, or belongs to
    another user: whoever owns it could change what devproxy routes or runs.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_private(folder)
    return folder


def check_private(folder: Path) -> None:
    """Raise DevproxyError (exit 4) unless `folder` is ours, or does not exist; tighten its mode to 0700 if it is ours."""
    if not hasattr(os, "getuid"):
        return
    try:
        link = folder.lstat()
        target = folder.stat()
    except FileNotFoundError:
        return
    us = os.getuid()
    foreign = target.st_uid != us or (stat.S_ISLNK(link.st_mode) and link.st_uid != us)
    if foreign or not stat.S_ISDIR(target.st_mode):
        owner = link.st_uid if foreign else us
        raise DevproxyError(
            f"{folder} is not a folder of yours",
            why=f"it belongs to user {owner}, and whoever owns it could change what devproxy routes"
            if foreign
            else "something that is not a folder stands at this path",
            fix=f"remove it, or point DEVPROXY_HOME at a folder of your own: rm -r {folder}",
            exit_code=Exit.REFUSED,
        )
    if stat.S_IMODE(target.st_mode) & 0o077 and not stat.S_ISLNK(link.st_mode):
        folder.chmod(0o700)
