"""`devproxy hosts` as far as it writes nothing: what it prints, and which command lines it refuses.

Not here: the hosts file itself (`tests/e2e/test_hosts.py`, in a namespace of its own).
"""

import json

import pytest

from devproxy.errors import Exit
from devproxy.paths import hosts_file
from tests.cli.command import Home

REGISTRY = """\
[services.web]
port = 5173
hosts = ["*.web.localhost", "shop.localhost"]

[services.cache]
protocol = "tcp"
port = 6390
listen = 6380

[services.db]
protocol = "tcp"
port = 54321
scheme = "postgresql"
address = "own"
"""


def test_the_block_is_printed_as_it_would_stand_in_the_file(home: Home) -> None:
    home.write(REGISTRY)
    done = home.run("hosts", "--own")
    first, *lines, last = done.out.splitlines()
    assert done.code == Exit.GOOD
    assert first.startswith("# >>> devproxy hosts")
    assert last == first.replace(">>>", "<<<")
    (line,) = [line for line in lines if not line.startswith("#")]
    address, name = line.split()
    assert (address.startswith("127."), name) == (True, "db.localhost")
    assert f"{hosts_file()} does not have it so: devproxy hosts --apply" in done.err


def test_all_is_every_name_but_for_wildcards(home: Home) -> None:
    home.write(REGISTRY)
    done = home.run("hosts", "--all", "--json")
    row = json.loads(done.out)
    by_name: dict[str, list[str]] = {}
    for one in row["names"]:
        by_name.setdefault(one["name"], []).append(one["address"])
    assert len(by_name.pop("db.localhost")) == 1
    shared = ("cache.localhost", "devproxy.localhost", "shop.localhost", "web.localhost")
    assert by_name == {name: ["127.0.0.1", "::1"] for name in shared}
    assert done.err.count("*.web.localhost") == 1
    assert (row["file"], row["current"], row["surplus"]) == (str(hosts_file()), False, [])
    assert row["missing"] == row["names"]


def test_without_such_a_service_it_says_what_there_is(home: Home) -> None:
    home.write("[services.web]\nport = 5173\n")
    done = home.run("hosts", "--own")
    assert (done.code, done.out) == (Exit.GOOD, "")
    assert "devproxy hosts --all" in done.err


def test_services_that_are_left_out_for_an_error_are_told_of(home: Home) -> None:
    home.write(REGISTRY + "[services.bad]\nport = 0\n")
    done = home.run("hosts", "--own")
    assert "db.localhost" in done.out
    assert "devproxy check" in done.err


@pytest.mark.parametrize(
    "argv",
    [
        ("--apply", "--remove"),
        ("--check", "--apply"),
        ("--stdin",),
        ("--check", "--stdin"),
        ("--apply", "--stdin", "--all"),
    ],
)
def test_options_that_do_not_go_together(home: Home, argv: tuple[str, ...]) -> None:
    home.write(REGISTRY)
    done = home.run("hosts", *argv)
    assert (done.code, done.out) == (Exit.USAGE, "")


def test_what_is_no_block_is_refused_before_the_file_is_looked_at(home: Home) -> None:
    done = home.run("hosts", "--apply", "--stdin", stdin="127.0.0.1 web.localhost\n")
    assert done.code == Exit.USAGE
    assert "devproxy hosts" in done.err
    block = "# >>> devproxy hosts >>>\n192.0.2.1 web.localhost\n# <<< devproxy hosts <<<\n"
    done = home.run("hosts", "--apply", "--stdin", stdin=block)
    assert done.code == Exit.REFUSED
    assert "192.0.2.1 web.localhost" in done.err
