"""Opening files that people write: what is read, what is refused, and that nothing blocks."""

import os
import socket
from pathlib import Path

import pytest

from devproxy.problems import Problem
from devproxy.storage.files import MAX_BYTES, UnreadableError, decode_text, read
from tests import require


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
