"""A reader of watched files for the tests of watching: it reads at each turn, as the proxy does.

Lives here: Reader, and ways to run it and to change a file. Not here: tests.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from devproxy.problems import Problem
from devproxy.registry.watch import changes
from tests.waiting import DEADLINE


class Reader:
    """Reads the files at each turn, as the proxy does."""

    def __init__(self, *files: Path):
        self.files = list(files)
        self.turns = 0
        self.reports: list[tuple[Problem, ...]] = []
        self.stop = asyncio.Event()
        self.on_turn: Callable[[], None] = lambda: None
        self._turned = asyncio.Event()
        self._texts: list[str | None] = []

    async def run(self) -> None:
        async for _ in changes(lambda: self.files, self.stop, self.reports.append):
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

    async def problems(self, number: int) -> tuple[Problem, ...]:
        """What the watcher reported last, once that is so many problems."""
        async with asyncio.timeout(DEADLINE):
            while not self.reports or len(self.reports[-1]) != number:
                self._turned.clear()
                await self._turned.wait()
        return self.reports[-1]


async def threads_end(left: int = 0) -> None:
    """Wait until no more than so many watches have a thread."""
    async with asyncio.timeout(DEADLINE):
        while sum(thread.name == "devproxy-watch" for thread in threading.enumerate()) > left:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


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
