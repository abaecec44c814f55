"""`devproxy init`: it writes a file that works, once, and runs nothing."""

from pathlib import Path

import pytest

from devproxy.registry.decode import decode_project
from tests.cli.command import Home
from tests.detect.checkout import write

FILES = {
    "package.json": '{"name": "shop", "workspaces": ["apps/*"]}',
    "apps/web/package.json": '{"name": "web", "scripts": {"dev": "touch /tmp/never"}}',
    "apps/admin/package.json": '{"name": "admin", "scripts": {"dev": "next dev"}}',
    "compose.yaml": "services:\n  db:\n    image: postgres\n    ports: ['127.0.0.1:54329:5432']\n",
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write(tmp_path / "shop", FILES)


def test_it_writes_what_it_found_and_shows_it(home: Home, shop: Path) -> None:
    done = home.run("init", cwd=shop)
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()] == ["SERVICE", "admin", "web", "db"]
    file = shop / "devproxy.toml"
    assert f"written: {file}\n" in done.err
    decoded = decode_project(file.read_text(), str(file))
    assert decoded.ok
    assert decoded.value is not None
    assert (decoded.value.project, list(decoded.value.services)) == ("shop", ["admin", "web", "db"])
    assert decoded.value.services["web"].cwd == "apps/web"
    assert home.run("check", str(file)).code == 0
    assert home.run("link", cwd=shop).code == 0
    assert "web.shop.localhost" in home.run("ls").out


def test_what_listens_nowhere_is_shown_and_linked_as_such(home: Home, tmp_path: Path) -> None:
    text = "web: node server.js --port $PORT\njobs: bundle exec sidekiq\nrelease: bin/rails db:migrate\n"
    folder = write(tmp_path / "shop", {"Procfile": text})
    done = home.run("init", cwd=folder)
    kinds = {line.split()[0]: line.rpartition("Procfile:")[0].split()[-1] for line in done.out.splitlines()[1:]}
    assert kinds == {"web": "server", "jobs": "worker", "release": "task"}
    assert home.run("check", str(folder / "devproxy.toml")).code == 0


def test_what_compose_starts_is_valid_and_says_what_to_change(home: Home, tmp_path: Path) -> None:
    """On stderr and above the service; nothing of it is asked for twice."""
    text = "services:\n  db:\n    image: postgres\n    ports:\n      - 5432:5432\n  web:\n    ports: ['80:80']\n"
    folder = write(tmp_path / "shop", {"compose.yaml": text + "    depends_on: [db]\n"})
    done = home.run("init", cwd=folder)
    assert done.code == 0, done.err
    change = (
        'compose.yaml:5:9: `db` is published on every interface and always at 5432: write "127.0.0.1:${DB_PORT:-5432}:'
        '5432" in place of `5432:5432`'
    )
    assert f"note: {change}\n" in done.err
    file = folder / "devproxy.toml"
    written = file.read_text()
    assert f"[services.db]  # compose.yaml: services.db\n# {change}\n" in written
    assert written.count('env = { COMPOSE_PROJECT_NAME = "{project}-{checkout}", ') == 2
    assert home.run("check", str(file)).code == 0
    assert home.run("link", cwd=folder).code == 0
    assert home.run("url", "db").out == "postgresql://127.0.0.1:5432\n"


def test_it_never_overwrites(home: Home, shop: Path) -> None:
    file = shop / "devproxy.toml"
    file.write_text("# mine\n")
    done = home.run("init", cwd=shop)
    assert (done.code, done.out) == (1, "")
    assert "stays as it is" in done.err
    assert file.read_text() == "# mine\n"
    file.unlink()
    file.symlink_to(shop / "elsewhere.toml")
    assert home.run("init", cwd=shop).code == 1
    assert not (shop / "elsewhere.toml").exists()


def test_a_dry_run_writes_nothing(home: Home, shop: Path) -> None:
    done = home.run("init", "--dry-run", "--name", "store", str(shop))
    assert done.code == 0
    assert 'project = "store"' in done.out
    assert not (shop / "devproxy.toml").exists()


def test_nothing_found_is_said_with_an_example(home: Home, tmp_path: Path) -> None:
    done = home.run("init", cwd=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert "       [services.web]\n" in done.err
    assert not (tmp_path / "devproxy.toml").exists()


def test_a_name_is_a_label(home: Home, shop: Path) -> None:
    assert home.run("init", "--name", "My Shop", cwd=shop).code == 2
    assert not (shop / "devproxy.toml").exists()
