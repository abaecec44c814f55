"""Who is another user of this machine, and whose a listener or a connection is."""

import os
import socket

import pytest

from devproxy.net import sockdiag, users
from tests import require
from tests.other_user import UID, listens
from tests.ports import free_port


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_trusted", users._trusted.__wrapped__)


@pytest.mark.parametrize(
    ("us", "sudo", "trusted", "others"),
    [
        (1000, "", {0, 1000}, {1001, 33, 65534}),
        (1000, "1001", {0, 1000}, {1001}),  # anybody may set a variable; only root's is believed
        (0, "", {0}, {1000, 65534}),
        (0, "1000", {0, 1000}, {1001}),
        (0, "x", {0}, {1000}),
    ],
)
def test_who_is_trusted(
    us: int, sudo: str, trusted: set[int], others: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: us)
    monkeypatch.setenv("SUDO_UID", sudo)
    assert {uid for uid in trusted | others if users.is_other_user(uid)} == others


def test_names() -> None:
    assert users.user_name(0) == "root"
    assert users.user_name(4_000_000_000) == "4000000000"


class TestOnLinux:
    @pytest.fixture(autouse=True)
    def linux(self) -> None:
        require.linux()

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    @pytest.mark.parametrize("wildcard", [False, True])
    def test_our_own_listener(self, host: str, *, wildcard: bool) -> None:
        require.loopback(host)
        port = free_port()
        place = {"127.0.0.1": "0.0.0.0", "::1": "::"}[host] if wildcard else host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        assert sockdiag.listener_uid(host, port) is None
        with socket.create_server((place, port), family=family):
            assert sockdiag.listener_uid(host, port) == os.geteuid()
            assert users.other_listener(host, port) is None

    def test_one_that_is_bound_to_the_loopback_device(self) -> None:
        require.root()
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port := free_port()))
            sock.listen()
            assert sockdiag.listener_uid("127.0.0.1", port) == os.geteuid()

    def test_the_listener_that_the_kernel_prefers(self) -> None:
        """Ours has 127.0.0.1; the other user's takes every address besides."""
        port = free_port()
        with socket.socket() as sock, listens("::1", port):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            sock.listen()
            assert users.other_listener("127.0.0.1", port) is None
            assert users.other_listener("::1", port) == UID

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_a_connection_of_another_user(self, host: str) -> None:
        require.loopback(host)
        with listens(host, port := free_port()), socket.create_connection((host, port)) as sock:
            assert users.other_peer(sock) == UID

    def test_one_whose_listener_is_gone(self) -> None:
        port = free_port()
        with (
            listens("127.0.0.1", port, once=True) as other,
            socket.create_connection(("127.0.0.1", port)) as sock,
        ):
            assert other.line() == "took one"
            assert sockdiag.listener_uid("127.0.0.1", port) is None
            assert users.other_peer(sock) == UID

    def test_our_own_connection(self) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as sock,
        ):
            assert users.other_peer(sock) is None  # not accepted yet
            accepted, _ = server.accept()
            server.close()
            assert sockdiag.peer_uid(sock.getsockname(), sock.getpeername()) == os.geteuid()
            assert users.other_peer(sock) is None
            accepted.close()
            sock.close()
            assert users.other_peer(sock) is None
