"""Many commands at once on one registry, and commands that are killed: nothing is lost, no file is ever half written.

Lives here: real processes of the command line.
"""

import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from tests.e2e.origin import origin, saying
from tests.e2e.processes import Program, clean_environment
from tests.e2e.proxy import Devproxy
from tests.waiting import PROGRAM_DEADLINE, wait_until

pytestmark = pytest.mark.e2e

_COUNT = 50


def _services(devproxy: Devproxy) -> dict[str, object]:
    services: dict[str, object] = tomllib.loads(devproxy.registry.read_text("utf-8"))["services"]
    return services


def test_fifty_concurrent_adds_lose_nothing(devproxy: Devproxy) -> None:
    with origin(saying("here")) as service:
        devproxy.write(f"# kept\n[services.first]\nport = {service.port}  # kept too\n")
        devproxy.start()
        adds = [
            subprocess.Popen(
                devproxy.argv("add", f"s{number}", str(20000 + number)),
                env=clean_environment(devproxy.env),
                cwd=devproxy.home,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            for number in range(_COUNT)
        ]
        ended = [(add.communicate(timeout=PROGRAM_DEADLINE)[0], add.returncode) for add in adds]
        assert [output for output, code in ended if code] == []
        assert set(_services(devproxy)) == {"first", *(f"s{number}" for number in range(_COUNT))}
        assert devproxy.registry.read_text("utf-8").count("# kept") == 2
        assert devproxy.get("first.localhost").body == b"here"
        assert devproxy.problems() == []


def test_an_added_name_is_live_and_a_removed_one_is_not(devproxy: Devproxy) -> None:
    with origin(saying("here")) as service:
        devproxy.write("")
        devproxy.start()
        added = devproxy.cli("add", "app", str(service.port))
        assert added.returncode == 0, added
        devproxy.wait_answer("app.localhost", body=b"here")
        assert devproxy.cli("url", "app").stdout.strip() == devproxy.url("app.localhost", "")
        removed = devproxy.cli("rm", "app")
        assert removed.returncode == 0, removed
        wait_until(lambda: devproxy.get("app.localhost").status == 404, "the name to be gone", log=devproxy.output)


def test_a_killed_add_leaves_a_whole_file(devproxy: Devproxy, tmp_path: Path) -> None:
    """`kill -9` sooner and later: the registry is the old one or the new one, and the next command works."""
    devproxy.write("[services.first]\nport = 1234\n")
    began = time.monotonic()
    assert devproxy.cli("add", "whole", "2000").returncode == 0
    whole = time.monotonic() - began
    for number in range(24):
        before = set(_services(devproxy))
        program = Program(
            devproxy.argv("add", f"s{number}", "3000"), tmp_path / "add.log", cwd=tmp_path, env=devproxy.env
        )
        # Spread over the whole life of the command: where in it the kill lands is the test's subject.
        time.sleep(whole * number / 20)
        program.kill()
        assert set(_services(devproxy)) in (before, before | {f"s{number}"})
    assert devproxy.cli("add", "last", "2001").returncode == 0
    assert {"first", "whole", "last"} <= set(_services(devproxy))
