"""Where devproxy's files are, and which folders it trusts."""

import os
import stat
import sys
from pathlib import Path

import platformdirs
import pytest

from devproxy.errors import DevproxyError, Exit
from devproxy.paths import (
    Paths,
    as_root,
    check_private,
    ending_file,
    ensure_private,
    local_file,
    nearest_project,
    project_file,
    schema_file,
)
from tests import require


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_devproxy_home_holds_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVPROXY_HOME", str(tmp_path))
    paths = Paths.from_environment()
    assert paths.registry == tmp_path / "config" / "registry.toml"
    assert paths.proxy == tmp_path / "state" / "proxy.json"
    assert paths.health == tmp_path / "state" / "health.json"
    assert paths.leases == tmp_path / "state" / "leases"
    assert paths.log == tmp_path / "state" / "log"


def test_every_file_is_in_one_of_the_two_folders_and_no_two_are_the_same(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state")
    found = [getattr(paths, name) for name, value in vars(Paths).items() if isinstance(value, property)]
    found += [
        made(name) for name in ("web", "a.b") for made in (paths.lease, paths.service_log, paths.on_request_output)
    ]
    found += [paths.group(7), paths.group_requests(7), ending_file(paths.lease("web"), 7)]
    assert len(set(found)) == len(found) > 20
    assert all(file.is_relative_to(tmp_path / "config") or file.is_relative_to(tmp_path / "state") for file in found)


@pytest.mark.parametrize("service", ["access", "serve", "up", "devproxy"])
def test_a_service_called_like_a_log_of_ours_has_its_own(tmp_path: Path, service: str) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state")
    ours = {paths.access_log, paths.serve_output, paths.group_output, paths.proxy_log}
    assert paths.service_log(service) not in ours
    assert paths.service_log(f"{service}.shop") == paths.log / f"{service}.shop.log"


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_what_is_made_is_private_up_to_our_own_folder(tmp_path: Path) -> None:
    outside = tmp_path / "home"
    outside.mkdir(mode=0o755)
    paths = Paths(outside / "config", outside / "state")
    paths.make(paths.on_request_output("web").parent)
    assert {mode(folder) for folder in (paths.state, paths.log, paths.log / "on-request")} == {0o700}
    assert mode(outside) == 0o755
    assert not paths.config.exists()


def test_files_of_a_project_lie_side_by_side(tmp_path: Path) -> None:
    project = tmp_path / "devproxy.toml"
    assert local_file(project) == tmp_path / "devproxy.local.toml"
    assert project_file(local_file(project)) == project_file(project) == project
    assert schema_file(project) == tmp_path / "registry.schema.json"
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert nearest_project(tmp_path / "a" / "b") is None
    project.write_text("")
    assert nearest_project(tmp_path / "a" / "b") == nearest_project(tmp_path) == project


def test_a_relative_home_is_made_absolute_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEVPROXY_HOME", "here")
    assert Paths.from_environment().config == tmp_path / "here" / "config"


def test_without_it_the_platform_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require.linux()
    monkeypatch.setenv("DEVPROXY_HOME", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    assert Paths.from_environment() == Paths(tmp_path / "c" / "devproxy", tmp_path / "s" / "devproxy")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs itself is asked")
@pytest.mark.parametrize("value", [None, "", "relative", "/somewhere/else"])
def test_on_linux_it_is_what_platformdirs_says(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEVPROXY_HOME", raising=False)
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        if value is None:
            monkeypatch.delenv(variable, raising=False)
        else:
            monkeypatch.setenv(variable, value)
    paths = Paths.from_environment()
    assert str(paths.config) == platformdirs.user_config_dir("devproxy", appauthor=False)
    assert str(paths.state) == platformdirs.user_state_dir("devproxy", appauthor=False)


def test_a_new_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert mode(ensure_private(tmp_path / "a" / "config")) == 0o700
    finally:
        os.umask(before)


def test_an_open_folder_of_ours_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    assert mode(ensure_private(tmp_path)) == 0o700


def test_a_missing_folder_is_nothing_to_refuse(tmp_path: Path) -> None:
    check_private(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_our_symlink_to_our_folder_is_fine_and_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles"
    target.mkdir(mode=0o755)
    (tmp_path / "config").symlink_to(target)
    ensure_private(tmp_path / "config")
    assert mode(target) == 0o755


@pytest.mark.parametrize("kind", ["file", "dangling"])
def test_something_that_is_no_folder_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "config"
    if kind == "file":
        path.write_text("")
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DevproxyError, match="not a folder") as caught:
        ensure_private(path)
    assert caught.value.exit_code is Exit.REFUSED
    assert caught.value.fix == f"ls -ld {path}"


@pytest.mark.parametrize(
    ("us", "has_sudo", "line"),
    [(0, True, "kill 7"), (0, False, "kill 7"), (1000, True, "sudo kill 7"), (1000, False, "su -c 'kill 7'")],
)
def test_what_takes_roots_rights_is_typed_with_what_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, us: int, has_sudo: bool, line: str
) -> None:
    require.linux()
    if has_sudo:
        (tmp_path / "sudo").touch(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: us)
    assert as_root("kill 7") == line


@pytest.mark.parametrize("by_sudo", [False, True])
def test_root_in_another_users_folder_is_told_whom_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_sudo: bool
) -> None:
    require.root()
    monkeypatch.delenv("SUDO_UID", raising=False)
    if by_sudo:
        monkeypatch.setenv("SUDO_UID", "4242")
    os.chown(tmp_path, 4242, -1)
    with pytest.raises(DevproxyError) as caught:
        check_private(tmp_path)
    assert ("sudo" in caught.value.fix) is by_sudo
    assert ("user 4242" in caught.value.fix) is not by_sudo


@pytest.mark.parametrize("what", ["folder", "symlink", "target"])
def test_a_folder_that_someone_else_holds_is_refused(tmp_path: Path, what: str) -> None:
    require.root()
    folder, target = tmp_path / "config", tmp_path / "elsewhere"
    if what == "folder":
        folder.mkdir()
    else:
        target.mkdir()
        folder.symlink_to(target)
    os.chown(target if what == "target" else folder, 65534, 65534, follow_symlinks=False)
    with pytest.raises(DevproxyError, match="not a folder of yours") as caught:
        ensure_private(folder)
    assert caught.value.exit_code is Exit.REFUSED
    assert "it belongs to user 65534" in caught.value.why
    assert caught.value.fix
