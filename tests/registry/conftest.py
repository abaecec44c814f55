"""What several tests of the registry begin with: files on disk, and the ways to watch them."""

from pathlib import Path

import pytest

from devproxy.registry import watch
from devproxy.registry.watch import FolderEvents
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


@pytest.fixture
def events_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks at the files but when an event says so."""
    monkeypatch.setattr(watch, "TICK", 3600.0)
    monkeypatch.setattr(watch, "POLL", 3600.0)


@pytest.fixture
def polling_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No event is to be had, as where the system has no watch left."""

    async def refuse(_: FolderEvents) -> None:
        raise OSError("OS file watch limit reached.")

    monkeypatch.setattr(FolderEvents, "start", refuse)
    monkeypatch.setattr(watch, "POLL", 0.02)


@pytest.fixture(params=["events_alone", "polling_alone"])
def either_way(request: pytest.FixtureRequest) -> None:
    """Everything holds for events alone and for polling alone."""
    request.getfixturevalue(request.param)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "registry.toml").write_text("0")
    return folder
