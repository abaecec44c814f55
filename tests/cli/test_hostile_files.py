"""Commands in a repository whose files keep everybody waiting who reads them.

Lives here: each file that a command may look at, as a named pipe that nobody writes to (and as a link in a circle, and
as a device without an end), for each command that looks.
Not here: how much looking costs (`tests/detect/test_growth.py`), that nothing else reads files
(`tests/test_one_place.py`).
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Home

READ_BESIDE = (
    *("package.json", "pnpm-workspace.yaml", "pyproject.toml", "Procfile", "Procfile.dev", "compose.yaml"),
    *("docker-compose.yml", "requirements.txt", "manage.py", "uv.lock", "yarn.lock", ".env", "ui/package.json"),
)
# which files of a repository are hostile: whoever reads one does not come to the next
HOSTILE = ((*READ_BESIDE, ".git"), (".git/HEAD", ".git/commondir"), ("devproxy.toml",), ("devproxy.local.toml",))
COMMANDS = (
    *(("init", "--dry-run"), ("link", "--trust"), ("check", ".")),
    *(("up", "--detach"), ("run", "web", "--", "true")),
)
SHOP = 'project = "shop"\n[services.web]\ncommand = "true # npm run dev -w ui"\n'


def pipe(path: Path) -> None:
    os.mkfifo(path)


def circle(path: Path) -> None:
    path.symlink_to(path.name)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes")
@pytest.mark.parametrize("make", [pipe, circle, endless])
def test_no_file_keeps_a_command_waiting(home: Home, make: Callable[[Path], None]) -> None:
    home.write("[proxy]\nautostart = false\n")
    for index, names in enumerate(HOSTILE):
        folder = home.folder / f"shop{index}"
        (folder / "ui").mkdir(parents=True)
        (folder / "package.json").write_text('{"workspaces": ["*"], "scripts": {"dev": "true"}}', "utf-8")
        (folder / "devproxy.toml").write_text(SHOP.replace("shop", folder.name), "utf-8")
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).unlink(missing_ok=True)
            make(folder / name)
        for argv in COMMANDS:
            done = home.run(*argv, cwd=folder)  # raises where it does not end
            assert "Traceback" not in done.out + done.err, (names, argv, done.err)
