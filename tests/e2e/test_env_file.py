"""`write_env`: a running proxy keeps a project's `.env` file current, once a change, and touches nothing else of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from devproxy.paths import Paths
from devproxy.tls.trust_record import RecordedRoot, RecordedStore, TrustRecord, write_record
from tests.cli.team import Team, service, team_in
from tests.e2e.proxy import Devproxy
from tests.ports import free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

WRITTEN = "says where the services of shop are now"
BEGIN = "# >>> devproxy env >>>"


class Shop:
    """A linked project and the proxy that follows it."""

    def __init__(self, devproxy: Devproxy, folder: Path):
        self.devproxy = devproxy
        self.file = folder / "devproxy.toml"
        self.env = folder / ".env.local"
        folder.mkdir()
        self.write(5432)
        devproxy.write(f'[projects.shop]\npath = "{self.file}"\n')

    def write(self, listen: int) -> None:
        db = f'[services.db]\nprotocol = "tcp"\nport = 1\nlisten = {listen}\nhealth = {{ interval = "1h" }}\n'
        self.file.write_text(f'project = "shop"\nwrite_env = ".env.local"\n{db}')

    def wait(self, text: str) -> None:
        wait_until(lambda: text in self.text(), f"{text} in the file", log=self.devproxy.output)

    def text(self) -> str:
        return self.env.read_text() if self.env.exists() else ""

    def wait_log(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self.devproxy.output().count(text) == times, f"{text} in the log", log=self.devproxy.output)


@pytest.fixture
def shop(devproxy: Devproxy, tmp_path: Path) -> Shop:
    return Shop(devproxy, tmp_path / "shop")


def test_it_follows_every_change_and_its_own_writing_is_none(shop: Shop) -> None:
    shop.env.write_bytes(b"A=1\r\n# caf\xe9\r\nB=2")
    shop.env.chmod(0o640)
    shop.devproxy.start()
    shop.wait_log(WRITTEN)
    for count, port in enumerate((5433, 5434), 2):
        shop.write(port)
        shop.wait_log(WRITTEN, count)
        content = shop.env.read_bytes()
        assert content.startswith(b"A=1\r\n# caf\xe9\r\nB=2\r\n" + BEGIN.encode())
        assert f"DB_PORT={port}\r\n".encode() in content
        assert content.count(BEGIN.encode()) == 1
    assert shop.env.stat().st_mode & 0o777 == 0o640
    # had the write been a change, the block would be mended at once
    shop.env.write_bytes(shop.env.read_bytes().replace(b"DB_PORT=5434", b"DB_PORT=1"))
    before = shop.env.stat().st_ino
    shop.devproxy.write(f'[projects.shop]\npath = "{shop.file}"\n[services.other]\nport = 2\n')
    shop.wait_log(WRITTEN, 4)
    assert shop.env.stat().st_ino != before
    assert b"DB_PORT=5434\r\n" in shop.env.read_bytes()


def test_what_cannot_be_written_is_told_once_and_written_once_it_can(shop: Shop) -> None:
    shop.env.write_text(f"A=1\n{BEGIN}\nC=3\n")
    shop.devproxy.start()
    damaged = "the block `devproxy env` is damaged"
    shop.wait_log(damaged)
    shop.write(5433)
    shop.devproxy.write(f'[projects.shop]\npath = "{shop.file}"\n[services.other]\nport = 2\n')
    wait_until(lambda: "other" in shop.devproxy.cli("ls").stdout, "the other service", log=shop.devproxy.output)
    assert shop.text() == f"A=1\n{BEGIN}\nC=3\n"
    shop.env.write_text("A=1\n")
    shop.write(5434)
    shop.wait("DB_PORT=5434\n")
    assert shop.devproxy.output().count(damaged) == 1


def test_nothing_is_written_through_a_symlink_that_leaves_the_project(shop: Shop, tmp_path: Path) -> None:
    outside = tmp_path / "secrets.env"
    outside.write_text("A=1\n")
    shop.env.symlink_to(outside)
    shop.devproxy.start()
    shop.wait_log("is not written (`write_env`)")
    assert outside.read_text() == "A=1\n"


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    yield from team_in(tmp_path)


def test_up_without_a_proxy_writes_it(team: Team) -> None:
    team.configure("autostart = false")
    team.project(service("api"))
    file = team.folder / "devproxy.toml"
    file.write_text(file.read_text().replace("\n\n", '\nwrite_env = ".env"\n\n', 1))
    up = team.up()
    team.wait_states(api="up")
    assert f"API_URL=http://api.shop.localhost:{team.port}\n" in (team.folder / ".env").read_text()
    team.interrupt(up)


def test_the_port_that_a_command_was_given_is_there_while_it_runs(team: Team) -> None:
    team.project(service("api", 'protocol = "tcp"'))
    file = team.folder / "devproxy.toml"
    file.write_text(file.read_text().replace("\n\n", '\nwrite_env = ".env"\n\n', 1))
    env = team.folder / ".env"
    up = team.up()
    team.wait_states(api="up")
    port = next(
        word for line in team.said().splitlines() if "serves on" in line for word in line.split() if word.isdigit()
    )
    wait_until(lambda: env.exists() and f"API_PORT={port}\n" in env.read_text(), "the port", log=team.said)
    team.interrupt(up)
    wait_until(lambda: "API_PORT" not in env.read_text(), "the port to be gone", log=team.said)


def test_its_urls_follow_what_the_ca_is_trusted_by(shop: Shop) -> None:
    shop.file.write_text('project = "shop"\nwrite_env = ".env.local"\n[services.web]\nport = 1\n')
    shop.devproxy.https_port = free_port()
    shop.devproxy.write(f'[projects.shop]\npath = "{shop.file}"\n')
    shop.devproxy.start()
    shop.wait(f"WEB_URL=http://web.shop.localhost:{shop.devproxy.port}\n")
    paths = Paths(shop.devproxy.home / "config", shop.devproxy.home / "state")
    root = RecordedRoot("a" * 64, ("localhost",), 9e9)
    write_record(paths, TrustRecord(roots=(root,), stores=(RecordedStore("system", "/", (root.fingerprint,)),)))
    shop.wait(f"WEB_URL=https://web.shop.localhost:{shop.devproxy.https_port}\n")
    shop.wait_log("URLs begin with https:// now")
    write_record(paths, TrustRecord(roots=(root,)))
    shop.wait(f"WEB_URL=http://web.shop.localhost:{shop.devproxy.port}\n")
    shutil.rmtree(paths.authorities)
    write_record(paths, TrustRecord(roots=(root,), stores=(RecordedStore("system", "/", (root.fingerprint,)),)))
    shop.wait(f"WEB_URL=https://web.shop.localhost:{shop.devproxy.https_port}\n")
