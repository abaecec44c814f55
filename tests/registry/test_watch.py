"""Every way to change a file is noticed, nothing else is, and nothing is left behind. Real files, real watches."""

# ruff: noqa: ASYNC240 - a write that blocks the loop for a moment is as good as any
import asyncio
import contextlib
import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from devproxy.registry import watch
from devproxy.registry.watch import Watchfiles, changes
from tests import require

DEADLINE = 20.0  # seconds; reached only by a test that fails


class Reader:
    """Reads the files at each turn, as the proxy does."""

    def __init__(self, *files: Path):
        self.files = list(files)
        self.turns = 0
        self.stop = asyncio.Event()
        self.on_turn: Callable[[], None] = lambda: None
        self._turned = asyncio.Event()
        self._texts: list[str | None] = []

    async def run(self) -> None:
        async for _ in changes(lambda: self.files, self.stop):
            self._texts = [text(file) for file in self.files]
            self.turns += 1
            self.on_turn()
            self._turned.set()

    async def until(self, *texts: str | None) -> None:
        """Wait until the files were read with these contents."""
        async with asyncio.timeout(DEADLINE):
            while self._texts != list(texts):
                self._turned.clear()
                await self._turned.wait()

    async def more(self, turns: int) -> None:
        """Wait for a turn after the first `turns`."""
        async with asyncio.timeout(DEADLINE):
            while self.turns <= turns:
                self._turned.clear()
                await self._turned.wait()


async def threads_end() -> None:
    """Wait until no watch has a thread any more."""
    for thread in threading.enumerate():
        if thread.name == "devproxy-watch":
            await asyncio.to_thread(thread.join, DEADLINE)
            assert not thread.is_alive()


def text(file: Path) -> str | None:
    try:
        return file.read_text()
    except OSError:
        return None


def replace(file: Path, content: str) -> None:
    """As `os.replace`, devproxy itself and most editors do."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text(content)
    temporary.replace(file)


@contextlib.asynccontextmanager
async def reading(*files: Path) -> AsyncIterator[Reader]:
    reader = Reader(*files)
    task = asyncio.create_task(reader.run())
    try:
        await reader.until(*[text(file) for file in files])
        yield reader
    finally:
        reader.stop.set()
        await asyncio.wait_for(task, DEADLINE)


@pytest.fixture(params=["native", "watchfiles"], autouse=True)
def listener(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds for the system's own way and for watchfiles; the tick has no part in it."""
    if request.param == "watchfiles":
        if sys.platform != "linux":
            pytest.skip("watchfiles is the native way here")
        monkeypatch.setattr(watch, "listen", Watchfiles)
    monkeypatch.setattr(watch, "TICK", 3600.0)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "registry.toml").write_text("0")
    return folder


# Ways to write


async def test_written_in_place(config: Path) -> None:
    file = config / "registry.toml"
    async with reading(file) as reader:
        for content in ("1", "22", "3"):
            file.write_text(content)
            await reader.until(content)


async def test_appended_by_a_program_that_keeps_it_open(config: Path) -> None:
    file = config / "registry.toml"
    async with reading(file) as reader:
        with file.open("a") as writer:
            for content in ("01", "012"):
                writer.write(content[-1])
                writer.flush()
                await reader.until(content)


async def test_truncated_and_then_written(config: Path) -> None:
    file = config / "registry.toml"
    async with reading(file) as reader:
        with file.open("w") as writer:
            await reader.until("")
            writer.write("1")
        await reader.until("1")


async def test_replaced(config: Path) -> None:
    file = config / "registry.toml"
    async with reading(file) as reader:
        for content in ("1", "2", "3"):
            replace(file, content)
            await reader.until(content)


async def test_written_as_vim_does(config: Path) -> None:
    file, backup = config / "registry.toml", config / "registry.toml~"
    async with reading(file) as reader:
        for content in ("1", "2"):
            file.rename(backup)
            file.write_text(content)
            backup.unlink()
            await reader.until(content)


async def test_deleted_and_restored(config: Path) -> None:
    file = config / "registry.toml"
    async with reading(file) as reader:
        for content in ("1", "2"):
            file.unlink()
            await reader.until(None)
            file.write_text(content)
            await reader.until(content)


async def test_made_readable(config: Path) -> None:
    file = config / "registry.toml"
    async with reading(file) as reader:
        before = reader.turns
        file.chmod(0o640)
        await reader.more(before)


async def test_two_hundred_writes_in_a_row_end_in_the_last_state(config: Path) -> None:
    file = config / "registry.toml"
    async with reading(file) as reader:
        for number in range(200):
            replace(file, str(number))
            await asyncio.sleep(0.01)  # the pace of the writes
        await reader.until("199")


# Symlinks


async def test_a_swapped_symlink(config: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "real.toml").write_text(name)
    file = config / "registry.toml"
    file.unlink()
    file.symlink_to(tmp_path / "a" / "real.toml")
    async with reading(file) as reader:
        (config / "new").symlink_to(tmp_path / "b" / "real.toml")
        (config / "new").replace(file)
        await reader.until("b")
        replace(tmp_path / "b" / "real.toml", "b2")
        await reader.until("b2")
        (tmp_path / "b" / "real.toml").write_text("b3")
        await reader.until("b3")


async def test_a_chain_of_symlinks_through_folders(config: Path, tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "registry.toml").write_text(version)
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "current").symlink_to("v1")
    (tmp_path / "dotfiles" / "registry.toml").symlink_to("../current/registry.toml")
    file = config / "registry.toml"
    file.unlink()
    file.symlink_to("../dotfiles/registry.toml")
    async with reading(file) as reader:
        replace(tmp_path / "v1" / "registry.toml", "v1b")
        await reader.until("v1b")
        (tmp_path / "next").symlink_to("v2")
        (tmp_path / "next").replace(tmp_path / "current")
        await reader.until("v2")
        (tmp_path / "v2" / "registry.toml").write_text("v2b")
        await reader.until("v2b")
        replace(tmp_path / "dotfiles" / "registry.toml", "own")
        await reader.until("own")


async def test_a_symlink_whose_target_comes_later(config: Path, tmp_path: Path) -> None:
    file = config / "registry.toml"
    file.unlink()
    file.symlink_to(tmp_path / "later" / "real.toml")
    async with reading(file) as reader:
        (tmp_path / "later").mkdir()
        (tmp_path / "later" / "real.toml").write_text("1")
        await reader.until("1")


# Folders


async def test_a_folder_that_is_made_later(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "registry.toml"
    async with reading(file) as reader:
        file.parent.mkdir(parents=True)
        file.write_text("1")
        await reader.until("1")
        replace(file, "2")
        await reader.until("2")


async def test_a_folder_deleted_and_made_again(config: Path) -> None:
    file = config / "registry.toml"
    async with reading(file) as reader:
        for content in ("1", "2", "3"):
            shutil.rmtree(config)
            config.mkdir()
            file.write_text(content)
            await reader.until(content)
        shutil.rmtree(config)
        await reader.until(None)


async def test_a_folder_moved_away_and_another_in_its_place(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "registry.toml").write_text("1")
    file = config / "registry.toml"
    async with reading(file) as reader:
        config.rename(tmp_path / "old")
        other.rename(config)
        await reader.until("1")
        replace(file, "2")
        await reader.until("2")


async def test_a_folder_counts_with_everything_in_it(config: Path, tmp_path: Path) -> None:
    leases = tmp_path / "leases"
    leases.mkdir()
    async with reading(config / "registry.toml", leases) as reader:
        before = reader.turns
        (leases / "web.toml").write_text("port = 1")
        await reader.more(before)


async def test_git_checkout(tmp_path: Path) -> None:
    program = require.program("git")
    repository = tmp_path / "repository"
    file = repository / "devproxy.toml"

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=one"]
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        command = [program, *identity, *arguments]
        subprocess.run(command, cwd=repository, check=True, capture_output=True, env=environment, timeout=60)

    repository.mkdir()
    git("init")
    for branch in ("one", "two"):
        git("checkout", "-B", branch)
        file.write_text(branch)
        git("add", ".")
        git("commit", "-m", branch)
    git("checkout", "-b", "without")
    git("rm", "devproxy.toml")
    git("commit", "-m", "without")
    git("checkout", "one")
    async with reading(file) as reader:
        for branch, content in (("two", "two"), ("without", None), ("one", "one"), ("two", "two")):
            await asyncio.to_thread(git, "checkout", branch)
            await reader.until(content)


# Which files


async def test_a_change_during_a_turn_makes_another(config: Path) -> None:
    file = config / "registry.toml"
    reader = Reader(file)

    def write_once() -> None:
        reader.on_turn = lambda: None
        replace(file, "1")  # after the file was read, before the turn ends

    reader.on_turn = write_once
    task = asyncio.create_task(reader.run())
    await reader.until("1")
    reader.stop.set()
    await task


async def test_files_that_are_named_later(config: Path, tmp_path: Path) -> None:
    file, linked = config / "registry.toml", tmp_path / "project" / "devproxy.toml"
    linked.parent.mkdir()
    linked.write_text("a")
    async with reading(file) as reader:
        reader.on_turn = lambda: reader.files.append(linked) if linked not in reader.files else None
        file.write_text("1")
        await reader.until("1", "a")
        replace(linked, "b")
        await reader.until("1", "b")


async def test_other_files_in_the_same_folder_make_no_turn(config: Path) -> None:
    file = config / "registry.toml"
    async with reading(file) as reader:
        before = reader.turns
        for number in range(20):
            (config / f"other{number}").write_text("x")
            replace(config / "another.toml", "x")
            await asyncio.sleep(0.005)  # or they could all come in one turn
        replace(file, "1")
        await reader.until("1")
        assert reader.turns - before <= 2


# Where watching is not enough


async def test_the_tick_sees_what_the_watch_cannot(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "TICK", 0.05)
    base = tmp_path / "base"
    (base / "x").mkdir(parents=True)
    config.rename(base / "x" / "config")
    file = base / "x" / "config" / "registry.toml"
    async with reading(file) as reader:
        base.rename(tmp_path / "moved")
        await reader.until(None)
        file.parent.mkdir(parents=True)
        file.write_text("1")
        await reader.until("1")


async def test_a_kernel_without_a_watch_left(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no watch left")

    monkeypatch.setattr(watch, "listen", refuse)
    file = config / "registry.toml"
    async with reading(file) as reader:
        replace(file, "1")
        await reader.until("1")


# The end


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


def wait_for_descriptors(most: int) -> None:
    """The threads inside of watchfiles close theirs a moment after it was dropped."""
    deadline = time.monotonic() + DEADLINE
    while descriptors() > most and time.monotonic() < deadline:
        time.sleep(0.005)
    assert descriptors() <= most


async def test_nothing_is_left_behind(config: Path) -> None:
    before = descriptors()
    for content in ("1", "2", "3"):
        async with reading(config / "registry.toml") as reader:
            replace(config / "registry.toml", content)
            await reader.until(content)
    await threads_end()
    await asyncio.to_thread(wait_for_descriptors, before)
    assert len(asyncio.all_tasks()) == 1


async def test_a_reader_that_is_cancelled(config: Path) -> None:
    reader = Reader(config / "registry.toml")
    task = asyncio.create_task(reader.run())
    await reader.until("0")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await threads_end()


async def test_stopped_before_it_began(config: Path) -> None:
    reader = Reader(config / "registry.toml")
    reader.stop.set()
    await reader.run()
    assert reader.turns == 0
