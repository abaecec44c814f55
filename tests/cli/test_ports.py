"""`devproxy ports`: every listener of the machine, whose it is, and who can reach it."""

import json
import os
import shlex

import psutil

from tests import require
from tests.cli.command import Home, pretend_running
from tests.ports import listening


def rows(home: Home, *argv: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(home.run("ports", "--json", *argv).out)
    return found


def test_every_listener_registered_or_not(home: Home) -> None:
    with listening() as ours, listening() as other:
        ports = ours, other
        home.write(f"[services.web]\nport = {ports[0]}\n[services.also]\nport = {ports[0]}\n")
        found = {row["port"]: row for row in rows(home)}
    for port, services in zip(ports, (["also", "web"], []), strict=True):
        assert found[port]["services"] == services
        assert (found[port]["address"], found[port]["verdict"], found[port]["pid"]) == (
            "127.0.0.1",
            "loopback",
            os.getpid(),
        )
        assert found[port]["command"] == shlex.join(psutil.Process().cmdline())
        assert found[port]["fix"] == ""


def test_the_proxys_own_are_called_so(home: Home) -> None:
    with listening() as port:
        home.write("")
        pretend_running(home, port)
        assert [row["services"] for row in rows(home) if row["port"] == port] == [["(devproxy)"]]


def test_a_process_with_two_addresses_is_one_line_of_the_table(home: Home) -> None:
    require.ipv6()
    with listening("127.0.0.1", "::1") as port:
        home.write(f"[services.web]\nport = {port}\n")
        lines = home.run("ports").out.splitlines()
    assert lines[0].split() == ["PORT", "ADDRESS", "EXPOSURE", "SERVICE", "PROCESS"]
    (line,) = [line for line in lines if line.startswith(f"{port} ")]
    assert line.split()[:5] == [str(port), "127.0.0.1", "::1", "loopback", "web"]
    assert f"(pid {os.getpid()}, " in line


def test_exposed_leaves_out_what_is_on_loopback(home: Home) -> None:
    with listening() as port:
        home.write(f"[services.web]\nport = {port}\n")
        assert all(row["port"] != port and row["verdict"] == "exposed" for row in rows(home, "--exposed"))
