"""What the Linux kernel says about a folder."""

# ruff: noqa: ASYNC240 - a write that blocks the loop for a moment is as good as any
import asyncio
import errno
import os
from pathlib import Path

import pytest

from devproxy.registry.inotify import Inotify
from tests import require
from tests.waiting import DEADLINE


@pytest.fixture(autouse=True)
def linux() -> None:
    require.linux()


class Ear:
    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self.overflowed = False
        self._heard = asyncio.Event()

    def __call__(self, paths: set[Path] | None) -> None:
        self.overflowed |= paths is None
        self.paths |= paths or set()
        self._heard.set()

    async def until(self, *paths: Path) -> None:
        async with asyncio.timeout(DEADLINE):
            while not self.paths.issuperset(paths):
                self._heard.clear()
                await self._heard.wait()

    async def overflow(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while not self.overflowed:
                self._heard.clear()
                await self._heard.wait()


async def test_entries_and_the_folder_itself_are_named(tmp_path: Path) -> None:
    folder, ear = tmp_path / "a", Ear()
    folder.mkdir()
    (folder / "old").write_text("")
    inotify = Inotify([folder], ear)
    (folder / "ü new").write_text("")
    await ear.until(folder / "ü new")
    assert ear.paths == {folder / "ü new"}
    (folder / "old").rename(folder / "moved")
    await ear.until(folder / "old", folder / "moved")
    (folder / "moved").unlink()
    (folder / "ü new").unlink()
    folder.rmdir()
    await ear.until(folder)
    inotify.close()


async def test_what_is_below_is_not_watched(tmp_path: Path) -> None:
    ear = Ear()
    (tmp_path / "below").mkdir()
    inotify = Inotify([tmp_path], ear)
    (tmp_path / "below" / "file").write_text("")
    (tmp_path / "file").write_text("")
    await ear.until(tmp_path / "file")
    assert ear.paths == {tmp_path / "file"}
    inotify.close()


async def test_folders_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    ear = Ear()
    (tmp_path / "file").write_text("")
    inotify = Inotify([tmp_path / "missing", tmp_path / "file", tmp_path], ear)
    (tmp_path / "file").write_text("1")
    await ear.until(tmp_path / "file")
    inotify.close()


async def test_one_folder_under_two_names(tmp_path: Path) -> None:
    ear = Ear()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    inotify = Inotify([tmp_path / "real", tmp_path / "link"], ear)
    (tmp_path / "real" / "x").write_text("")
    await ear.until(tmp_path / "real" / "x", tmp_path / "link" / "x")
    inotify.close()


async def test_more_events_than_the_kernel_keeps(tmp_path: Path) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 40_000:
        require.missing(f"a kernel that keeps fewer events than {most}")
    ear = Ear()
    inotify = Inotify([tmp_path], ear)
    name = tmp_path / "0"
    name.touch()
    for number in range(1, most // 2 + 100):  # two events a rename, while the loop is kept from reading
        name = name.rename(tmp_path / str(number))
    await ear.overflow()
    ear.paths.clear()
    (tmp_path / "after").touch()
    await ear.until(tmp_path / "after")
    inotify.close()


async def test_nothing_is_heard_after_closing(tmp_path: Path) -> None:
    ear, other = Ear(), Ear()
    closed, inotify = Inotify([tmp_path], ear), Inotify([tmp_path], other)
    (tmp_path / "file").write_text("")
    closed.close()
    await other.until(tmp_path / "file")
    assert ear.paths == set()
    inotify.close()


async def test_no_descriptor_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 5, hard))
    try:
        while True:
            try:
                taken.append(os.dup(0))
            except OSError:
                break
        with pytest.raises(OSError) as caught:
            Inotify([tmp_path], Ear())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)
    assert caught.value.errno == errno.EMFILE
