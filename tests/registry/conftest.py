"""What several tests of the registry begin with: files on disk, and the ways to watch them."""

import sys
from pathlib import Path

import pytest

from devproxy.registry import watch
from devproxy.registry.watch import Watchfiles
from tests.registry.home import LINK, Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def shop(home: Home) -> Home:
    """One service of ours, and one in a linked project."""
    home.write("[services.app]\nport = 3000\n" + LINK)
    home.shop.write_text('project = "shop"\n[services.web]\nport = 5000\n')
    assert home.load() == {"app": 3000, "web.shop": 5000}
    return home


@pytest.fixture(params=["native", "watchfiles"])
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
