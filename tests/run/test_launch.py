"""The port and the lease that a service gets."""

import os
import socket
from pathlib import Path

import pytest

from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.registry.leases import read_leases
from devproxy.registry.loader import read
from devproxy.run.launch import Launch, launch
from devproxy.run.selection import select_service
from devproxy.urls import Ports
from tests.ports import free_port


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "config").mkdir(mode=0o700)
    return Paths(tmp_path / "config", tmp_path / "state")


def start(paths: Paths, name: str, *argv: str, force: bool = False) -> Launch:
    folder = paths.config.parent
    selected = select_service(name, folder, read(paths))
    return launch(paths, selected, folder=folder, ports=Ports(7080), argv=argv, force=force)


def test_a_new_name_gets_a_port_of_the_range_and_a_route(paths: Paths) -> None:
    ready = start(paths, "web", "true")
    assert 20000 <= ready.lease.port <= 29999
    assert (ready.lease.pid, ready.lease.checkout) == (os.getpid(), str(paths.config.parent))
    assert ready.service.hosts == ("web.localhost",)
    assert ready.prepared.env["PORT"] == str(ready.lease.port)
    assert [service.id for service in read(paths).services] == ["web"]


def test_two_names_get_two_ports(paths: Paths) -> None:
    assert start(paths, "web", "true").lease.port != start(paths, "api", "true").lease.port


def test_the_port_of_the_file_is_kept(paths: Paths) -> None:
    port = free_port()
    paths.registry.write_text(f"[services.web]\nport = {port}\ncommand = ['thing', '{{port}}']\n")
    ready = start(paths, "web")
    assert ready.lease.port == port
    assert ready.prepared.argv == ["thing", str(port)]


def test_the_name_leads_where_listens_says_and_port_is_another_one(paths: Paths) -> None:
    port = free_port()
    paths.registry.write_text(f"[services.web]\nlistens = {port}\ncommand = 'vite --port {port}'\n")
    ready = start(paths, "web")
    assert (ready.lease.port, ready.service.upstream and ready.service.upstream.port) == (port, port)
    assert 20000 <= int(ready.prepared.env["PORT"]) <= 29999
    assert ready.prepared.argv[-1] == f"vite --port {port}"
    with pytest.raises(DevproxyError, match="is running already"):
        start(paths, "web")


def test_a_port_that_listens_names_is_nobody_elses(paths: Paths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        paths.registry.write_text(f"[services.web]\nlistens = {port}\ncommand = 'true'\n")
        with pytest.raises(DevproxyError, match=f"port {port} of `web` is taken") as error:
            start(paths, "web")
    assert "`listens`" in error.value.fix


def test_a_port_that_somebody_holds_is_told(paths: Paths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        paths.registry.write_text(f"[services.web]\nport = {port}\n")
        with pytest.raises(DevproxyError, match=f"port {port} of `web` is taken") as error:
            start(paths, "web", "true")
    assert f"pid {os.getpid()}" in error.value.why
    assert read_leases(paths) == ()


def test_a_command_with_a_port_of_its_own_has_that(paths: Paths) -> None:
    port = free_port()
    ready = start(paths, "web", "python", "-m", "http.server", str(port))
    assert ready.lease.port == port
    assert [lease.port for lease in read_leases(paths)] == [port]


def test_what_cannot_be_prepared_leaves_no_lease(paths: Paths) -> None:
    paths.registry.write_text("[services.web]\n")
    with pytest.raises(DevproxyError, match="has no command"):
        start(paths, "web")
    assert read_leases(paths) == ()


def test_another_checkout_does_not_answer_under_the_name_of_the_linked_one(paths: Paths, tmp_path: Path) -> None:
    for checkout in ("main", "other"):
        (tmp_path / checkout).mkdir()
        (tmp_path / checkout / "devproxy.toml").write_text('project = "shop"\n[services.web]\ncommand = "true"\n')
    paths.registry.write_text(f"[projects.shop]\npath = '{tmp_path}/main/devproxy.toml'\n")
    registry = read(paths)

    def in_checkout(name: str) -> Launch:
        folder = tmp_path / name
        return launch(paths, select_service("web", folder, registry), folder=folder, ports=Ports(7080))

    with pytest.raises(DevproxyError, match=r"`web.shop` belongs to another checkout") as error:
        in_checkout("other")
    assert f"devproxy link --as two {tmp_path / 'other'}" in error.value.fix
    assert read_leases(paths) == ()
    assert in_checkout("main").service.id == "web.shop"


def test_the_name_is_had_once(paths: Paths) -> None:
    first = start(paths, "web", "true")
    with pytest.raises(DevproxyError, match="is running already"):
        start(paths, "web", "true")
    second = start(paths, "web", "true", force=True)
    assert read_leases(paths) == (second.lease,)
    assert first.lease.service == second.lease.service


def test_two_checkouts_of_a_project_have_two_ports(paths: Paths, tmp_path: Path) -> None:
    port = free_port()
    for checkout in ("main", "fix"):
        (tmp_path / checkout).mkdir()
        (tmp_path / checkout / "devproxy.toml").write_text(
            f'project = "shop"\n[services.web]\nport = {port}\ncommand = "true {{port}}"\n'
        )
    paths.registry.write_text(
        f"[projects.shop]\npath = '{tmp_path}/main/devproxy.toml'\n"
        f"[projects.'fix.shop']\npath = '{tmp_path}/fix/devproxy.toml'\n"
    )

    def in_checkout(name: str) -> Launch:
        folder = tmp_path / name
        return launch(paths, select_service("web", folder, read(paths)), folder=folder, ports=Ports(7080))

    main, fix = in_checkout("main"), in_checkout("fix")
    assert (main.service.id, main.lease.port) == ("web.shop", port)
    assert (fix.service.id, fix.service.hosts) == ("web.fix.shop", ("web.fix.shop.localhost", "fix.shop.localhost"))
    assert fix.lease.port != port
    assert fix.prepared.argv[-1] == f"true {fix.lease.port}"
    assert fix.prepared.cwd == str(tmp_path / "fix")
