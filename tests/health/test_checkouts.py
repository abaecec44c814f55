"""`health/checkouts.py`, with real worktrees, and what the monitor makes of a server that runs in the wrong one."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from devproxy.health.checkouts import checkouts_by_project
from devproxy.health.findings import Checkouts
from devproxy.registry.model import Project, Registry, Service, Source
from tests import require
from tests.e2e.processes import running
from tests.health.stage import Stage, looping, staged
from tests.health.things import service
from tests.ports import free_port
from tests.repository import repository, worktree
from tests.waiting import until


@pytest.fixture
def main(tmp_path: Path) -> Path:
    return repository(tmp_path / "shop", {"app/devproxy.toml": 'project = "shop"\n'})


def of(folder: Path, name: str = "web.shop", port: int = 3000) -> Service:
    return service(name, port, source=Source(str(folder / "devproxy.toml"), 1))


def test_worktrees_are_known_linked_or_not(main: Path, tmp_path: Path) -> None:
    fix = worktree(main, tmp_path / "fix", "fix")
    inside = worktree(main, main / ".trees" / "new", "new")
    registry = Registry(services=(of(main / "app"), of(fix / "app", "web.fix.shop"), of(tmp_path, "api.other")))
    assert checkouts_by_project(registry) == {
        Project("shop"): Checkouts(
            str(main / "app"), ((str(fix / "app"), "fix.shop"), (str(inside / "app"), str(inside / "app")))
        ),
        Project("shop", "fix"): Checkouts(
            str(fix / "app"), ((str(inside / "app"), str(inside / "app")), (str(main / "app"), "shop"))
        ),
    }


def test_clones_that_are_linked_beside_each_other_are_known_through_symlinks_too(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "two")
    registry = Registry(services=(of(tmp_path / "one"), of(tmp_path / "link", "web.two.shop"), service("app")))
    assert checkouts_by_project(registry)[Project("shop")] == Checkouts(
        str(tmp_path / "one"), ((str(tmp_path / "two"), "two.shop"),)
    )


def test_a_project_with_one_checkout_has_no_entry(main: Path) -> None:
    assert (
        checkouts_by_project(Registry(services=(of(main / "app"), service("app", source=Source("/lease.toml", 1)))))
        == {}
    )


def test_the_deepest_checkout_around_a_folder_counts() -> None:
    found = Checkouts("/shop", (("/shop/.trees/fix", "fix.shop"), ("/two", "two.shop")))
    assert [found.other(folder) for folder in ("/shop", "/shop/web", "/shopping", "", "/")] == [None] * 5
    assert found.other("/shop/.trees/fix/web") == "fix.shop"
    assert found.other("/two") == "two.shop"
    assert Checkouts("/shop/.trees/fix", (("/shop", "shop"),)).other("/shop/.trees/fix/web") is None


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    require.linux()
    async with staged(monkeypatch) as made, looping(made):
        yield made


@contextlib.contextmanager
def serving(folder: Path, port: int, log: Path) -> Iterator[None]:
    """A server that somebody started by hand in a folder."""
    argv = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with running(argv, log, cwd=folder, env={"PYTHONUNBUFFERED": "1"}) as program:
        program.wait_output("Serving HTTP")
        yield


async def test_a_server_of_another_checkout_is_found_and_its_own_is_not(
    stage: Stage, main: Path, tmp_path: Path
) -> None:
    fix, port = worktree(main, tmp_path / "fix", "fix"), free_port()
    stage.follow(of(main / "app", port=port), of(fix / "app", "web.fix.shop", port=port))

    def codes(name: str) -> list[str]:
        record = stage.monitor.board.records.get(name)
        return [one.code for one in record.condition.findings if one.code in {"checkout", "conflict"}] if record else []

    with serving(fix / "app", port, tmp_path / "log"):
        await until(lambda: codes("web.shop") == ["checkout"])
        assert codes("web.fix.shop") == []
        finding = stage.monitor.board.records["web.shop"].condition.findings[0]
        assert (finding.severity, finding.address) == ("error", f"127.0.0.1:{port}")
        assert f"which runs in another checkout, fix.shop: {fix / 'app'}" in finding.message
        assert f"start web.shop itself (devproxy up, in {main / 'app'})" in finding.fix
    with serving(main / "app", port, tmp_path / "log"):
        await until(lambda: codes("web.fix.shop") == ["checkout"])
        assert codes("web.shop") == []


async def test_what_runs_elsewhere_serves_all_checkouts(stage: Stage, main: Path, tmp_path: Path) -> None:
    fix, port = worktree(main, tmp_path / "fix", "fix"), free_port()
    stage.follow(of(main / "app", "db.shop", port=port), of(fix / "app", "db.fix.shop", port=port))
    with serving(Path(os.sep), port, tmp_path / "log"):
        await until(lambda: {one.state for one in stage.monitor.board.conditions.values()} == {"up"})
        assert [
            finding.code
            for record in stage.monitor.board.records.values()
            for finding in record.condition.findings
            if finding.code != "family"
        ] == []
