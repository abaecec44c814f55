"""Whole files: what a writer keeps and refuses, what a reader takes, and that neither crowds nor kills break one."""

import contextlib
import errno
import json
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import tomllib
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path

import pytest

from devproxy.errors import DevproxyError, Exit
from devproxy.problems import Problem
from devproxy.storage import files
from devproxy.storage.files import MAX_BYTES, UnreadableError, decode_text, read
from tests import require
from tests.waiting import DEADLINE, PROGRAM_DEADLINE


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def append(line: str) -> Callable[[str], str]:
    return lambda text: text + line


def start(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stderr=subprocess.PIPE)


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "config" / "registry.toml"


# What is kept


def test_a_block_is_all_that_changes_of_a_file(tmp_path: Path) -> None:
    real, link = tmp_path / "shared.env", tmp_path / ".env"
    before = BOM_UTF8 + b"A=1\r\n# caf\xe9\r\nB=2"  # a comment in Latin-1, no line end at the end
    real.write_bytes(before)
    real.chmod(0o640)
    link.symlink_to(real.name)
    assert files.update_block(link, "devproxy env", ["DB_PORT=1"])
    inode = real.stat().st_ino
    assert not files.update_block(link, "devproxy env", ["DB_PORT=1"])
    assert real.stat().st_ino == inode  # what is right already is not written
    assert real.read_bytes().startswith(before)
    assert (link.is_symlink(), mode(real)) == (True, 0o640)
    assert files.update_block(link, "devproxy env", None)
    assert real.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".env", "shared.env"]


def test_nothing_is_made_to_take_a_block_out_of(tmp_path: Path) -> None:
    assert not files.update_block(tmp_path / ".env", "devproxy env", None)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_block_is_told_and_left(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\n# >>> devproxy env >>>\nB=2\n")
    with pytest.raises(DevproxyError, match="is damaged") as caught:
        files.update_block(file, "devproxy env", ["DB_PORT=1"])
    assert caught.value.where == f"{file}:2"
    assert file.read_text() == "A=1\n# >>> devproxy env >>>\nB=2\n"


def test_a_new_file_and_its_folder_are_private(registry: Path) -> None:
    files.update(registry, append("a = 1\n"))
    assert registry.read_text() == "a = 1\n"
    assert (mode(registry), mode(registry.parent)) == (0o600, 0o700)
    assert [entry.name for entry in registry.parent.iterdir()] == ["registry.toml"]


def test_a_file_for_the_team_gets_what_the_umask_says(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    before = os.umask(0o022)
    try:
        files.write(tmp_path / "devproxy.toml", "", private=False)
    finally:
        os.umask(before)
    assert (mode(tmp_path / "devproxy.toml"), mode(tmp_path)) == (0o644, 0o755)


@pytest.mark.parametrize("kept", [0o600, 0o640, 0o444])
def test_the_mode_of_a_file_is_kept(registry: Path, kept: int) -> None:
    files.write(registry, "a = 1\n")
    registry.chmod(kept)
    files.update(registry, append("b = 2\n"))
    assert (mode(registry), registry.read_text()) == (kept, "a = 1\nb = 2\n")


def test_a_byte_order_mark_and_line_ends_are_kept(registry: Path) -> None:
    files.write(registry, "")
    registry.write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    files.update(registry, lambda text: text.removeprefix("a = 1\r\n") + "b = 2\r\n")
    assert registry.read_bytes() == b"\xef\xbb\xbfb = 2\r\n"


def test_a_symlink_is_written_through_a_chain(tmp_path: Path, registry: Path) -> None:
    real = tmp_path / "dotfiles" / "devproxy" / "registry.toml"
    real.parent.mkdir(parents=True)
    real.write_text("a = 1\n")
    real.chmod(0o644)
    (tmp_path / "dotfiles" / "link.toml").symlink_to("devproxy/registry.toml")
    registry.parent.mkdir()
    registry.symlink_to(tmp_path / "dotfiles" / "link.toml")
    files.update(registry, append("b = 2\n"))
    assert registry.is_symlink()
    assert (real.read_text(), mode(real)) == ("a = 1\nb = 2\n", 0o644)
    assert [entry.name for entry in real.parent.iterdir()] == ["registry.toml"]


def test_a_symlink_that_leads_nowhere_yet_makes_its_target(tmp_path: Path, registry: Path) -> None:
    registry.parent.mkdir()
    registry.symlink_to(tmp_path / "dotfiles.toml")
    files.write(registry, "a = 1\n")
    assert registry.is_symlink()
    assert (tmp_path / "dotfiles.toml").read_text() == "a = 1\n"


def test_the_same_text_is_not_written_again(registry: Path) -> None:
    files.write(registry, "a = 1\n")
    before = registry.stat()
    files.update(registry, lambda text: text)
    assert registry.stat() == before


def test_an_edit_that_fails_leaves_no_trace(registry: Path) -> None:
    files.write(registry, "a = 1\n")

    def edit(text: str) -> str:
        raise DevproxyError("there is one already")

    with pytest.raises(DevproxyError, match="there is one already"):
        files.update(registry, edit)
    assert registry.read_text() == "a = 1\n"
    assert len(list(registry.parent.iterdir())) == 1


def test_json_is_indented_and_ends_a_line(tmp_path: Path) -> None:
    path = tmp_path / "proxy.json"
    files.write_json(path, {"pid": 1, "http": None})
    assert path.read_text() == '{\n  "pid": 1,\n  "http": null\n}\n'
    assert json.loads(path.read_text()) == {"pid": 1, "http": None}


def test_removing_takes_the_link_and_forgives_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.remove(tmp_path / "link")
    files.remove(tmp_path / "link")
    assert [entry.name for entry in tmp_path.iterdir()] == ["real"]


# What is refused, and in which words


def test_a_file_that_is_not_utf8_is_left_alone(registry: Path) -> None:
    files.write(registry, "")
    registry.write_bytes("# ä\na = '".encode() + b"\xff'\n")
    with pytest.raises(DevproxyError, match="byte 0xff is not UTF-8") as caught:
        files.update(registry, append("x"))
    assert caught.value.where == f"{registry}:2:6"
    assert registry.read_bytes().endswith(b"\xff'\n")


def test_a_file_that_grew_too_large_is_left_alone(registry: Path) -> None:
    files.write(registry, "")
    with registry.open("wb") as file:
        file.truncate(files.MAX_BYTES + 1)
    with pytest.raises(DevproxyError, match="larger than 4 MiB"):
        files.update(registry, append("x"))


def test_a_folder_that_is_not_ours_is_refused(registry: Path, tmp_path: Path) -> None:
    registry.parent.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DevproxyError) as caught:
        files.write(registry, "")
    assert caught.value.exit_code is Exit.REFUSED


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "your disk quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, os.strerror(errno.EIO).lower()),
    ],
)
def test_what_the_disk_says_is_explained_and_the_file_is_whole(
    registry: Path, monkeypatch: pytest.MonkeyPatch, code: int, why: str
) -> None:
    files.write(registry, "a = 1\n")

    def fsync(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DevproxyError) as caught:
        files.update(registry, append("b = 2\n"))
    assert caught.value.what == f"{registry} could not be written"
    assert caught.value.why == why
    assert caught.value.fix
    assert registry.read_text() == "a = 1\n"
    assert len(list(registry.parent.iterdir())) == 1


def test_a_process_that_may_write_no_more_bytes_leaves_the_old_file(registry: Path) -> None:
    files.write(registry, "a = 1\n")
    code = """
import resource, sys
from pathlib import Path
from devproxy.errors import DevproxyError
from devproxy.storage import files
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.write(Path(sys.argv[1]), "x" * 100_000)
except DevproxyError as error:
    sys.exit(error.why)
"""
    writer = start(code, registry)
    assert writer.communicate(timeout=DEADLINE)[1] == b"the file would be larger than this process may write\n"
    assert registry.read_text() == "a = 1\n"
    assert len(list(registry.parent.iterdir())) == 1


def test_a_missing_folder_of_a_team_is_named(tmp_path: Path) -> None:
    with pytest.raises(DevproxyError) as caught:
        files.write(tmp_path / "repo" / "devproxy.toml", "", private=False)
    assert caught.value.why == "its folder does not exist"
    assert caught.value.fix == f"mkdir -p {tmp_path / 'repo'}"


def test_a_symlink_circle_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(DevproxyError) as caught:
        files.update(tmp_path / "a", append("x"))
    assert "circle" in caught.value.why


# Crowds and kills, with real processes


def test_only_what_dead_writers_left_is_cleaned_up(tmp_path: Path) -> None:
    ours = tmp_path / ".registry.toml.4711-0123abcd.tmp"
    others = {".registry.toml.swp", ".registry.toml.mine.tmp", "registry.toml.tmp", ".other.toml.1-01234567.tmp"}
    for name in (*others, ours.name):
        (tmp_path / name).write_text("")
    files.write(tmp_path / "registry.toml", "")
    assert {entry.name for entry in tmp_path.iterdir()} == {*others, "registry.toml"}


ADDER = """
import sys
from pathlib import Path
from devproxy.registry import edit
from devproxy.storage import files
path, name, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
files.update(path, lambda text: edit.add_service(text, name, {"port": port}))
"""


def test_fifty_writers_at_once_lose_nothing(registry: Path) -> None:
    files.write(registry, "# mine\n")
    writers = [start(ADDER, registry, f"s{number}", 3000 + number) for number in range(50)]
    for writer in writers:
        assert writer.communicate(timeout=PROGRAM_DEADLINE)[1] == b""
        assert writer.returncode == 0
    services = tomllib.loads(registry.read_text())["services"]
    assert services == {f"s{number}": {"port": 3000 + number} for number in range(50)}
    assert registry.read_text().startswith("# mine\n")
    assert len(list(registry.parent.iterdir())) == 1


WRITER = """
import sys
from pathlib import Path
from devproxy.storage import files
path = Path(sys.argv[1])
print("ready", flush=True)
while True:
    files.update(path, lambda text: f"n = {int(text.split()[2]) + 1}\\n# " + "x" * 50_000 + "\\n# end\\n")
"""


def test_a_writer_that_is_killed_at_any_moment_leaves_a_whole_file(registry: Path) -> None:
    chance = random.Random(7)
    files.write(registry, "n = 0\n# \n# end\n")
    before = 0
    for _ in range(25):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(registry)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout:
            assert writer.stdout.readline() == b"ready\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                writer.wait(chance.uniform(0, 0.03))  # the moment of the kill, not a synchronisation
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        text = registry.read_text()
        assert text.endswith("# end\n")
        assert tomllib.loads(text)["n"] >= before
        before = tomllib.loads(text)["n"]
    assert before > 0
    files.update(registry, append(""))
    assert [entry.name for entry in registry.parent.iterdir()] == ["registry.toml"]


# Opening files that people write: what is read, what is refused, and that nothing blocks


def refused(path: Path) -> Problem:
    with pytest.raises(UnreadableError) as caught:
        read(path)
    assert caught.value.problem.file == str(path)
    assert caught.value.problem.fix
    return caught.value.problem


def test_a_file_is_read_through_symlinks(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"a = 1\r\n")
    (tmp_path / "link").symlink_to("real")
    assert read(tmp_path / "link") == b"a = 1\r\n"


@pytest.mark.parametrize("name", ["missing", "missing/registry.toml", "file/registry.toml", "dangling"])
def test_what_is_not_there_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to("missing")
    assert read(tmp_path / name) is None


def test_a_folder_is_refused(tmp_path: Path) -> None:
    problem = refused(tmp_path)
    assert (problem.code, problem.message) == ("not-a-file", "this is a folder")


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "registry.toml")
    assert refused(tmp_path / "registry.toml").message == "this is a named pipe"


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("registry.toml")
        assert refused(tmp_path / "registry.toml").message == "this is a socket"


def test_a_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "registry.toml").symlink_to("/dev/zero")
    assert refused(tmp_path / "registry.toml").message == "this is a device"


def test_four_mebibytes_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    path.write_bytes(b"#" * MAX_BYTES)
    assert read(path) == b"#" * MAX_BYTES
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert refused(path).code == "too-large"


def test_a_file_that_does_not_say_its_size_is_read_up_to_the_limit() -> None:
    require.linux()
    assert read(Path("/proc/self/status"))


def test_symlinks_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")
    problem = refused(tmp_path / "a")
    assert (problem.code, problem.why) == ("not-readable", "its symlinks run in a circle")


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path / name).code == "not-readable"


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "my registry.toml"
    path.write_bytes(b"")

    def deny(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", deny)
    problem = refused(path)
    assert (problem.why, problem.fix) == ("permission denied", f"chmod u+r '{path}'")


@pytest.mark.parametrize(("owner", "reader", "is_read"), [(7, 7, True), (0, 7, True), (7, 0, True), (8, 7, False)])
def test_whose_the_file_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, reader: int, is_read: bool
) -> None:
    require.root()
    path = tmp_path / "devproxy.toml"
    path.write_bytes(b"x")
    os.chown(path, owner, owner)
    monkeypatch.setattr(os, "geteuid", lambda: reader)
    if is_read:
        assert read(path) == b"x"
    else:
        problem = refused(path)
        assert (problem.code, problem.message) == ("foreign-owner", "the file belongs to another user (8)")


def test_text_loses_its_byte_order_mark() -> None:
    assert decode_text(b"\xef\xbb\xbfa = 1", Path("/f")) == decode_text(b"a = 1", Path("/f")) == "a = 1"


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [(b"\xff", 1, 1), (b"\xef\xbb\xbf\xff", 1, 1), ("# ä\nä ".encode() + b"\x80 x", 2, 3), ("é".encode()[:1], 1, 1)],
)
def test_the_place_of_a_byte_that_is_not_utf8(content: bytes, line: int, column: int) -> None:
    with pytest.raises(UnreadableError) as caught:
        decode_text(content, Path("/f"))
    problem = caught.value.problem
    assert (problem.code, problem.line, problem.column) == ("not-utf-8", line, column)


# A file of the system's


@pytest.fixture
def system_file(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "hosts"
    path.parent.mkdir()
    path.write_bytes(b"127.0.0.1 localhost\r\n# caf\xe9")
    path.chmod(0o664)
    return path


def twice(content: bytes) -> bytes:
    return content.removesuffix(b"+") + b"+"


def test_a_file_of_the_systems_keeps_its_mode_owner_and_bytes(system_file: Path) -> None:
    before = system_file.stat()
    assert files.change_bytes(system_file, lambda content: content + b"\xff") == files.Changed()
    assert system_file.read_bytes() == b"127.0.0.1 localhost\r\n# caf\xe9\xff"
    after = system_file.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino
    assert files.change_bytes(system_file, lambda content: content) is None
    assert [file.name for file in system_file.parent.iterdir()] == ["hosts"]


@pytest.mark.skipif(sys.platform == "win32", reason="owners")
def test_a_file_of_another_users_stays_theirs(system_file: Path) -> None:
    require.root()
    os.chown(system_file, 65533, 65532)
    assert files.change_bytes(system_file, twice)
    status = system_file.stat()
    assert (status.st_uid, status.st_gid, mode(system_file)) == (65533, 65532, 0o664)


@pytest.mark.skipif(sys.platform != "linux", reason="extended attributes")
def test_what_else_the_file_system_knows_of_a_file_is_kept(system_file: Path) -> None:
    try:
        os.setxattr(system_file, "user.label", b"net_conf_t")
    except OSError:
        require.missing("a file system with extended attributes")
    assert files.change_bytes(system_file, twice)
    assert os.getxattr(system_file, "user.label") == b"net_conf_t"


def test_whoever_may_not_write_hears_it_from_the_system(system_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(files, "_replace", refuse)
    with pytest.raises(PermissionError):
        files.change_bytes(system_file, twice)


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_one_that_was_missing_may_be_read_by_everybody(system_file: Path) -> None:
    system_file.unlink()
    before = os.umask(0o077)
    try:
        assert files.change_bytes(system_file, twice)
    finally:
        os.umask(before)
    assert (mode(system_file), system_file.read_bytes()) == (0o644, b"+")


def test_a_file_of_the_systems_may_be_large(system_file: Path) -> None:
    content = b"0.0.0.0 ads.example\n" * (files.MAX_BYTES // 10)
    system_file.write_bytes(content)
    assert files.change_bytes(system_file, twice)
    assert system_file.read_bytes() == content + b"+"


def test_a_copy_that_only_root_may_read_is_a_matter_of_rights(
    system_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = system_file.with_name("hosts.devproxy-copy")
    copy.write_bytes(b"")
    opened = os.open

    def closed(path: Path, *flags: int) -> int:
        if path == copy:
            raise PermissionError(errno.EACCES, "no")
        return opened(path, *flags)

    monkeypatch.setattr(os, "open", closed)
    with pytest.raises(PermissionError):
        files.change_bytes(system_file, twice)


@pytest.fixture
def mounted(system_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as a mount point: nothing can be renamed over it."""
    rename = files._rename

    def busy(temporary: Path, target: Path) -> None:
        if target == system_file:
            raise OSError(errno.EBUSY, "busy")
        rename(temporary, target)

    monkeypatch.setattr(files, "_rename", busy)
    return system_file


def test_a_mount_point_is_written_in_place(mounted: Path) -> None:
    before = mounted.stat()
    copy = mounted.with_name("hosts.devproxy-copy")
    for edit in (twice, lambda content: content[:9]):
        old = mounted.read_bytes()
        assert files.change_bytes(mounted, edit) == files.Changed(copy)
        assert mounted.read_bytes() == edit(old)
    after = mounted.stat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert [file.name for file in mounted.parent.iterdir()] == ["hosts"]


def test_no_copy_is_left_of_one_that_cannot_be_written(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def read_only(path: Path, flags: int, mode: int = 0o777) -> int:
        if path == mounted and flags & os.O_WRONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(path, flags, mode)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", read_only)
        with pytest.raises(OSError, match="Read-only"):
            files.change_bytes(mounted, lambda content: content + b"x")
    assert [file.name for file in mounted.parent.iterdir()] == ["hosts"]


def test_while_it_is_written_in_place_the_copy_is_there(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, copy = mounted.read_bytes(), mounted.with_name("hosts.devproxy-copy")
    sync = os.fsync

    def killed(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == mounted.stat().st_ino:
            assert copy.read_bytes() == old
            assert mode(copy) == 0o600
            raise KeyboardInterrupt
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        files.change_bytes(mounted, twice)
    monkeypatch.undo()
    assert copy.exists()
    assert mounted.read_bytes() == twice(old)  # whole, so that the copy is of no more use
    files.change_bytes(mounted, twice)
    assert not copy.exists()


def test_one_that_may_be_half_written_is_not_written_again(system_file: Path) -> None:
    copy = system_file.with_name("hosts.devproxy-copy")
    copy.write_bytes(b"127.0.0.1 localhost\n10.0.0.1 printer\n")
    with pytest.raises(DevproxyError, match="cut short") as caught:
        files.change_bytes(system_file, twice)
    assert str(copy) in caught.value.why
    assert copy.exists()
    assert system_file.read_bytes() == b"127.0.0.1 localhost\r\n# caf\xe9"
