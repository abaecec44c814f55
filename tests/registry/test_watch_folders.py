"""Symlinks and folders that change under a watch. Files: `test_watch.py`."""

# ruff: noqa: ASYNC240 - a write that blocks the loop for a moment is as good as any
import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import require
from tests.registry.reader import reading, replace
from tests.waiting import PROGRAM_DEADLINE

pytestmark = pytest.mark.usefixtures("either_way")


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
        subprocess.run(
            command, cwd=repository, check=True, capture_output=True, env=environment, timeout=PROGRAM_DEADLINE
        )

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
