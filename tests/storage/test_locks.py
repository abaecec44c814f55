"""The lock of the writers."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from devproxy.errors import DevproxyError
from devproxy.storage import locks
from tests.waiting import PROGRAM_DEADLINE


def test_the_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    with locks.exclusive(tmp_path / "registry.toml"):
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locks.exclusive(tmp_path / "missing" / "registry.toml"):
        pass


COUNTER = """
import sys
from pathlib import Path
from devproxy.storage import locks
path = Path(sys.argv[1])
for _ in range(200):
    with locks.exclusive(path):
        path.write_text(str(int(path.read_text()) + 1))
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    counters = [subprocess.Popen([sys.executable, "-c", COUNTER, str(path)]) for _ in range(4)]
    assert [counter.wait(PROGRAM_DEADLINE) for counter in counters] == [0, 0, 0, 0]
    assert path.read_text() == "800"


HOLDER = """
import sys, time
from pathlib import Path
from devproxy.storage import locks
with locks.exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_holder_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "x")], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
        with locks.exclusive(tmp_path / "x"):
            pass
        holder.wait()


def test_a_lock_that_is_never_let_go_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "WAIT", 0.05)
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        with pytest.raises(DevproxyError, match="is locked") as caught, locks.exclusive(tmp_path / "x"):
            pass
        assert caught.value.fix == f"see who it is: fuser -v {tmp_path}"
    finally:
        os.close(holder)
    monkeypatch.setattr(locks, "WAIT", 30.0)
    with locks.exclusive(tmp_path / "x"):  # a wait that was given up does not come back as a lock
        pass


def test_a_folder_that_cannot_be_locked_gets_a_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def like_nfs(descriptor: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", like_nfs)
    with locks.exclusive(tmp_path / "registry.toml"):
        [file] = tmp_path.iterdir()
        assert file.name == ".registry.toml.lock"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


HOLDS_FILE = """
import sys, time
from pathlib import Path
from devproxy.storage import locks
held = locks.hold(Path(sys.argv[1]), 0)
print("held" if held else "taken", flush=True)
time.sleep(60)
"""


def test_a_file_is_held_by_one_process_until_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "proxy.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDS_FILE, str(file)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert locks.hold(file, 0.05) is None
        assert locks.hold(file, 0) is None  # a wait that was given up holds nothing
        holder.kill()
        mine = locks.hold(file, 30)
    assert mine is not None
    assert locks.hold(file, 0) is None
    mine.release()
    mine.release()
    again = locks.hold(file, 0)
    assert again is not None
    again.release()


def test_where_there_are_no_locks_everybody_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without)
    both = [locks.hold(tmp_path / "proxy.lock", 0) for _ in range(2)]
    assert all(both)
    for one in both:
        assert one is not None
        one.release()


def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        locks.hold(tmp_path / "missing" / "proxy.lock", 0)
