"""Where events cannot be had, or do not tell everything: the files are looked at, and a problem says so."""

# ruff: noqa: ASYNC240 - a write that blocks the loop for a moment is as good as any
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devproxy.paths import as_root
from devproxy.problems import Problem
from devproxy.registry import watch
from devproxy.registry.watch import FolderEvents, Signature, file_systems, is_remote
from tests import require
from tests.registry.reader import reading, replace

START = FolderEvents.start


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders can be watched, and no event ever comes: another machine makes the changes."""
    monkeypatch.setattr(FolderEvents, "_tell", lambda *_: None)
    monkeypatch.setattr(watch, "TICK", 3600.0)
    monkeypatch.setattr(watch, "POLL", 0.02)


# Which way


@pytest.mark.usefixtures("events_alone")
async def test_where_events_can_be_had_nothing_is_polled(config: Path) -> None:
    file = config / "registry.toml"
    async with reading(file) as reader:
        replace(file, "1")
        await reader.until("1")
        assert reader.reports == [()]


@pytest.mark.usefixtures("polling_alone")
async def test_without_a_watch_left_the_files_are_polled_and_a_problem_says_so(config: Path) -> None:
    file = config / "registry.toml"
    async with reading(file) as reader:
        replace(file, "1")
        await reader.until("1")
        (problem,) = await reader.problems(1)
    assert problem == Problem(
        code="polled",
        severity="warning",
        file=str(config.resolve()),
        message="changes in this folder, and in all others with registry files, are looked for every 0.02 s, because "
        "they are not told",
        why="other programs have taken every file watch that the system gives",
        fix=f"raise the limit: {as_root('sysctl fs.inotify.max_user_watches=1048576')}",
    )


@pytest.mark.usefixtures("polling_alone")
async def test_folders_that_can_be_watched_later(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = FolderEvents.start
    attempts = []

    async def start(events: FolderEvents) -> None:
        attempts.append(events)
        await (refuse if len(attempts) < 3 else START)(events)

    monkeypatch.setattr(FolderEvents, "start", start)
    monkeypatch.setattr(watch, "RETRY", 0.05)
    monkeypatch.setattr(watch, "TICK", 3600.0)
    file = config / "registry.toml"
    async with reading(file) as reader:
        await reader.problems(0)
        assert [len(problems) for problems in reader.reports] == [1, 1, 0]
        replace(file, "1")
        await reader.until("1")


@pytest.mark.usefixtures("events_alone")
async def test_a_folder_that_goes_away_before_it_is_watched(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = 0

    async def start(events: FolderEvents) -> None:
        nonlocal gone
        gone += 1
        if gone < 5:
            raise FileNotFoundError("No such file or directory")
        await START(events)

    monkeypatch.setattr(FolderEvents, "start", start)
    file = config / "registry.toml"
    async with reading(file) as reader:
        await reader.problems(0)
        replace(file, "1")
        await reader.until("1")
        assert reader.reports == [()]


@pytest.mark.usefixtures("polling_alone")
async def test_a_folder_that_is_there_and_cannot_be_found(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(_: FolderEvents) -> None:
        raise FileNotFoundError("No such file or directory")

    monkeypatch.setattr(FolderEvents, "start", start)
    file = config / "registry.toml"
    async with reading(file) as reader:
        (problem,) = await reader.problems(1)
        replace(file, "1")
        await reader.until("1")
    assert problem.why == "the system says: No such file or directory"


@pytest.mark.usefixtures("silent")
async def test_a_remote_file_system(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require.linux()
    kind = file_systems(Path("/proc/self/mountinfo").read_text()).get(config.stat().st_dev)
    if kind is None:
        require.missing("a folder whose device mountinfo knows")
    monkeypatch.setattr(watch, "REMOTE", {kind})
    file = config / "registry.toml"
    async with reading(file) as reader:
        for content in ("1", "22"):
            file.write_text(content)
            await reader.until(content)
        (problem,) = await reader.problems(1)
    assert problem.file == str(config.resolve())
    assert problem.why == f"a file system of type {kind} does not tell of every change"


@pytest.mark.usefixtures("silent")
async def test_a_folder_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    require.linux()
    file = tmp_path / os.fsdecode(b"\xff") / "registry.toml"
    file.parent.mkdir()
    async with reading(file) as reader:
        file.write_text("1")
        await reader.until("1")
        (problem,) = await reader.problems(1)
    assert problem.why == "its name is not UTF-8"


# What polling sees


@pytest.mark.usefixtures("silent")
async def test_events_that_got_lost_are_made_up_for_once_a_tick(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "TICK", 0.02)
    monkeypatch.setattr(watch, "POLL", 3600.0)
    file = config / "registry.toml"
    async with reading(file) as reader:
        replace(file, "1")
        await reader.until("1")


@pytest.mark.usefixtures("polling_alone")
async def test_two_changes_within_a_tick_of_the_clock(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def coarse(path: Path) -> Signature | None:
        return (path.stat().st_size,) if path.exists() else None

    monkeypatch.setattr(watch, "signature", coarse)
    monkeypatch.setattr(watch, "SETTLE", 0.1)
    file = config / "registry.toml"
    async with reading(file) as reader:

        def write_again() -> None:
            if file.read_text() == "11":
                file.write_text("22")

        reader.on_turn = write_again
        file.write_text("11")
        await reader.until("22")


@pytest.mark.usefixtures("polling_alone")
async def test_a_file_in_a_folder_that_counts_is_written_in_place(config: Path, tmp_path: Path) -> None:
    lease = tmp_path / "leases" / "web.toml"
    lease.parent.mkdir()
    lease.write_text("0")
    async with reading(config / "registry.toml", lease.parent) as reader:
        before = reader.turns
        lease.write_text("1")
        await reader.more(before)


# Whose file system it is


MOUNTINFO = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
36 22 0:41 / /mnt/c rw,noatime - 9p C:\\134 rw,dirsync,aname=drvfs;path=C:\\
40 22 0:52 / /home/with\\040-\\040dash rw master:7 propagate_from:2 - fuse.sshfs me@host:/srv rw
"""


def test_file_systems_by_device() -> None:
    found = file_systems(MOUNTINFO)
    assert found == {os.makedev(254, 1): "ext4", os.makedev(0, 41): "9p", os.makedev(0, 52): "fuse.sshfs"}


field = st.text(st.characters(exclude_characters=" \n"), min_size=1).filter(lambda text: text != "-")


@given(st.integers(0, 4095), st.integers(0, 2**20 - 1), st.lists(field, max_size=3), field, field)
def test_any_line_of_mountinfo_is_read(major: int, minor: int, tags: list[str], kind: str, source: str) -> None:
    line = " ".join(["36", "22", f"{major}:{minor}", "/", "/mnt", "rw", *tags, "-", kind, source, "rw"])
    assert file_systems(line) == {os.makedev(major, minor): kind}


@given(st.text(alphabet="0123456789: -/a\n") | st.text())
@example("36 22 0:41")
@example("1 1 99999999999999999999:1 / / rw - ext4 x rw")
def test_nonsense_is_no_file_system(text: str) -> None:
    assert all(kind for kind in file_systems(text).values())


@pytest.mark.parametrize("kind", ["9p", "drvfs", "nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.sshfs", "virtiofs"])
def test_file_systems_that_change_behind_the_kernel(kind: str) -> None:
    assert is_remote(kind)


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "xfs", "zfs", "tmpfs", "overlay", "fuseblk", "vfat", ""])
def test_file_systems_of_this_kernel(kind: str) -> None:
    assert not is_remote(kind)
