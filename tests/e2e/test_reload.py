"""A changed registry is live once, with never a moment without routes: in the running proxy, by every way files change.

Lives here: the ways to write, each beside clients that never stop asking. What the parts do: `tests/registry/`.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import require
from tests.e2e.clients import Hammer, open_websocket
from tests.e2e.origin import Handler, origin, saying
from tests.e2e.proxy import Devproxy
from tests.e2e.test_git import git
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e


class Scene(NamedTuple):
    """A running proxy; `services(port)` is a registry in which `moving` has `port` and `steady` is what it was."""

    devproxy: Devproxy
    services: Callable[[int], str]
    old: int
    new: int


@pytest.fixture
def scene(devproxy: Devproxy) -> Iterator[Scene]:
    with origin(saying("steady")) as steady, origin(saying("old")) as old, origin(saying("new")) as new:

        def services(port: int) -> str:
            return f"[services.steady]\nport = {steady.port}\n[services.moving]\nport = {port}\n"

        devproxy.write(services(old.port))
        yield Scene(devproxy, services, old.port, new.port)


def in_place(file: Path, text: str) -> None:
    with file.open("r+", encoding="utf-8") as stream:
        stream.write(text)
        stream.truncate()


def truncate_and_write(file: Path, text: str) -> None:
    with file.open("w", encoding="utf-8") as stream:
        stream.flush()
        half = len(text) // 2
        stream.write(text[:half])
        stream.flush()
        stream.write(text[half:])


def replace(file: Path, text: str) -> None:
    other = file.with_name("registry.toml.tmp")
    other.write_text(text, "utf-8")
    other.replace(file)


def as_vim(file: Path, text: str) -> None:
    """`:set backupcopy=no`: the old file is moved away, the new one written under the name."""
    backup = file.with_name("registry.toml~")
    file.rename(backup)
    file.write_text(text, "utf-8")
    backup.unlink()


def swap_symlink(file: Path, text: str) -> None:
    """As a dotfiles manager does: the file lies elsewhere, and the link is replaced by one to another file."""
    elsewhere = file.parents[2] / f"dotfiles-{time.monotonic_ns()}"
    elsewhere.mkdir()
    (elsewhere / "registry.toml").write_text(text, "utf-8")
    link = file.with_name("link")
    link.symlink_to(elsewhere / "registry.toml")
    link.replace(file)


def delete_and_restore(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text, "utf-8")


WAYS = [in_place, truncate_and_write, replace, as_vim, swap_symlink, delete_and_restore]


def assert_moved_once(hammer: Hammer) -> None:
    """Only good answers, and none of the old service after the first of the new one."""
    assert hammer.failures == []
    first = hammer.bodies.index(b"new")
    assert set(hammer.bodies[:first]) == {b"old"}
    assert set(hammer.bodies[first:]) == {b"new"}


@pytest.mark.parametrize("write", WAYS)
def test_a_change_is_live_once(scene: Scene, write: Callable[[Path, str], None]) -> None:
    devproxy = scene.devproxy.start()
    with Hammer(devproxy.port, "steady.localhost") as steady, Hammer(devproxy.port, "moving.localhost") as moving:
        wait_until(lambda: steady.bodies and moving.bodies, "the first answers", log=devproxy.output)
        write(devproxy.registry, devproxy.text(scene.services(scene.new)))
        wait_until(lambda: b"new" in moving.bodies, "the change to be live", log=devproxy.output)
        enough = len(moving.bodies) + 200
        wait_until(lambda: len(moving.bodies) > enough or moving.failures, "some more answers")
    assert steady.failures == []
    assert_moved_once(moving)


def test_a_file_that_is_a_symlink_is_followed_wherever_it_goes(scene: Scene) -> None:
    devproxy = scene.devproxy
    swap_symlink(devproxy.registry, devproxy.text(scene.services(scene.old)))
    devproxy.start()
    with Hammer(devproxy.port, "steady.localhost") as steady:
        for port, body in ((scene.new, b"new"), (scene.old, b"old")):
            # Behind the link, then the link itself: both folders are watched.
            replace(devproxy.registry.resolve(), devproxy.text(scene.services(port)))
            devproxy.wait_answer("moving.localhost", body=body)
        swap_symlink(devproxy.registry, devproxy.text(scene.services(scene.new)))
        devproxy.wait_answer("moving.localhost", body=b"new")
        in_place(devproxy.registry, devproxy.text(scene.services(scene.old)))
        devproxy.wait_answer("moving.localhost", body=b"old")
    assert steady.failures == []


def test_git_checkout_of_another_branch(scene: Scene, tmp_path: Path) -> None:
    devproxy, repository = scene.devproxy, tmp_path / "shop"
    repository.mkdir()
    git("init", "-q", "-b", "main", cwd=repository)
    for branch, port in (("main", scene.old), ("other", scene.new)):
        git("checkout", "-q", "-B", branch, cwd=repository)
        (repository / "devproxy.toml").write_text(f'project = "shop"\n{scene.services(port)}', "utf-8")
        git("add", ".", cwd=repository)
        git("commit", "-q", "-m", branch, cwd=repository)
    git("checkout", "-q", "main", cwd=repository)
    devproxy.write(f'[projects.shop]\npath = "{repository / "devproxy.toml"}"\n')
    devproxy.start()
    with (
        Hammer(devproxy.port, "steady.shop.localhost") as steady,
        Hammer(devproxy.port, "moving.shop.localhost") as moving,
    ):
        wait_until(lambda: steady.bodies and moving.bodies, "the first answers", log=devproxy.output)
        git("checkout", "-q", "other", cwd=repository)
        devproxy.wait_answer("moving.shop.localhost", body=b"new")
        wait_until(lambda: b"new" in moving.bodies, "the change to be live", log=devproxy.output)
    assert steady.failures == []
    assert_moved_once(moving)


def test_two_hundred_writes_in_two_seconds_end_in_the_last(scene: Scene) -> None:
    devproxy = scene.devproxy.start()
    began = time.monotonic()
    with Hammer(devproxy.port, "steady.localhost") as steady, Hammer(devproxy.port, "moving.localhost") as moving:
        for number in range(200):
            port = scene.new if number % 2 else scene.old
            last = f"[services.last]\nport = {scene.new}\n" if number == 199 else ""
            WAYS[number % len(WAYS)](devproxy.registry, devproxy.text(scene.services(port) + last))
            # The rhythm of the writes is the test's subject; nothing waits for anything here.
            time.sleep(max(0.0, began + (number + 1) / 100 - time.monotonic()))
        # The 200th was `new`, and alone had `last`. A change that comes late would show as `old` again.
        devproxy.wait_answer("last.localhost", body=b"new")
        seen = len(moving.bodies) + 1  # one request may have been on its way since before the change
        wait_until(lambda: len(moving.bodies) > seen + 500 or moving.failures, "some more answers")
        assert set(moving.bodies[seen:]) == {b"new"}
    assert (steady.failures, moving.failures) == ([], [])


def test_streams_of_untouched_services_survive_every_reload(devproxy: Devproxy) -> None:
    def echo(handler: Handler) -> None:
        handler.switch()
        while data := handler.connection.recv(4096):
            handler.connection.sendall(data)

    with origin(echo) as steady, origin(saying("old")) as old, origin(saying("new")) as new:

        def services(port: int) -> str:
            return f"[services.steady]\nport = {steady.port}\n[services.moving]\nport = {port}\n"

        devproxy.write(services(old.port))
        devproxy.start()
        with closing(open_websocket(devproxy.port, "steady.localhost")) as client:
            for port, body in ((new.port, b"new"), (old.port, b"old"), (new.port, b"new")):
                devproxy.write(services(port))
                devproxy.wait_answer("moving.localhost", body=body)
                client.sendall(body)
                assert client.recv(100) == body


def test_a_bad_file_keeps_its_last_good_content_and_disturbs_no_other(devproxy: Devproxy, tmp_path: Path) -> None:
    with origin(saying("a")) as a, origin(saying("b")) as b, origin(saying("c")) as c:
        files = {name: tmp_path / name / "devproxy.toml" for name in ("one", "two")}
        for (name, file), port in zip(files.items(), (a.port, b.port), strict=True):
            file.parent.mkdir()
            file.write_text(f'project = "{name}"\n[services.web]\nport = {port}\n', "utf-8")
        devproxy.write("".join(f'[projects.{name}]\npath = "{file}"\n' for name, file in files.items()))
        devproxy.start()
        with Hammer(devproxy.port, "web.one.localhost") as one:
            files["one"].write_text('project = "one"\n[services.web\nport = 1\n', "utf-8")
            wait_until(devproxy.problems, "the problem to be reported", log=devproxy.output)
            (problem,) = devproxy.problems()
            assert (problem["file"], problem["line"]) == (str(files["one"]), 2)
            wait_until(lambda: str(files["one"]) in devproxy.output(), "the log", log=devproxy.output)
            # Another file's change goes through meanwhile.
            files["two"].write_text(f'project = "two"\n[services.web]\nport = {c.port}\n', "utf-8")
            devproxy.wait_answer("web.two.localhost", body=b"c")
            listed = json.loads(devproxy.cli("ls", "--json").stdout)
            assert {row["name"] for row in listed} >= {"web"}
        assert one.failures == []
        assert set(one.bodies) == {b"a"}

        files["one"].write_text(f'project = "one"\n[services.web]\nport = {b.port}\n', "utf-8")
        devproxy.wait_answer("web.one.localhost", body=b"b")
        wait_until(lambda: devproxy.problems() == [], "the problem to be gone", log=devproxy.output)


@pytest.mark.parametrize("limit", ["max_inotify_watches", "max_inotify_instances"])
def test_where_the_system_has_no_watch_left_changes_are_polled(scene: Scene, limit: str) -> None:
    scene.devproxy.under = require.user_namespace(f"echo 0 > /proc/sys/user/{limit}")
    devproxy = scene.devproxy.start()
    wait_until(devproxy.problems, "the problem to be reported", log=devproxy.output)
    with Hammer(devproxy.port, "steady.localhost") as steady:
        for port, body in ((scene.new, b"new"), (scene.old, b"old")):
            replace(devproxy.registry, devproxy.text(scene.services(port)))
            devproxy.wait_answer("moving.localhost", body=body)
    assert steady.failures == []
    (problem,) = devproxy.problems()
    assert problem["code"] == "polled"
    assert "sysctl fs.inotify.max_user_" in str(problem["fix"])
    for command in ("status", "ls"):
        assert "[polled]" in devproxy.cli(command).stderr
    assert "[polled]" in devproxy.output()


def test_where_the_system_tells_of_changes_nothing_is_said(scene: Scene) -> None:
    devproxy = scene.devproxy.start()
    replace(devproxy.registry, devproxy.text(scene.services(scene.new)))
    devproxy.wait_answer("moving.localhost", body=b"new")
    assert devproxy.problems() == []
    assert "polled" not in devproxy.output()


def test_a_rename_of_the_whole_folder_is_a_change_too(scene: Scene) -> None:
    devproxy = scene.devproxy.start()
    other = devproxy.home / "config.new"
    other.mkdir(mode=0o700)
    (other / "registry.toml").write_text(devproxy.text(scene.services(scene.new)), "utf-8")
    with Hammer(devproxy.port, "steady.localhost") as steady:
        (devproxy.home / "config").rename(devproxy.home / "config.old")
        other.rename(devproxy.home / "config")
        devproxy.wait_answer("moving.localhost", body=b"new")
        devproxy.write(scene.services(scene.old))
        devproxy.wait_answer("moving.localhost", body=b"old")
    assert steady.failures == []
