"""From a sign of change to an account of what is different."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from devproxy.daemon.reload import MOST_TOLD, RegistryChange, Reloader, compare
from devproxy.events import Problems, Services
from devproxy.paths import Paths
from devproxy.problems import Problem
from devproxy.registry.loader import Loader
from devproxy.registry.model import ProxySettings, Registry, Service, Source, Upstream
from tests.waiting import DEADLINE, until


def service(name: str, port: int = 3000, line: int = 1) -> Service:
    upstream = Upstream("http", ("127.0.0.1",), port)
    return Service(
        id=name, name=name, project=None, hosts=(f"{name}.localhost",), upstream=upstream, source=Source("/f", line)
    )


def registry(*services: Service, problems: tuple[Problem, ...] = ()) -> Registry:
    return Registry(services=services, problems=problems)


def test_services_that_came_went_and_changed_are_told_apart() -> None:
    old = registry(service("a"), service("b"), service("c"))
    new = registry(service("a"), service("c", 3001), service("e"), service("d"))
    assert compare(old, new) == Services(added=("d", "e"), removed=("b",), changed=("c",))


def test_another_line_is_no_change() -> None:
    assert compare(registry(service("a")), registry(service("a", line=9))) is None


def test_settings_are_a_change() -> None:
    new = msgspec.structs.replace(Registry(), settings=ProxySettings(grace=1.0))
    assert compare(Registry(), new) == Services(settings=True)


def test_problems_appear_and_are_mended() -> None:
    problems = [Problem(code="syntax", message=f"m{number}", file="/f", line=number) for number in range(3)]
    change = RegistryChange.between(registry(problems=tuple(problems[:2])), registry(problems=tuple(problems[1:])))
    assert change.appeared == (problems[2],)
    assert change.mended == (problems[0],)
    assert change.events == (Problems(("/f:2: m2",), ("/f: m0",), 2),)
    assert change.problems_differ


def test_an_event_lists_only_so_many_problems() -> None:
    problems = tuple(Problem(code="syntax", message="m", file="/f", line=line) for line in range(1, MOST_TOLD + 6))
    (event,) = RegistryChange.between(Registry(), registry(problems=problems)).events
    assert isinstance(event, Problems)
    assert len(event.appeared) == MOST_TOLD + 1
    assert event.appeared[-1] == "and 5 more"
    assert event.open == MOST_TOLD + 5


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "config", tmp_path / "state")
    made.config.mkdir(mode=0o700)
    made.registry.write_text("[services.a]\nport = 3000\n")
    return made


@asynccontextmanager
async def following(reloader: Reloader, changed: Callable[[RegistryChange], None]) -> AsyncIterator[asyncio.Event]:
    async def take(change: RegistryChange) -> None:
        changed(change)

    await reloader.load()
    stop = asyncio.Event()
    task = asyncio.create_task(reloader.follow(stop, take))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE):
            await task


async def test_a_written_file_is_a_change_and_the_same_content_none(paths: Paths) -> None:
    seen: list[RegistryChange] = []
    reloader = Reloader(Loader(paths))
    async with following(reloader, seen.append):
        paths.registry.write_text("[services.a]\nport = 3000\n[services.b]\nport = 3001\n")
        await until(lambda: seen)
        paths.registry.write_text("[services.a]\nport = 3000\n[services.b]\nport = 3001\n\n")
        paths.registry.write_text("[services.b]\nport = 3001\n")
        await until(lambda: len(seen) > 1)
    assert seen[0].events == (Services(added=("b",)),)
    assert seen[-1].events == (Services(removed=("a",)),)
    assert seen[-1].snapshot.table.lookup("b.localhost") is not None
    assert reloader.registry is seen[-1].registry


async def test_what_changed_before_the_watch_stood_is_not_missed(paths: Paths) -> None:
    seen: list[RegistryChange] = []
    reloader = Reloader(Loader(paths))
    await reloader.load()
    paths.registry.write_text("[services.z]\nport = 3000\n")
    stop = asyncio.Event()

    async def take(change: RegistryChange) -> None:
        seen.append(change)
        stop.set()

    async with asyncio.timeout(DEADLINE):
        await reloader.follow(stop, take)
    assert seen[0].events == (Services(added=("z",), removed=("a",)),)


async def test_a_file_that_a_change_links_is_followed_at_once(paths: Paths) -> None:
    seen: list[RegistryChange] = []
    project = paths.config.parent / "shop" / "devproxy.toml"
    project.parent.mkdir()
    project.write_text('project = "shop"\n[services.web]\nport = 4000\n')
    async with following(Reloader(Loader(paths)), seen.append):
        paths.registry.write_text(f'[projects.shop]\npath = "{project}"\n')
        await until(lambda: seen)
        project.write_text('project = "shop"\n[services.web]\nport = 4001\n')
        await until(lambda: len(seen) > 1)
    assert seen[-1].events == (Services(changed=("web.shop",)),)


async def test_a_request_loads_without_a_sign_from_the_watcher(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(_: object, stop: asyncio.Event, __: object) -> AsyncIterator[None]:
        await stop.wait()
        return
        yield

    monkeypatch.setattr("devproxy.daemon.reload.watched_changes", silent)
    seen: list[RegistryChange] = []
    reloader = Reloader(Loader(paths))
    async with following(reloader, seen.append):
        paths.registry.write_text("[services.b]\nport = 3000\n")
        reloader.request()
        await until(lambda: seen)


async def test_folders_that_are_polled_are_a_problem_until_they_are_not(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = Problem(code="polled", message="m", file=str(paths.config), severity="warning")
    cured = asyncio.Event()

    async def watched(
        _: object, stop: asyncio.Event, report: Callable[[tuple[Problem, ...]], None]
    ) -> AsyncIterator[None]:
        report((problem,))
        yield
        await cured.wait()
        report(())
        yield
        await stop.wait()

    monkeypatch.setattr("devproxy.daemon.reload.watched_changes", watched)
    seen: list[RegistryChange] = []
    reloader = Reloader(Loader(paths))
    async with following(reloader, seen.append):
        await until(lambda: seen)
        assert seen[0].appeared == reloader.registry.problems == (problem,)
        assert seen[0].events == (Problems((f"{paths.config}: m",), (), 1),)
        cured.set()
        await until(lambda: len(seen) > 1)
        assert seen[1].mended == (problem,)
        assert not reloader.registry.problems


async def test_a_watcher_that_fails_leaves_requests(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> AsyncIterator[None]:
        raise OSError("no more watches")
        yield

    monkeypatch.setattr("devproxy.daemon.reload.watched_changes", broken)
    seen: list[RegistryChange] = []
    reloader = Reloader(Loader(paths))
    async with following(reloader, seen.append):
        await until(lambda: "no longer watched" in caplog.text)
        paths.registry.write_text("[services.b]\nport = 3000\n")
        reloader.request()
        await until(lambda: seen)


async def test_a_loader_that_fails_leaves_what_is_in_force(paths: Paths, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Loader):
        fail = False

        def load(self, user: object = None, *, leases: object = None) -> Registry:
            if self.fail:
                raise RuntimeError("a bug")
            return super().load()

    seen: list[RegistryChange] = []
    loader = Broken(paths)
    reloader = Reloader(loader)
    async with following(reloader, seen.append):
        loader.fail = True
        paths.registry.write_text("[services.b]\nport = 3000\n")
        await until(lambda: "could not be loaded" in caplog.text)
        assert [service.id for service in reloader.registry.services] == ["a"]
        loader.fail = False
        reloader.request()
        await until(lambda: seen)


async def test_the_loop_goes_on_during_a_load(paths: Paths) -> None:
    class Slow(Loader):
        started, go_on = threading.Event(), threading.Event()

        def load(self, user: object = None, *, leases: object = None) -> Registry:
            if self.started.is_set():
                assert self.go_on.wait(DEADLINE)
            return super().load()

    loader = Slow(paths)
    seen: list[RegistryChange] = []
    reloader = Reloader(loader)
    async with following(reloader, seen.append):
        loader.started.set()
        paths.registry.write_text("[services.b]\nport = 3000\n")
        reloader.request()
        for _ in range(100):
            await asyncio.sleep(0)
        assert not seen
        loader.go_on.set()
        await until(lambda: seen)
