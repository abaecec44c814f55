"""`devproxy status`: whether it runs; exit code 3 where it does not."""

import json
import os

import pytest

from devproxy import __version__
from devproxy.build import own_build, own_version
from devproxy.cli.status import _since
from tests.cli.command import Home, pretend_running, write_all, write_health, write_project
from tests.ports import free_port


def test_a_stopped_proxy_is_exit_code_3(home: Home) -> None:
    write_all(home)
    assert home.run("status") == (
        3,
        f"proxy     not running\ncommand   version {own_version()}\n"
        f"services  5, reached by 6 routes\nregistry  {home.registry}\n",
        "start it: devproxy start\n",
    )


def test_a_running_proxy_tells_its_ports(home: Home) -> None:
    write_all(home)
    pretend_running(home, 7080)
    done = home.run("status")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"proxy     running (pid {os.getpid()}), version {own_version()}"
    assert lines[1].endswith(" ago)")
    assert lines[2:4] == ["http      port 7080 on this machine only", "https     off"]


def test_without_the_library_for_http_2_it_says_so(home: Home) -> None:
    pretend_running(home, 7080, https=7443, protocols=["http/1.1"])
    line = home.run("status").out.splitlines()[3]
    assert line == "https     port 7443 on this machine only, without HTTP/2 (the library ngh2 cannot be imported)"
    pretend_running(home, 7080, https=7443, protocols=["h2", "http/1.1"])
    assert home.run("status").out.splitlines()[3] == "https     port 7443 on this machine only"


def test_its_pages_are_below_the_first_tld(home: Home) -> None:
    home.write('[proxy]\ntlds = ["test", "localhost"]\n')
    pretend_running(home, 7080)
    assert "pages     http://devproxy.test:7080\n" in home.run("status").out
    assert home.run("start").out == f"running already (pid {os.getpid()}): http://devproxy.test:7080\n"


def test_json_of_a_stopped_proxy(home: Home) -> None:
    done = home.run("status", "--json")
    assert done.code == 3
    assert json.loads(done.out) == {
        "running": False,
        "pid": None,
        "started": None,
        "version": None,
        "build": None,
        "command": {"version": __version__, "build": own_build()},
        "http": None,
        "https": None,
        "protocols": [],
        "url_scheme": "http",
        "services": 0,
        "up": None,
        "down": None,
        "failed": None,
        "exposed": None,
        "states": None,
        "routes": 0,
        "registry": str(home.registry),
        "problems": [],
    }


def test_it_counts_what_the_proxy_knows_of_services(home: Home) -> None:
    home.write(f"[services.web]\nport = {free_port()}\n[services.api]\nport = {free_port()}\n")
    pretend_running(home, 80)
    write_health(home, {"web": {"state": "up", "exposure": "exposed"}, "api": {"state": "down"}})
    assert "health    1 up, 1 down, 0 failed, 1 exposed\n" in home.run("status").out
    facts = json.loads(home.run("status", "--json").out)
    assert (facts["up"], facts["down"], facts["exposed"]) == (1, 1, 1)


def test_no_service_is_left_out_of_the_states(home: Home) -> None:
    write_project(home, "shop/devproxy.toml", 'project = "shop"\n\n[services.web]\ncommand = "serve"\n')
    home.run("link", "shop")
    pretend_running(home, 7080)
    write_health(home, {"web.shop": {"state": "stopped", "exposure": "unknown"}})
    assert "health    0 up, 0 down, 0 failed, 1 stopped, 0 exposed\n" in home.run("status").out
    facts = json.loads(home.run("status", "--json").out)
    assert facts["states"] == {"stopped": 1}


def test_the_proxys_own_problems_are_told_once(home: Home) -> None:
    home.write("[services.web]\nprot = 1\n")
    problem = json.loads(home.run("check", "--json").out)[0]
    own = {"code": "port-busy", "message": "port 80 is busy", "file": str(home.registry), "severity": "warning"}
    pretend_running(home, 7080, problems=[problem, own])
    facts = json.loads(home.run("status", "--json").out)
    assert [row["code"] for row in facts["problems"]].count("port-busy") == 1
    assert facts["problems"].count(problem) == 1


def test_another_version_is_remarked(home: Home) -> None:
    pretend_running(home, 7080, version="0.0.1")
    assert "restart the proxy" in home.run("status").err


def test_another_build_is_remarked(home: Home) -> None:
    other = "interpreted" if own_build() == "compiled" else "compiled"
    pretend_running(home, 7080)
    assert home.run("status").err == ""
    pretend_running(home, 7080, build=other)
    done = home.run("status")
    assert done.out.startswith(f"proxy     running (pid {os.getpid()}), version 0.1.0 ({other})\n")
    assert f"command   version {own_version()}\n" in done.out
    assert f"this command is version {own_version()}: restart the proxy" in done.err
    facts = json.loads(home.run("status", "--json").out)
    assert (facts["build"], facts["command"]) == (other, {"version": __version__, "build": own_build()})


@pytest.mark.parametrize(
    ("ago", "text"),
    [(0, "(0 seconds ago)"), (1, "(1 second ago)"), (119, "(1 minute ago)"), (7300, "(2 hours ago)"), (-5, "(0 sec")],
)
def test_since(monkeypatch: pytest.MonkeyPatch, ago: int, text: str) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    assert text in _since(1_000_000.0 - ago)
