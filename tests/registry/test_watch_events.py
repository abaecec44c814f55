"""What the system says about a folder, as watchfiles passes it on."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devproxy.registry import watch
from devproxy.registry.watch import FolderEvents
from tests import require
from tests.registry.reader import reading, replace, threads_end
from tests.waiting import DEADLINE


class Ear:
    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self.failed = False
        self._heard = asyncio.Event()

    def __call__(self, paths: set[Path] | None) -> None:
        self.failed |= paths is None
        self.paths |= paths or set()
        self._heard.set()

    async def until(self, *paths: Path) -> None:
        async with asyncio.timeout(DEADLINE):
            while not self.paths.issuperset(paths):
                self._heard.clear()
                await self._heard.wait()


@asynccontextmanager
async def listening(*folders: Path) -> AsyncIterator[Ear]:
    ear = Ear()
    events = FolderEvents(folders, ear)
    await events.start()
    try:
        yield ear
    finally:
        events.close()
        await threads_end()


async def test_entries_and_the_folder_itself_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "old").write_text("")
    async with listening(folder) as ear:
        (folder / "ü new").write_text("")
        await ear.until(folder / "ü new")
        assert ear.paths == {folder / "ü new"}
        (folder / "old").rename(folder / "moved")
        await ear.until(folder / "old", folder / "moved")
        (folder / "moved").unlink()
        (folder / "ü new").unlink()
        folder.rmdir()
        await ear.until(folder)


async def test_what_is_below_is_not_watched(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    async with listening(tmp_path) as ear:
        (tmp_path / "below" / "file").write_text("")
        (tmp_path / "file").write_text("")
        await ear.until(tmp_path / "file")
        assert ear.paths == {tmp_path / "file"}


async def test_names_that_watchfiles_leaves_out_by_default(tmp_path: Path) -> None:
    names = ["node_modules", ".git", "x.swp", "x~", "x.pyc", ".hidden", "__pycache__"]
    async with listening(tmp_path) as ear:
        for name in names:
            (tmp_path / name).write_text("")
        await ear.until(*(tmp_path / name for name in names))


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    ear = Ear()
    with pytest.raises(OSError, match="No such file"):
        await FolderEvents([tmp_path, tmp_path / "missing"], ear).start()
    await threads_end()
    assert not ear.failed


async def test_nothing_is_heard_after_closing(tmp_path: Path) -> None:
    ear = Ear()
    closed = FolderEvents([tmp_path], ear)
    await closed.start()
    async with listening(tmp_path) as other:
        (tmp_path / "file").write_text("")
        closed.close()
        await other.until(tmp_path / "file")
        await threads_end(left=1)
        assert ear.paths == set()


async def test_waiting_takes_no_time_of_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """watchfiles has to ask before each look whether to stop: all waiting is in that question."""
    looks: list[float] = []
    is_set = watch._StopEvent.is_set

    def counted(self: watch._StopEvent) -> bool:
        looks.append(time.thread_time())
        return is_set(self)

    monkeypatch.setattr(watch._StopEvent, "is_set", counted)
    async with listening(tmp_path) as ear:
        for number in range(20):
            (tmp_path / str(number)).touch()
            await ear.until(tmp_path / str(number))
    assert (looks[-1] - looks[0]) < 0.5 * watch.LOOK * len(looks) / 2


@pytest.mark.usefixtures("events_alone")
async def test_a_name_that_is_not_utf_8(config: Path) -> None:
    require.linux()
    file = config / "registry.toml"
    async with reading(file) as reader:
        for content in ("1", "2"):
            before = reader.turns
            (config / os.fsdecode(b"\xff" + content.encode())).write_text("")
            await reader.more(before)  # watchfiles gave up, and everything was watched and read anew
            replace(file, content)
            await reader.until(content)
