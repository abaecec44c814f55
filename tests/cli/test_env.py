"""`devproxy env`: variables on stdout and nothing else, what is said on stderr, a block in a file, exit codes."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from devproxy.tls.authority import AuthorityStore
from devproxy.tls.bundle import ADDED, WHOLE
from tests import require
from tests.cli.command import Home, pretend_running, write_all
from tests.waiting import PROGRAM_DEADLINE

STOPPED = "the proxy is not running; start it: devproxy start\n"
DB = "DB_HOST=127.0.0.1\nDB_PORT=5432\nDB_URL=tcp://127.0.0.1:5432\n"
DB += "SHOP_DB_HOST=127.0.0.1\nSHOP_DB_PORT=5432\nSHOP_DB_URL=tcp://127.0.0.1:5432\n"


@pytest.fixture
def shop(home: Home) -> Path:
    """The folder of a linked project, whose proxy runs."""
    pretend_running(home, 7080)
    return write_all(home).parent


def test_all_of_the_project_one_stands_in(home: Home, shop: Path) -> None:
    below = shop / "deep" / "er"
    below.mkdir(parents=True)
    done = home.run("env", "--format", "json", cwd=below)
    assert (done.code, done.err) == (0, "")
    values = json.loads(done.out)
    assert values["WEB_URL"] == "http://web.shop.localhost:7080"  # and not that of the user registry's `web`
    assert values["SHOP_API_PORT"] == "7080"
    assert values["DB_URL"] == "tcp://127.0.0.1:5432"
    assert len(values) == 3 * 2 * 3


@pytest.mark.parametrize("names", [["db"], ["db.shop"], ["db", "db.shop"]])
def test_those_that_are_named(home: Home, shop: Path, names: list[str]) -> None:
    assert home.run("env", *names, "--format", "dotenv", cwd=shop) == (0, DB, "")
    exported = "".join(f"export {line}'\n" for line in DB.replace("=", "='").splitlines())
    assert home.run("env", *names, cwd=shop) == (0, exported, "")


def test_with_the_proxy_stopped_ports_are_those_of_url(home: Home) -> None:
    shop = write_all(home).parent
    done = home.run("env", "web", "--format", "dotenv", cwd=shop)
    assert (done.code, done.err) == (0, STOPPED)
    assert done.out.startswith("WEB_HOST=web.shop.localhost\nWEB_PORT=80\nWEB_URL=http://web.shop.localhost\n")
    home.write(f"[proxy]\nhttp = 7085\n{home.registry.read_text()}")
    out = home.run("env", "web", "--format", "dotenv", cwd=shop).out
    assert "WEB_PORT=7085\nWEB_URL=http://web.shop.localhost:7085\n" in out


def test_one_without_an_address_is_left_out_and_named_it_is_an_error(home: Home, shop: Path) -> None:
    file = shop / "devproxy.toml"
    more = '[services.cache]\nprotocol = "tcp"\ncommand = "cached"\n[services.job]\nkind = "worker"\ncommand = "work"\n'
    file.write_text(f"{file.read_text()}\n{more}")
    done = home.run("env", cwd=shop)
    assert (done.code, "CACHE" in done.out, "JOB" in done.out) == (0, False, False)
    assert done.err == "left out, because nothing says yet where to reach it: `cache.shop`\n"
    for name, what in (("cache", "`cache.shop` has no address yet\n"), ("job", "`job.shop` has no address\n")):
        done = home.run("env", "db", name, cwd=shop)
        assert (done.code, done.out) == (1, "")
        assert what in done.err
        assert "fix: " in done.err


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["dbs"], 1, "nothing is called `dbs`\n  fix: did you mean `db`?\n"),
        (["--format", "yaml"], 2, "`yaml` is not one of `shell`, `dotenv`, `json`"),
        (["--format", "json", "--write", ".env"], 2, "--write cannot be combined with --format json"),
        (["--write", "."], 1, "this is a folder"),
        (["--write", "none/.env"], 1, "its folder does not exist"),
    ],
)
def test_what_cannot_be(home: Home, shop: Path, argv: list[str], code: int, said: str) -> None:
    done = home.run("env", *argv, cwd=shop)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert sorted(entry.name for entry in shop.iterdir()) == ["devproxy.toml"]


def test_without_a_project_it_says_what_to_do(home: Home) -> None:
    home.write("[services.web]\nport = 1\n")
    done = home.run("env")
    assert (done.code, done.out) == (2, "")
    assert "devproxy.toml" in done.err


def test_a_file_is_kept_current(home: Home, shop: Path) -> None:
    file = shop / ".env"
    file.write_bytes(b"A=1\r\n# mine")
    assert home.run("env", "db", "--write", ".env", cwd=shop) == (0, "", ".env: 6 variables\n")
    block = f"# >>> devproxy env >>>\n{DB}# <<< devproxy env <<<".replace("\n", "\r\n").encode()
    assert file.read_bytes() == b"A=1\r\n# mine\r\n" + block
    assert home.run("env", "db", "--write", ".env", cwd=shop).err == ".env: 6 variables, as before\n"
    file.write_bytes(file.read_bytes() + b"\r\nB=2\r\n")
    text = (shop / "devproxy.toml").read_text().replace("listen = 5432", "listen = 6543")
    (shop / "devproxy.toml").write_text(text)
    assert home.run("env", "db", "--write", ".env", cwd=shop).code == 0
    assert file.read_bytes() == b"A=1\r\n# mine\r\n" + block.replace(b"5432", b"6543") + b"\r\nB=2\r\n"


def test_a_damaged_block_is_told_with_its_line(home: Home, shop: Path) -> None:
    (shop / ".env").write_text("A=1\n# >>> devproxy env >>>\nB=2\n")
    done = home.run("env", "--write", ".env", cwd=shop)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(
        ".env:2: the block `devproxy env` is damaged: the line `# <<< devproxy env <<<` is missing"
    )
    assert (shop / ".env").read_text() == "A=1\n# >>> devproxy env >>>\nB=2\n"


def test_values_are_utf_8_in_every_locale(home: Home, shop: Path) -> None:
    file = shop / "devproxy.toml"
    file.write_text(f'{file.read_text()}\n[services.sock]\nprotocol = "tcp"\nupstream = "unix:Übung/s.sock"\n', "utf-8")
    done = home.run("env", "sock", cwd=shop, PYTHONIOENCODING="ascii")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == f"export SOCK_URL='unix:{shop}/Übung/s.sock'"


# As people use it, with the programs themselves


def run(argv: list[str], home: Home, cwd: Path, **extra: str) -> str:
    bin_folder = home.folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    program = bin_folder / "devproxy"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m devproxy "$@"\n')
    program.chmod(0o755)
    env = home.environment(PATH=f"{bin_folder}:{os.environ['PATH']}", HOME=str(home.folder), **extra)
    done = subprocess.run(
        argv, cwd=cwd, env=env, capture_output=True, encoding="utf-8", timeout=PROGRAM_DEADLINE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        ("sh", 'eval "$(devproxy env)"; echo "$DB_URL $SHOP_WEB_URL"'),
        ("bash", 'set -eu; eval "$(devproxy env)"; echo "$DB_URL $SHOP_WEB_URL"'),
        ("zsh", 'eval "$(devproxy env)"; echo "$DB_URL $SHOP_WEB_URL"'),
        ("fish", 'devproxy env --format fish | source; echo "$DB_URL $SHOP_WEB_URL"'),
        (
            "bash",
            'devproxy env --format dotenv > vars; set -a; . ./vars; env > out; . ./out; echo "$DB_URL $SHOP_WEB_URL"',
        ),
    ],
)
def test_in_a_shell(home: Home, shop: Path, shell: str, script: str) -> None:
    out = run([require.program(shell), "-c", script], home, shop)
    assert out == "tcp://127.0.0.1:5432 http://web.shop.localhost:7080\n"


def test_in_direnv(home: Home, shop: Path) -> None:
    direnv = require.program("direnv")
    (shop / ".envrc").write_text('eval "$(devproxy env)"\n')
    run([direnv, "allow", "."], home, shop)
    out = run([direnv, "exec", ".", "sh", "-c", 'echo "$DB_URL $SHOP_WEB_URL"'], home, shop)
    assert out == "tcp://127.0.0.1:5432 http://web.shop.localhost:7080\n"
    (shop / ".env").write_text("A=1\n")
    assert home.run("env", "--write", ".env", cwd=shop).code == 0
    (shop / ".envrc").write_text("dotenv\n")
    run([direnv, "allow", "."], home, shop)
    out = run([direnv, "exec", ".", "sh", "-c", 'echo "$A $DB_URL $SHOP_WEB_URL"'], home, shop)
    assert out == "1 tcp://127.0.0.1:5432 http://web.shop.localhost:7080\n"


def test_on_github(home: Home, shop: Path) -> None:
    file = home.folder / "github_env"
    file.write_text("A=1\n")
    run(["bash", "-c", 'devproxy env db --format github >> "$GITHUB_ENV"'], home, shop, GITHUB_ENV=str(file))
    assert file.read_text() == f"A=1\n{DB}"


# Certificates


CERTIFICATES = {*WHOLE, *ADDED}


@pytest.fixture
def with_ca(home: Home, shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the project; its proxy has a port for HTTPS, and there is a local CA."""
    for name in CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    pretend_running(home, 7080, https=7443)
    AuthorityStore(home.state / "ca").ensure(("localhost",), dt.datetime.now(dt.UTC))
    return shop


def names(output: str) -> set[str]:
    return set(re.findall(r"^(?:export |set -gx |\$env:)?(\w+)", output, re.MULTILINE))


@pytest.mark.parametrize(("kind", "has"), [("shell", True), ("fish", True), ("powershell", True), ("dotenv", False)])
def test_a_shell_is_told_which_certificates_to_trust(home: Home, with_ca: Path, kind: str, has: bool) -> None:
    done = home.run("env", "--format", kind, cwd=with_ca)
    assert (done.code, done.err) == (0, "")
    assert names(done.out) & CERTIFICATES == (CERTIFICATES if has else set())
    if kind == "shell":
        assert f"export NODE_EXTRA_CA_CERTS='{home.state}/bundles/devproxy.pem'\n" in done.out


def test_a_variable_of_the_shell_stays(home: Home, with_ca: Path) -> None:
    done = home.run("env", cwd=with_ca, SSL_CERT_FILE="/mine.pem")
    assert names(done.out) & CERTIFICATES == CERTIFICATES - {"SSL_CERT_FILE"}


@pytest.mark.parametrize("why", ["no https", "switched off", "damaged"])
def test_a_shell_is_not_told_where_there_is_nothing_to_trust(home: Home, with_ca: Path, why: str) -> None:
    said = ""
    if why == "no https":
        pretend_running(home, 7080)
    elif why == "switched off":
        home.write(f"[proxy]\nca_bundle = false\n{home.registry.read_text()}")
    else:
        next((home.state / "ca").glob("*/root.pem")).unlink()
        said = "root.pem is missing"
    done = home.run("env", cwd=with_ca)
    assert done.code == 0
    assert not names(done.out) & CERTIFICATES
    assert said in done.err
    assert bool(done.err) == bool(said)


@pytest.mark.parametrize("switch", ["", "ca_bundle = false\n"])
def test_a_command_is_told_which_certificates_to_trust(home: Home, with_ca: Path, switch: str) -> None:
    file = with_ca / "devproxy.toml"
    file.write_text(f'{file.read_text()}\n[services.job]\nkind = "task"\ncommand = "env"\n{switch}')
    done = home.run("run", "job", cwd=with_ca)
    assert done.code == 0, done
    assert names(done.out) & CERTIFICATES == (set() if switch else CERTIFICATES)
