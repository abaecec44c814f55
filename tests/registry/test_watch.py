"""Every way to change a file is noticed, nothing else is, and nothing is left behind. Real files, real watches."""

# ruff: noqa: ASYNC240 - a write that blocks the loop for a moment is as good as any
import asyncio
import sys
from pathlib import Path

import pytest

from devproxy.registry import watch
from tests.registry.reader import Reader, reading, replace, threads_end
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("either_way")


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


async def test_a_thousand_writes_at_once_end_in_the_last_state(config: Path) -> None:
    file = config / "registry.toml"
    async with reading(file) as reader:
        for number in range(1000):
            replace(file, str(number))
        await reader.until("999")


async def test_written_as_fast_as_can_be_while_it_is_read(config: Path) -> None:
    file = config / "registry.toml"

    def write() -> None:
        for number in range(1000):
            file.write_text(f"{number:04}")

    async with reading(file) as reader:
        await asyncio.to_thread(write)
        await reader.until("0999")


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


# The end


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


def wait_for_descriptors(most: int) -> None:
    """The threads inside of watchfiles close theirs a moment after it was dropped."""
    wait_until(lambda: descriptors() <= most, f"{most} descriptors")


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
