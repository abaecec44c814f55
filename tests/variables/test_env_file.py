"""`variables/env_file.py`: the file that a project wants is written, and no other, wherever symlinks lead."""

from pathlib import Path

import pytest

from devproxy.errors import DevproxyError, Exit
from devproxy.registry.decode import decode_local, decode_project, decode_user
from devproxy.registry.layers import Linked
from devproxy.registry.merge import merge
from devproxy.registry.model import EnvFile, Lease, Project, Registry
from devproxy.urls import Ports
from devproxy.variables.env_file import write_env_file

DB = '[services.db]\nprotocol = "tcp"\nport = 1\nlisten = 5432\n'
BEGIN, END = "# >>> devproxy env >>>\n", "# <<< devproxy env <<<\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "shop"
    found.mkdir()
    return found


def registry(folder: Path, write_env: str | None = ".env.local", name: str = "shop", local: str = "") -> Registry:
    top = "" if write_env is None else f'write_env = "{write_env}"\n'
    project = decode_project(f'project = "shop"\n{top}{DB}', str(folder / "devproxy.toml"))
    beside = decode_local(local, str(folder / "devproxy.local.toml")) if local else None
    adhoc = Lease(service=f"adhoc.{name}", port=4000, pid=1, file="/state/leases/adhoc.toml")
    return merge(decode_user("", "/r.toml"), [Linked(Project.of(name), project, beside)], [adhoc])


def write(found: Registry) -> bool:
    (file,) = found.env_files
    return write_env_file(file, found, Ports(7080))


def test_the_block_has_the_services_of_the_projects_files(folder: Path) -> None:
    assert write(registry(folder))
    text = (folder / ".env.local").read_text()
    assert text.startswith(f"{BEGIN}DB_HOST=127.0.0.1\nDB_PORT=5432\nDB_URL=tcp://127.0.0.1:5432\nSHOP_DB_HOST=")
    assert text.endswith(END)
    assert "ADHOC" not in text  # what `run` alone declares comes and goes
    assert not write(registry(folder))


@pytest.mark.parametrize(
    ("name", "wanted", "path"),
    [
        ("shop", ".env.{project}-{checkout}", ".env.shop-main"),
        ("fix-ui.shop", ".env.{project}-{checkout}", ".env.shop-fix-ui"),
        ("shop", ".env{worktree}.local", None),
        ("fix-ui.shop", "{worktree}x.env", "fix-uix.env"),
    ],
)
def test_the_path_knows_the_checkout(folder: Path, name: str, wanted: str, path: str | None) -> None:
    found = registry(folder, wanted, name)
    assert [file.path for file in found.env_files] == ([str(folder / path)] if path else [])
    assert bool(found.problems) == (path is None)


def test_the_local_file_has_the_last_word(folder: Path) -> None:
    (file,) = registry(folder, local='write_env = "my.env"\n').env_files
    assert file == EnvFile(Project("shop"), str(folder / "my.env"), str(folder), file.source)
    assert file.source.where == f"{folder}/devproxy.local.toml:1"
    assert registry(folder, None).env_files == ()


def test_what_nobody_has_linked_is_not_written(folder: Path) -> None:
    project = decode_project(f'project = "shop"\nwrite_env = ".env"\n{DB}', str(folder / "devproxy.toml"))
    assert merge(None, [Linked(Project("shop"), project)]).env_files == ()  # as `check` reads a file


def test_a_symlink_within_the_project_is_written_through(folder: Path) -> None:
    (folder / "shared").mkdir()
    (folder / ".env.local").symlink_to("shared/dev.env")
    assert write(registry(folder))
    assert (folder / ".env.local").is_symlink()
    assert (folder / "shared" / "dev.env").read_text().startswith(BEGIN)


def test_the_projects_own_folder_may_be_behind_a_symlink(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert write(registry(tmp_path / "link"))
    assert (folder / ".env.local").exists()


@pytest.mark.parametrize(
    "target", ["../outside.env", "Makefile", ".git/config", "{tmp}/outside.env", "missing/../../x.env"]
)
def test_a_symlink_to_anything_else_is_refused(folder: Path, tmp_path: Path, target: str) -> None:
    (folder / ".env.local").symlink_to(target.replace("{tmp}", str(tmp_path)))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DevproxyError, match="is not written") as caught:
        write(registry(folder))
    assert caught.value.exit_code == Exit.REFUSED
    assert caught.value.where == f"{folder}/devproxy.toml:2"
    assert sorted(tmp_path.iterdir()) == before
    assert list(folder.iterdir()) == [folder / ".env.local"]


def test_a_folder_that_leads_elsewhere_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (folder / "web").symlink_to("../other")
    with pytest.raises(DevproxyError, match="is not written"):
        write(registry(folder, "web/.env"))
    assert list((tmp_path / "other").iterdir()) == []


def test_no_folder_is_made(folder: Path) -> None:
    with pytest.raises(DevproxyError, match="could not be written") as caught:
        write(registry(folder, "web/.env"))
    assert caught.value.why == "its folder does not exist"
