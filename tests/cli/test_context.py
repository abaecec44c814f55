"""Which port URLs have, and how problems are told."""

from pathlib import Path

import pytest

from devproxy.cli.context import CommandContext, remark_problems
from devproxy.daemon.runtime import Running
from devproxy.paths import Paths
from devproxy.problems import Problem
from devproxy.registry.model import Mount, ProxySettings, Registry, Service, Source

PATHS = Paths(Path("/config"), Path("/state"))
WEB = Service(
    id="web",
    name="web",
    project=None,
    hosts=("web.localhost",),
    mounts=(Mount("shop.localhost", "/web"),),
    source=Source("/registry.toml", 1),
)


def view(setting: int | None, running: int | None) -> CommandContext:
    registry = Registry(settings=ProxySettings(http=setting), services=(WEB,))
    return CommandContext(PATHS, registry, Running(pid=1, started=1.0, http=running) if running else None)


@pytest.mark.parametrize(
    ("setting", "running", "url"),
    [
        (None, None, "http://web.localhost"),
        (None, 80, "http://web.localhost"),
        (None, 7080, "http://web.localhost:7080"),
        (8080, None, "http://web.localhost:8080"),
        (8080, 7080, "http://web.localhost:7080"),
        (80, None, "http://web.localhost"),
    ],
)
def test_the_port_that_is_real_comes_first(setting: int | None, running: int | None, url: str) -> None:
    assert view(setting, running).url(WEB) == url


def test_another_host_and_a_mount() -> None:
    seen = view(None, 7080)
    assert seen.url(WEB, "a.localhost") == "http://a.localhost:7080"
    assert seen.mount_urls(WEB) == ["http://shop.localhost:7080/web"]


def test_ten_problems_are_told_and_the_rest_counted(capsys: pytest.CaptureFixture[str]) -> None:
    remark_problems(Problem(code="syntax", message=f"m{number}", file="/r.toml") for number in range(12))
    shown = capsys.readouterr().err
    assert shown.count("error:") == 10
    assert shown.endswith("… and 2 more: devproxy check\n")
