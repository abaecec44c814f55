"""Which port URLs have, and how problems are told."""

import re
from pathlib import Path

import pytest

from devproxy.cli import add, health, ls, run, up, url
from devproxy.cli import open as open_
from devproxy.cli.context import CommandContext, remark_problems
from devproxy.daemon.runtime import Running, ports_for_urls
from devproxy.errors import DevproxyError
from devproxy.net import endpoints
from devproxy.paths import Paths
from devproxy.problems import Problem
from devproxy.registry.model import Mount, ProxySettings, Registry, Service, Source
from tests.cli.command import Home
from tests.ports import free_port, listening

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
    found = Running(pid=1, started=1.0, http=running) if running else None
    return CommandContext(PATHS, registry, found, ports_for_urls(PATHS, found, registry.settings))


@pytest.mark.parametrize(
    ("setting", "running", "expected"),
    [
        (None, 80, "http://web.localhost"),
        (None, 7080, "http://web.localhost:7080"),
        (8080, None, "http://web.localhost:8080"),
        (8080, 7080, "http://web.localhost:7080"),
        (80, None, "http://web.localhost"),
    ],
)
def test_the_port_that_is_real_comes_first(setting: int | None, running: int | None, expected: str) -> None:
    assert view(setting, running).url(WEB) == expected


def test_another_host_and_a_mount() -> None:
    seen = view(None, 7080)
    assert seen.url(WEB, "a.localhost") == "http://a.localhost:7080"
    assert seen.mount_urls(WEB) == ["http://shop.localhost:7080/web"]


def test_ten_problems_are_told_and_the_rest_counted(capsys: pytest.CaptureFixture[str]) -> None:
    remark_problems(Problem(code="syntax", message=f"m{number}", file="/r.toml") for number in range(12))
    shown = capsys.readouterr().err
    assert shown.count("error:") == 10
    assert shown.endswith("… and 2 more: devproxy check\n")


def test_without_a_proxy_every_command_names_the_port_that_it_would_take(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where nobody has chosen one, and the first choice is somebody else's."""
    home.write("[services.web]\nport = 5173\n")
    paths = Paths(home.folder / "config", home.state)
    monkeypatch.setenv("DEVPROXY_HOME", str(home.folder))
    with listening() as taken:
        monkeypatch.setattr(endpoints, "HTTP", endpoints.HTTP._replace(standard=taken, fallback=free_port()))
        port = endpoints.HTTP.fallback
        expected = f"http://web.localhost:{port}"
        for command, argv in (
            (url.command, ["web"]),
            (ls.command, []),
            (ls.command, ["--json"]),
            (health.command, ["--json"]),
            (add.command, ["web", "5173", "--force"]),
        ):
            command.main(argv, standalone_mode=False)
            assert re.findall(r"http://web\.localhost[:0-9]*", capsys.readouterr().out) == [expected], argv
        with pytest.raises(DevproxyError, match=f"nothing at {expected}"):
            open_.command.main(["web"], standalone_mode=False)
        settings = ProxySettings(autostart=False)
        plan = up.UpPlan(Registry(settings=settings), [], [], [])
        found = up._proxy_ports(paths, plan)
        assert found == run._proxy(paths, settings)
        assert found.http == port
