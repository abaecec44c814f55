"""`devproxy ls`: what a pipe gets, what a program gets, and what is said about problems."""

import json
import sys
from pathlib import Path

import msgspec
import pytest

from devproxy.paths import Paths
from devproxy.registry.loader import read
from tests.cli.command import Home, pretend_running, write_all, write_health
from tests.ports import free_port, listening


def test_a_pipe_gets_a_plain_table_sorted_by_id(home: Home) -> None:
    web, api, db = free_port(), free_port(), free_port()
    home.write(
        f'[services.web]\nport = {web}\n[services.api]\nupstream = "http://127.0.0.1:{api}"\n'
        f'[services.admin]\nupstream = "unix:/run/admin.sock"\n[services.db]\nport = {db}\nprotocol = "tcp"\n'
    )
    pretend_running(home, 80)
    up, down = {"state": "up", "exposure": "loopback"}, {"state": "down"}
    write_health(home, {"admin": up, "web": up | {"exposure": "exposed"}, "api": down, "db": down})
    assert home.run("ls") == (
        0,
        "NAME   URL                     UPSTREAM              STATE  EXPOSURE\n"
        "admin  http://admin.localhost  unix:/run/admin.sock  up     loopback\n"
        f"api    http://api.localhost    127.0.0.1:{api}       down   unknown\n"
        f"db     tcp://127.0.0.1:{db}   localhost:{db}       down   unknown\n"
        f"web    http://web.localhost    localhost:{web}       up     exposed\n",
        "",
    )


def test_what_the_monitor_has_not_seen_yet_is_looked_at(home: Home) -> None:
    with listening() as come:
        gone, moved = free_port(), free_port()
        home.write("".join(f"[services.{name}]\nport = {port}\n" for name, port in
                           (("come", come), ("gone", gone), ("moved", moved))))  # fmt: skip
        pretend_running(home, 80)
        there = {"address": "127.0.0.1", "port": gone, "family": "ipv4"}
        write_health(
            home,
            {"come": {"state": "down"}, "gone": {"state": "up", "listeners": [there]}, "moved": {"state": "up"}},
            upstreams={"moved": "http://localhost:1"},
        )
        rows = {row["id"]: row["state"] for row in json.loads(home.run("ls", "--json").out)}
    assert rows == {"come": "up", "gone": "down", "moved": "down"}


def test_what_another_proxy_knew_is_not_believed(home: Home) -> None:
    write_all(home)
    pretend_running(home, 80)
    write_health(home, {"admin": {"state": "up"}})
    health = json.loads((home.state / "health.json").read_text())
    (home.state / "health.json").write_text(json.dumps(health | {"pid": health["pid"] + 1}))
    rows = {row["id"]: row["state"] for row in json.loads(home.run("ls", "--json").out)}
    assert rows["admin"] == "down"  # its socket is not there


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the socket table is too dear for ls")
def test_without_a_proxy_one_look_at_the_socket_table_tells(home: Home) -> None:
    with listening() as up:
        home.write(f"[services.up]\nport = {up}\n[services.down]\nport = {free_port()}\n[services.none]\n")
        rows = {row["id"]: row for row in json.loads(home.run("ls", "--json").out)}
    assert [(rows[name]["state"], rows[name]["exposure"]) for name in ("up", "down", "none")] == [
        ("up", "loopback"),
        ("down", "unknown"),
        ("unknown", "unknown"),
    ]
    assert rows["up"]["listeners"][0]["address"] == "127.0.0.1"
    assert rows["down"]["listeners"] == []


def test_urls_have_the_port_that_the_proxy_really_has(home: Home) -> None:
    write_all(home)
    pretend_running(home, 7080)
    assert "http://web.shop.localhost:7080 " in home.run("ls").out
    pretend_running(home, 80)
    assert "http://web.shop.localhost " in home.run("ls").out


def test_without_a_proxy_urls_have_the_port_of_the_settings(home: Home) -> None:
    home.write("[proxy]\nhttp = 8080\n\n[services.web]\nport = 5173\n")
    assert "http://web.localhost:8080 " in home.run("ls").out


def test_what_does_not_pass_as_it_is_is_said(home: Home) -> None:
    edits = 'response_headers.set = { Cache-Control = "no-store" }'
    home.write(f'[services.web]\nport = 5173\nhost_header = "upstream"\n{edits}\n[services.api]\nport = 1\n')
    assert home.run("ls").err == ("web changes in the request: Host\nweb changes in the response: Cache-Control\n")


def test_json_has_the_promised_fields(home: Home) -> None:
    shop = write_all(home)
    done = home.run("ls", "--json")
    assert (done.code, done.err) == (0, "")
    rows = {row["id"]: row for row in json.loads(done.out)}
    assert list(rows) == ["admin", "api.shop", "db.shop", "web", "web.shop"]
    api = rows["api.shop"]
    assert {key: api[key] for key in ("name", "project", "url", "upstream", "protocol", "listen")} == {
        "name": "api",
        "project": "shop",
        "url": "http://api.shop.localhost",
        "upstream": "http://127.0.0.1:9000",
        "protocol": "http",
        "listen": [],
    }
    assert api["hosts"] == ["api.shop.localhost"]
    assert api["mounts"] == [{"host": "web.shop.localhost", "path": "/api", "strip": True}]
    assert api["source"] == {"file": str(shop), "line": 6}
    assert {"state", "exposure", "listeners", "findings", "problems"} <= api.keys()
    assert rows["web"]["project"] is None


def test_json_of_an_empty_registry_is_an_empty_list(home: Home) -> None:
    assert home.run("ls", "--json") == (0, "[]\n", "")


def test_an_empty_registry_says_how_to_begin(home: Home) -> None:
    done = home.run("ls")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("no services yet; give one a name: devproxy add web 5173")


def test_problems_are_told_on_stderr_beside_the_services_that_work(home: Home) -> None:
    home.write("[services.web]\nport = 5173\n\n[services.api]\nprot = 1\nport = 8000\n")
    done = home.run("ls")
    assert done.code == 0
    assert "web " in done.out
    assert f"{home.registry}:5:1: error: " in done.err
    assert "did you mean `port`?" in done.err


def test_json_names_the_problem_at_its_service(home: Home) -> None:
    home.write('[services.web]\nport = 5173\n\n[services.api]\nport = 8000\nhosts = ["web.localhost"]\n')
    rows = {row["id"]: row for row in json.loads(home.run("ls", "--json").out)}
    assert rows["web"]["problems"] == []
    assert [problem["line"] for problem in rows["api"]["problems"]] == [6]


def test_a_hundred_mistakes_do_not_fill_the_screen(home: Home) -> None:
    home.write("".join(f"[services.s{number}]\nprot = 1\n" for number in range(100)))
    done = home.run("ls")
    assert done.err.count(" error: ") == 10
    assert "more: devproxy check" in done.err


def test_while_a_file_has_an_error_the_services_are_those_the_running_proxy_kept(home: Home) -> None:
    home.write("[services.web]\nport = 5173\n")
    kept = msgspec.to_builtins(read(Paths(home.registry.parent, home.state)))
    pretend_running(home, 7080, in_force=kept)
    home.write("[services.web]\nport = 5173\nx = [\n")
    done = home.run("ls")
    assert "http://web.localhost:7080" in done.out
    assert "not TOML" in done.err
    home.write("[services.api]\nport = 8000\n")
    assert "web" not in home.run("ls").out


def test_in_a_project_its_own_come_first_and_alone_unless_all_are_asked_for(home: Home) -> None:
    shop = write_all(home).parent
    ours = ["api.shop", "db.shop", "web.shop"]

    def names(*argv: str, cwd: Path) -> list[str]:
        return [line.split()[0] for line in home.run("ls", *argv, cwd=cwd).out.splitlines()[1:]]

    assert names(cwd=shop) == ours
    assert names("--all", cwd=shop) == [*ours, "admin", "web"]
    assert names(cwd=home.folder) == ["admin", *ours[:2], "web", "web.shop"]
    assert len(json.loads(home.run("ls", "--json", cwd=shop).out)) == 5
