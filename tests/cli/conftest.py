"""A home for every test of a command."""

from pathlib import Path

import pytest

from tests.cli.command import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return Home(folder)
