"""`devproxy hosts` on a real hosts file, and what real programs make of it: in a mount namespace of the test's own."""

import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devproxy.errors import Exit
from tests import require
from tests.e2e.own_etc import BEFORE, PROGRAM, OwnEtc, own_etc, sudo_stand_in
from tests.e2e.processes import running
from tests.e2e.run import OnTerminal
from tests.health.servers import postgres
from tests.other_user import UID
from tests.ports import free_port
from tests.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.e2e

PROJECT = """\
project = "shop"

[services.db]
protocol = "tcp"
port = {upstream}
listen = {port}
address = "own"
scheme = "postgresql"
hosts = ["data.shop.test"]
"""

USER = """\
[proxy]
tlds = ["localhost", "test"]

[services.web]
port = {upstream}
hosts = ["web.test", "*.web.localhost"]

[projects.shop]
path = "{shop}"

[projects."two.shop"]
path = "{two}"
"""

PYTHON = "import socket, sys; print(*sorted({a[4][0] for a in socket.getaddrinfo(sys.argv[1], None)}))"
NODE = "require('dns').lookup(process.argv[1], {all: true}, (e, all) => console.log(...all.map(a => a.address).sort()))"


@pytest.fixture
def etc() -> Iterator[OwnEtc]:
    with own_etc() as made:
        write(made)
        yield made


def write(etc: OwnEtc) -> int:
    """Two checkouts of a project, each with a database of its own, and a web service; the port of the databases."""
    upstream, port = free_port(), free_port()
    for name in ("shop", "two"):
        folder = etc.home.folder / name
        folder.mkdir()
        (folder / "devproxy.toml").write_text(PROJECT.format(upstream=upstream, port=port), "utf-8")
    files = {name: etc.home.folder / name / "devproxy.toml" for name in ("shop", "two")}
    etc.home.write(USER.format(upstream=upstream, **files))
    return port


@contextmanager
def saying(place: str, port: int, text: str) -> Iterator[None]:
    """An HTTP server at one address, which answers everything with `text`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in place else socket.AF_INET

    server = Server((place, port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_each_checkout_is_reached_by_its_own_name(etc: OwnEtc) -> None:
    """By Python, Node.js and curl, without an option that tells them an address."""
    node, curl = require.program("node"), require.program("curl")
    done = etc.devproxy("hosts", "--apply")
    assert (done.code, done.err) == (Exit.GOOD, ""), done.err
    names = etc.names()
    endings = ("localhost", "test")
    assert set(names) == {
        *(f"db.{project}.{tld}" for project in ("shop", "two.shop") for tld in endings),
        *("data.shop.test", "data.two.shop.test"),
    }
    assert len(set(names.values())) == 2
    for name, address in names.items():
        assert address.startswith("127.")
        assert etc.good(sys.executable, "-c", PYTHON, name) == address
        assert etc.good(node, "-e", NODE, name) == address
    port = free_port()
    with ExitStack() as stack:
        for name in ("data.shop.test", "data.two.shop.test"):
            stack.enter_context(saying(names[name], port, name))
        for name in ("data.shop.test", "data.two.shop.test"):
            assert etc.good(curl, "-sS", f"http://{name}:{port}/") == name
            fetch = f"fetch('http://{name}:{port}/').then(a => a.text()).then(console.log)"
            assert etc.good(node, "-e", fetch) == name


@pytest.mark.slow
def test_psql_finds_the_database_of_its_checkout(etc: OwnEtc) -> None:
    psql, programs = require.program("psql"), postgres()
    assert etc.devproxy("hosts", "--apply").code == Exit.GOOD
    names = etc.names()
    user = ["setpriv", "--reuid", "nobody", "--clear-groups"]
    port = free_port()
    with ExitStack() as stack:
        for name in ("db.shop.localhost", "db.two.shop.localhost"):
            data = etc.folder / name
            data.mkdir()
            shutil.chown(data, "nobody")
            quick = ["-U", "postgres", "-N", "-A", "trust", "--locale=C", "-E", "UTF8"]
            etc.good(*user, f"{programs}/initdb", "-D", str(data), *quick)
            settings = ["-c", f"listen_addresses={names[name]}", "-c", "fsync=off", "-c", f"cluster_name={name}"]
            argv = [*user, f"{programs}/postgres", "-D", str(data), "-k", str(data), "-p", str(port), *settings]
            stack.enter_context(running(etc.command(argv), etc.folder / f"{name}.log", cwd=etc.folder))
            wait_until(partial(connects, names[name], port), f"{name} at {names[name]}:{port}")
        for name in ("db.shop.localhost", "db.two.shop.localhost"):
            argv = [psql, "-h", name, "-p", str(port), "-U", "postgres", "-Atc", "show cluster_name"]
            wait_until(partial(prints, etc, argv, name), f"{name} is answered for by {name}")


def prints(etc: OwnEtc, argv: list[str], text: str) -> bool:
    return etc.run(*argv).out.strip() == text


def connects(address: str, port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex((address, port)) == 0


def test_every_name_is_for_programs_that_do_not_know_localhost_has_names_below_it(etc: OwnEtc) -> None:
    node, curl = require.program("node"), require.program("curl")
    require.ipv6()
    assert etc.run(sys.executable, "-c", PYTHON, "web.localhost").code != 0
    done = etc.devproxy("hosts", "--apply", "--all")
    assert done.code == Exit.GOOD
    assert "*.web.localhost" in done.err
    for name in ("web.localhost", "web.test", "devproxy.localhost", "devproxy.test"):
        assert etc.good(sys.executable, "-c", PYTHON, name) == "127.0.0.1 ::1"
        assert etc.good(node, "-e", NODE, name) == "127.0.0.1 ::1"
    own = etc.names("--own")["db.shop.localhost"]
    assert etc.good(sys.executable, "-c", PYTHON, "db.shop.localhost") == own
    port = free_port()
    with saying("127.0.0.1", port, "web"):
        assert etc.good(curl, "-sS", f"http://web.test:{port}/") == "web"
    # it stays a block of every name, until it is told otherwise
    assert "nothing to do" in etc.devproxy("hosts", "--apply").out
    assert etc.devproxy("hosts", "--check").code == Exit.GOOD
    done = etc.devproxy("hosts", "--check", "--own")
    assert done.code == Exit.BAD_NEWS
    assert "devproxy hosts --apply --own" in done.err
    assert etc.devproxy("hosts", "--apply", "--own").code == Exit.GOOD
    assert "web" not in etc.hosts.read_bytes().decode("latin-1")


CONTENTS = {
    "usual": BEFORE,
    "crlf": BEFORE.replace(b"\n", b"\r\n"),
    "without a line end": BEFORE + b"10.0.0.1 printer",
    "crlf without a line end": b"127.0.0.1 localhost\r\n10.0.0.1 printer",
    "empty": b"",
    "with a byte order mark": b"\xef\xbb\xbf127.0.0.1 localhost\n",
    "with the block of somebody else": b"# >>> devproxy hosts of alice >>>\n127.90.0.1 db.a.localhost\n"
    b"# <<< devproxy hosts of alice <<<\n",
}


@pytest.mark.parametrize("mount_point", [False, True], ids=["file", "mount point"])
def test_removal_gives_the_very_file_back(mount_point: bool) -> None:
    with own_etc(mount_point=mount_point) as etc:
        write(etc)
        for content in CONTENTS.values():
            etc.write(content)
            etc.hosts.chmod(0o640)
            os.chown(etc.hosts, UID, UID)
            before = etc.hosts.stat()
            assert (applied := etc.devproxy("hosts", "--apply")).code == Exit.GOOD, applied.err
            assert ("mount point" in applied.err) == mount_point
            assert (etc.hosts.stat().st_ino == before.st_ino) == mount_point
            assert b"db.two.shop.localhost" in etc.hosts.read_bytes()
            assert etc.hosts.read_bytes().startswith(content)
            assert "nothing to do" in etc.devproxy("hosts", "--apply").out
            assert etc.devproxy("hosts", "--remove").code == Exit.GOOD
            assert etc.hosts.read_bytes() == content
            after = etc.hosts.stat()
            assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
            assert "nothing to do" in etc.devproxy("hosts", "--remove").out
        assert not list(etc.etc.glob("*hosts*devproxy*"))
        assert not list(etc.etc.glob(".hosts*"))


def test_a_change_of_the_registry_is_told_and_what_is_around_the_block_may_change(etc: OwnEtc) -> None:
    assert etc.devproxy("hosts", "--check").code == Exit.BAD_NEWS
    assert etc.devproxy("hosts", "--apply").code == Exit.GOOD
    etc.write(b"10.0.0.1 printer\n" + etc.hosts.read_bytes() + b"10.0.0.2 scanner\n")
    done = etc.devproxy("hosts", "--check")
    assert (done.code, done.out) == (Exit.GOOD, "")
    file = etc.home.folder / "two" / "devproxy.toml"
    file.write_text(file.read_text("utf-8").replace("data.shop.test", "other.shop.test"), "utf-8")
    done = etc.devproxy("hosts", "--check")
    assert done.code == Exit.BAD_NEWS
    words = [(line.rsplit(" ", 2)[0].strip(), line.rsplit(" ", 1)[1]) for line in done.out.splitlines()]
    assert words == [("missing", "other.two.shop.test"), ("too much", "data.two.shop.test")]
    assert etc.devproxy("hosts", "--apply").code == Exit.GOOD
    assert etc.hosts.read_bytes().startswith(b"10.0.0.1 printer\n" + BEFORE)
    assert etc.hosts.read_bytes().endswith(b"<<<\n10.0.0.2 scanner\n")


def test_a_line_of_another_hand_that_leads_a_name_elsewhere_is_told_with_its_place(etc: OwnEtc) -> None:
    etc.write(BEFORE + b"127.0.0.1 web.localhost db.shop.localhost\n")
    for argv in ((), ("--apply",), ("--check",)):
        assert "/etc/hosts:4: db.shop.localhost is 127.0.0.1 there" in etc.devproxy("hosts", *argv).err
    assert etc.devproxy("hosts", "--check").code == Exit.BAD_NEWS
    wrong = etc.devproxy("hosts", "--apply").err
    assert "db.shop.localhost leads to 127.0.0.1" in wrong


def test_damaged_markers_are_not_guessed_at(etc: OwnEtc) -> None:
    assert etc.devproxy("hosts", "--apply").code == Exit.GOOD
    content = b"".join(line for line in etc.hosts.read_bytes().splitlines(keepends=True) if b"<<<" not in line)
    etc.write(content)
    for argv in ((), ("--apply",), ("--check",), ("--remove",)):
        done = etc.devproxy("hosts", *argv)
        assert done.code == Exit.BAD_NEWS
        assert "/etc/hosts:4: the block" in done.err
    assert etc.hosts.read_bytes() == content


def test_a_name_that_leads_elsewhere_is_told_until_the_block_is_there(etc: OwnEtc) -> None:
    commands = (("ls", "--all"), ("url", "db.shop"), ("health", "db.shop"))
    for argv in commands:
        said = etc.devproxy(*argv).err
        assert "db.shop.localhost does not resolve" in said
        assert said.count("devproxy hosts --apply") == 1
    etc.write(BEFORE + b"127.0.0.1 db.shop.localhost\n")
    assert "db.shop.localhost leads to 127.0.0.1, its address is 127." in etc.devproxy("ls", "--all").err
    etc.write(BEFORE)
    assert etc.devproxy("hosts", "--apply").code == Exit.GOOD
    for argv in commands:
        assert "hosts" not in etc.devproxy(*argv).err
    assert "hosts" not in etc.devproxy("url", "web").err


def test_a_system_that_does_not_ask_the_file_is_told_of(etc: OwnEtc) -> None:
    (etc.etc / "nsswitch.conf").write_text("passwd: files\nhosts: dns\n", "utf-8")
    (etc.etc / "resolv.conf").unlink(missing_ok=True)
    (etc.etc / "resolv.conf").write_text("nameserver 127.80.0.1\noptions timeout:1 attempts:1\n", "utf-8")
    done = etc.devproxy("hosts", "--apply")
    assert done.code == Exit.GOOD
    assert "asks `dns` for names before it asks `files`; put `files` first" in done.err


# Rights.


@pytest.mark.parametrize("action", ["--apply", "--remove"])
def test_sudo_is_asked_for_the_write_alone(etc: OwnEtc, action: str) -> None:
    if action == "--remove":
        names = f"# >>> devproxy hosts of {UID} >>>\n127.80.1.1 db.localhost\n# <<< devproxy hosts of {UID} <<<\n"
        etc.write(BEFORE + names.encode())
    before = etc.hosts.read_bytes()
    wanted = etc.names()
    tools = sudo_stand_in(etc.folder)
    env = etc.home.environment(PATH=f"{tools}:{os.environ['PATH']}")
    typed = OnTerminal(etc.as_user(*PROGRAM, "hosts", action), cwd=etc.home.folder, env=env)
    try:
        typed.wait_seen("sudo writes it")
        assert typed.wait() == Exit.GOOD
    finally:
        typed.close()
    assert etc.hosts.read_bytes() == before
    # What root runs, with root's environment: as sudo would
    flag, *argv = (etc.folder / "argv").read_text("utf-8").split("\0")[:-1]
    assert flag == "--"
    clean = {"PATH": os.environ["PATH"], "HOME": "/root", "SUDO_UID": str(UID)}
    done = etc.run(*argv, env=clean, stdin=(etc.folder / "stdin").read_bytes())
    assert done.code == Exit.GOOD, done.err
    if action == "--remove":
        assert etc.hosts.read_bytes() == BEFORE
    else:
        assert f"devproxy hosts of {UID} >>>" in etc.hosts.read_text("latin-1")
        for name, address in wanted.items():
            assert etc.good(sys.executable, "-c", PYTHON, name) == address


@pytest.mark.parametrize("has_sudo", [True, False])
def test_without_a_terminal_the_command_to_type_is_said(etc: OwnEtc, has_sudo: bool) -> None:
    tools = sudo_stand_in(etc.folder)
    if not has_sudo:
        (tools / "sudo").unlink()
    path = f"{tools}:{Path(sys.executable).parent}" + ("" if not has_sudo else f":{os.environ['PATH']}")
    env = etc.home.environment(PATH=path)
    command = etc.as_user(*PROGRAM, "hosts", "--apply")
    command = [require.program(command[0]), *command[1:]]
    command[command.index("setpriv")] = require.program("setpriv")
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == Exit.BAD_NEWS
    assert ("sudo is not installed" in done.stderr) != has_sudo
    assert not (etc.folder / "argv").exists()
    assert etc.hosts.read_bytes() == BEFORE
    (fix,) = [line for line in done.stderr.splitlines() if "fix: " in line]
    typed = fix.partition("fix: ")[2]
    assert ("sudo " in typed) == has_sudo
    first, _, second = typed.partition(" | sudo " if has_sudo else " && su -c ")
    first, _, kept = first.partition(" > ")
    assert first.endswith("hosts --own")
    printed = etc.run(*etc_words(etc, first))
    assert printed.code == Exit.GOOD
    if not has_sudo:  # su reads a password where sudo passes its input on
        (second,) = shlex.split(second)
        second = second.removesuffix(f" < {kept} && rm {kept}")
        assert kept == str(Path.home() / "devproxy.tmp")
    assert etc.run(*shlex.split(second), env={"PATH": os.environ["PATH"]}, stdin=printed.out.encode()).code == Exit.GOOD
    assert set(etc.names()) <= set(etc.hosts.read_text("latin-1").split())


def etc_words(etc: OwnEtc, typed: str) -> list[str]:
    """A command that is typed, as words for `OwnEtc.run`, by the user."""
    words = shlex.split(typed)
    argv = [*PROGRAM, *words[1:]] if words[0] == "devproxy" else words
    return etc.as_user(*argv)[2:]


def test_root_by_sudo_does_not_take_its_own_registry_for_the_users(etc: OwnEtc) -> None:
    assert etc.devproxy("hosts", "--apply").code == Exit.GOOD
    before = etc.hosts.read_bytes()
    empty = etc.folder / "root"
    empty.mkdir(mode=0o700)
    done = etc.devproxy("hosts", "--apply", DEVPROXY_HOME=str(empty), SUDO_UID=str(UID))
    assert done.code == Exit.REFUSED
    assert "devproxy hosts --apply" in done.err
    assert etc.hosts.read_bytes() == before
    # root who has a registry works for itself, however it has become root
    assert f"devproxy hosts of {pwd.getpwuid(0).pw_name} >>>" in etc.devproxy("hosts", SUDO_UID=str(UID)).out
    assert etc.devproxy("hosts", "--apply", SUDO_UID=str(UID)).code == Exit.GOOD
    assert etc.hosts.read_bytes() == before


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"127.0.0.1 web.localhost\n",
        b"# >>> devproxy hosts >>>\n93.184.216.34 example.com\n# <<< devproxy hosts <<<\n",
        b"# >>> devproxy hosts >>>\n127.0.0.1 a_b\n# <<< devproxy hosts <<<\n",
        b"# >>> devproxy hosts >>>\n127.0.0.1 a\n",
        b"# >>> devproxy hosts of a b >>>\n127.0.0.1 a\n# <<< devproxy hosts of a b <<<\n",
    ],
)
def test_root_writes_nothing_but_a_block_of_names_on_loopback(etc: OwnEtc, block: bytes) -> None:
    done = etc.devproxy("hosts", "--apply", "--stdin", stdin=block)
    assert done.code in (Exit.USAGE, Exit.REFUSED, Exit.BAD_NEWS)
    assert "Traceback" not in done.err
    assert etc.hosts.read_bytes() == BEFORE
