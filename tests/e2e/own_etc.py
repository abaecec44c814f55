"""A machine whose /etc is the test's own: a copy in a mount namespace (mount_namespaces(7)), so that the hosts file
which real programs read may be written.

How it works: `unshare --mount` gives a namespace to a process that waits for its standard input to end; there a copy of
/etc is bound over it. `nsenter` runs a program inside. With `mount_point` the hosts file alone is bound once more, as
containers have it. Names come from this file alone (nsswitch.conf), so that no name server is asked. Other folders
of the system's may be copied and bound the same way (`also`), and the network may be the test's own as well: loopback,
with more addresses on it (`addresses`).
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import require
from tests.cli.command import Home, Result
from tests.other_user import UID
from tests.waiting import PROGRAM_DEADLINE

BEFORE = b"127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n# caf\xe9 \xff\n"


class OwnEtc:
    """The namespace; `home` is whose registry is read in there, in a folder that other users may enter."""

    def __init__(self, folder: Path, *, mount_point: bool, also: Sequence[str] = (), addresses: Sequence[str] = ()):
        self.folder = folder
        self.home = Home(folder / "home")
        self.home.folder.mkdir(mode=0o700)
        self.etc = folder / "etc"
        shutil.copytree("/etc", self.etc, symlinks=True, ignore_dangling_symlinks=True)
        self._seen = folder / "mounted" if mount_point else self.etc / "hosts"
        self.write(BEFORE)
        (self.etc / "nsswitch.conf").write_text("passwd: files\nhosts: files\n", "utf-8")
        bind = f"mount --bind {self.etc} /etc" + (f" && mount --bind {self._seen} /etc/hosts" if mount_point else "")
        for path in also:
            copy = folder / path.strip("/").replace("/", "-")
            shutil.copytree(path, copy, symlinks=True)
            bind += f" && mount --bind {copy} {path}"
        if addresses:
            added = (f"ip address add {address}/32 dev lo" for address in addresses)
            bind += " && " + " && ".join(("ip link set lo up", *added))
        self._spaces = ["mnt", *(["net"] if addresses else [])]
        self._holder = subprocess.Popen(
            ["unshare", "--mount", *(["--net"] if addresses else []), "sh", "-c", f"{bind} && echo up && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"up\n"

    @property
    def hosts(self) -> Path:
        """The hosts file, as it is seen from outside."""
        return self._seen

    def write(self, content: bytes) -> None:
        """Make this the hosts file, by a writer of another hand."""
        self._seen.write_bytes(content)

    def command(self, argv: Sequence[str]) -> list[str]:
        options = {"mnt": "--mount", "net": "--net"}
        return ["nsenter", *(f"{options[one]}=/proc/{self._holder.pid}/ns/{one}" for one in self._spaces), *argv]

    def run(self, *argv: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Result:
        done = subprocess.run(
            self.command(argv),
            env=env or self.home.environment(),
            input=stdin,
            capture_output=True,
            timeout=PROGRAM_DEADLINE,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def devproxy(self, *argv: str, stdin: bytes = b"", **extra: str) -> Result:
        return self.run(*PROGRAM, *argv, env=self.home.environment(**extra), stdin=stdin)

    def good(self, *argv: str) -> str:
        """What a program prints that must succeed."""
        done = self.run(*argv)
        assert done.code == 0, done.err
        return done.out.strip()

    def names(self, *argv: str) -> dict[str, str]:
        """By name, its last address, as `devproxy hosts --json` says."""
        row: dict[str, Any] = json.loads(self.devproxy("hosts", "--json", *argv).out)
        return {one["name"]: one["address"] for one in row["names"]}

    def as_user(self, *argv: str) -> list[str]:
        """`argv` in here, as a user without rights, who owns the home from now on."""
        subprocess.run(["chown", "-R", f"{UID}:{UID}", str(self.home.folder)], check=True)
        command = self.command(["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"])
        trial = [*command, sys.executable, "-c", "import devproxy.cli.app, msgspec"]
        if subprocess.run(trial, env=self.home.environment(), capture_output=True, check=False).returncode:
            require.missing("a Python that other users may run")
        return [*command, *argv]

    def close(self) -> None:
        self._holder.communicate()


PROGRAM = (sys.executable, "-m", "devproxy")


@contextlib.contextmanager
def own_etc(*, mount_point: bool = False, also: Sequence[str] = (), addresses: Sequence[str] = ()) -> Iterator[OwnEtc]:
    require.linux()
    require.root()
    for name in ("unshare", "nsenter", "setpriv", *(["ip"] if addresses else [])):
        require.program(name)
    folder = Path(tempfile.mkdtemp(prefix="devproxy-etc-"))
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        made = OwnEtc(folder, mount_point=mount_point, also=also, addresses=addresses)
        stack.callback(made.close)
        yield made


def sudo_stand_in(folder: Path) -> Path:
    """A `sudo` that keeps what it is to run, and its standard input, instead of running it."""
    tools = folder / "bin"
    tools.mkdir()
    sudo = tools / "sudo"
    sudo.write_text(f"#!/bin/sh\nprintf '%s\\0' \"$@\" > {folder}/argv\ncat > {folder}/stdin\n", "utf-8")
    sudo.chmod(0o755)
    folder.chmod(0o777)
    return tools
