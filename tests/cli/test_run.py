"""`devproxy run`: what is refused before anything starts. What runs is tested in tests/e2e/test_run.py."""

import pytest

from tests.cli.command import PROJECT, Home, pretend_running, write_project
from tests.ports import free_port


@pytest.fixture(autouse=True)
def proxy(home: Home) -> None:
    """No proxy is started: one seems to run."""
    pretend_running(home, 7080)


def test_the_command_stands_behind_two_dashes(home: Home) -> None:
    done = home.run("run", "web", "npm", "run", "dev")
    assert done.code == 2
    assert "`npm` is one word too many" in done.err
    assert "devproxy run web -- npm run dev" in done.err


def test_what_is_to_be_typed_has_the_options_of_the_command(home: Home) -> None:
    done = home.run("run", "--force", "web", "sh", "-c", "echo a b", "--", "-x")
    assert done.code == 2
    assert "`sh` is one word too many" in done.err
    assert "fix: devproxy run --force web -- sh -c 'echo a b' -x\n" in done.err


def test_options_of_the_command_are_its_own(home: Home) -> None:
    assert home.run("run", "web", "--", "sh", "-c", "exit 3", "--force", "--help").code == 3


def test_without_a_command_nothing_says_what_to_run(home: Home) -> None:
    done = home.run("run", "web")
    assert done.code == 2
    assert "nothing says what to run for `web`" in done.err
    assert "devproxy run web -- COMMAND" in done.err


def test_a_project_that_is_not_linked_runs_nothing_by_itself(home: Home) -> None:
    file = write_project(home, "shop/devproxy.toml", PROJECT + 'command = "echo never"\n')
    done = home.run("run", "api", cwd=file.parent)
    assert done.code == 2
    assert "never" not in done.out
    assert f"devproxy link {file}" in done.err


@pytest.mark.parametrize(("name", "near"), [("apu", "did you mean `api`?"), ("other", "")])
def test_a_name_that_a_linked_project_does_not_have_is_told_with_those_it_has(name: str, near: str, home: Home) -> None:
    file = write_project(home, "shop/devproxy.toml", PROJECT + 'command = "echo never"\n')
    assert home.run("link", str(file)).code == 0
    done = home.run("run", name, cwd=file.parent)
    assert done.code == 2
    assert f"`shop` has no service `{name}`" in done.err
    assert near in done.err
    assert f"devproxy run {name} -- COMMAND" in done.err
    assert "devproxy link" not in done.err


def test_in_a_linked_project_of_several_services_the_name_is_asked_for(home: Home) -> None:
    text = 'project = "shop"\n[services.web]\ncommand = "echo never"\n[services.api]\ncommand = "echo never"\n'
    file = write_project(home, "shop/devproxy.toml", text)
    assert home.run("link", str(file)).code == 0
    done = home.run("run", cwd=file.parent)
    assert (done.code, done.out) == (2, "")
    assert {"devproxy run api", "devproxy run web"} <= {line.strip() for line in done.err.splitlines()}


def test_a_service_without_a_command(home: Home) -> None:
    home.write(f"[services.web]\nport = {free_port()}\n")
    done = home.run("run", "web")
    assert done.code == 2
    assert "`web` has no command" in done.err
    assert not list((home.state / "leases").iterdir())


def test_a_unix_socket_is_not_run(home: Home) -> None:
    home.write('[services.web]\nupstream = "unix:/run/web.sock"\n')
    done = home.run("run", "web", "--", "true")
    assert done.code == 2
    assert "`web` is a unix socket" in done.err


def test_a_bad_name(home: Home) -> None:
    done = home.run("run", "Web_1", "--", "true")
    assert done.code == 2
    assert "fix:" in done.err


def test_no_proxy_is_started_where_a_setting_says_so(home: Home) -> None:
    (home.state / "proxy.json").unlink()
    home.write("[proxy]\nautostart = false\nhttp = 7080\n")
    done = home.run("run", "web", "--", "true")
    assert done.code == 0
    assert "the proxy is not running; start it: devproxy start" in done.err
    assert not (home.state / "proxy.json").exists()


def test_the_address_is_told_on_stderr(home: Home) -> None:
    done = home.run("run", "web", "--", "sh", "-c", "echo $PORT")
    assert done.code == 0
    assert done.err == f"http://web.localhost:7080 → port {done.out}"
