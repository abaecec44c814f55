"""Completion on a fresh account: what `completion install` writes works in the next shell that is opened, by Tab."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import require
from tests.e2e.run import Folder, OnTerminal, folder_in

pytestmark = pytest.mark.e2e

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    require.linux()
    with folder_in(tmp_path) as made:
        yield made


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_on_a_fresh_account(folder: Folder, tmp_path: Path, shell: str) -> None:
    argv = [require.program(shell), "-i"]
    folder.write("[services.administration]\nport = 5173\n")
    account = tmp_path / "account"
    tools = tmp_path / "bin"
    account.mkdir()
    tools.mkdir()
    wrapper = tools / "devproxy"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m devproxy "$@"\n', "utf-8")
    wrapper.chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    env = {**folder.env, "HOME": str(account), "PATH": path, "TERM": "xterm", "SHELL": f"/bin/{shell}"}
    fresh = ["env", *(f"--unset={name}" for name in ("ZDOTDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"))]
    installing = OnTerminal([*fresh, str(wrapper), "completion", "install"], cwd=account, env=env)
    try:
        installing.wait_seen("written: ")
        assert installing.wait() == 0
    finally:
        installing.close()
    window = OnTerminal([*fresh, *argv], cwd=account, env=env, size=(24, 200))
    try:
        window.wait_seen("[#$%>]")
        window.type("devproxy url adm\t\r")
        window.wait_seen(r"http://administration\.localhost")
        window.type("exit\r")
        window.wait()
    finally:
        window.close()
