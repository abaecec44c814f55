"""`devproxy up` and services that a request starts: what is left to it, and what may be run for it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from devproxy.cli import up
from devproxy.paths import Paths
from devproxy.registry.model import Registry, Service
from tests.cli.team import Team, get, team_in
from tests.proxy.values import service

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups as POSIX has them")


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    yield from team_in(tmp_path)


def test_what_a_request_starts_is_left_to_it_unless_it_is_named_or_needed(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state")
    web = service("web.shop", command="vite", start="on-request", trusted=True, depends_on=("api.shop",))
    api, db = (structs.replace(web, id=f"{name}.shop", depends_on=()) for name in ("api", "db"))
    registry = Registry(services=(web, api, db))

    def planned(*services: Service, named: bool = False) -> tuple[list[str], list[str]]:
        plan = up._plan(paths, registry, services, named=named)
        return [one.id for one in plan.todo], [one.id for one in plan.left]

    assert planned(web, api, db) == ([], ["web.shop", "api.shop", "db.shop"])
    assert planned(web, named=True) == (["api.shop", "web.shop"], [])
    by_hand = structs.replace(web, start="manual")
    assert planned(by_hand, api, db) == (["api.shop", "web.shop"], ["db.shop"])
    untrusted = structs.replace(db, trusted=False)
    assert planned(web, untrusted) == (["db.shop"], ["web.shop"])


def test_nobody_typed_it_so_only_what_is_trusted_is_run(team: Team) -> None:
    team.project('[services.web]\ncommand = "touch ran"\nstart = "on-request"\n')
    team.run("link")
    done = team.run("up", "--on-request", "web.shop")
    assert done.code == 4
    assert "`web.shop` is not started by a request" in done.err
    assert f"devproxy link --trust {team.folder}" in done.err
    assert not (team.folder / "ran").exists()
    assert team.states() == {}


def test_it_runs_what_has_that_very_id_wherever_it_is_started(team: Team) -> None:
    text = team.home.registry.read_text() + f'[services.web]\ncommand = "touch ours"\ncwd = "{team.folder}"\n'
    team.home.write(text)
    team.project('[services.web]\ncommand = "touch theirs"\n')
    team.run("link")
    done = team.run("up", "--on-request", "web")
    assert (done.code, done.out) == (0, "")
    assert (team.folder / "ours").exists()
    assert not (team.folder / "theirs").exists()


def test_nothing_runs_but_what_is_typed(team: Team) -> None:
    team.project('[services.web]\ncommand = "touch ran"\nstart = "on-request"\n')
    for argv in (["link"], ["ls"], ["check"], ["health"], ["start"], ["url", "web"], ["logs"], ["down"]):
        team.run(*argv)
    assert get(team.port, "web.shop.localhost")
    assert not (team.folder / "ran").exists()
