"""Sockets that systemd hands over (sd_listen_fds(3)): used if they are loopback ones, refused if not."""

import re
import sys

import pytest

from devproxy.errors import Exit
from tests import require
from tests.net.own_process import child

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="systemd")


def hand_over(*lines: str, pid: str = "os.getpid()", names: str = "a:b", report: str = "report(0)") -> str:
    """Code that puts the sockets which `lines` evaluate to on descriptors 3, 4, … as systemd does, and listens."""
    made = ", ".join(lines)
    return f"""
def tcp(host, family=socket.AF_INET, listening=True):
    sock = socket.socket(family)
    sock.bind((host, 0))
    if listening: sock.listen()
    return sock
made = [{made}]
copies = [fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, 50) for sock in made]
for number, copy in enumerate(copies): os.dup2(copy, 3 + number)
os.environ.update(LISTEN_PID=str({pid}), LISTEN_FDS=str(len(made)), LISTEN_FDNAMES="{names}", LISTEN_PIDFDID="1")
port = lambda number: made[number].getsockname()[1]
{report}
"""


def test_sockets_of_systemd_are_used() -> None:
    require.ipv6()
    got = child(hand_over("tcp('127.0.0.1')", "tcp('::1', socket.AF_INET6)"))
    assert [re.sub(r"\d+$", "N", address) for address in got["addresses"]] == ["127.0.0.1:N", "[::1]:N"]
    assert got["left"] == []


def test_a_family_that_systemd_left_out_is_said() -> None:
    got = child(hand_over("tcp('127.0.0.1')"))
    assert got["addresses"] == [f"127.0.0.1:{got['port']}"]
    assert f"ListenStream=[::1]:{got['port']}" in got["notices"][0]


@pytest.mark.parametrize(
    ("sock", "why"),
    [
        ("tcp('0.0.0.0')", "loopback addresses only"),
        ("tcp('::', socket.AF_INET6)", "loopback addresses only"),
        ("tcp('127.0.0.1', listening=False)", "does not listen"),
        ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "no TCP socket"),
        ("socket.socket(socket.AF_UNIX)", "no TCP socket"),
        ("open('/dev/null')", "no socket"),
    ],
)
@pytest.mark.parametrize("first", [(), ("tcp('127.0.0.1')",)], ids=["alone", "beside a good one"])
def test_other_sockets_of_systemd_are_refused(first: tuple[str, ...], sock: str, why: str) -> None:
    got = child(hand_over(*first, sock))
    assert why in got["why"]
    assert got["code"] == Exit.REFUSED
    assert "ListenStream=127.0.0.1:80" in got["fix"]
    assert got["left"] == []


def test_sockets_meant_for_another_process_are_left_alone() -> None:
    got = child(hand_over("tcp('0.0.0.0')", pid="1"))
    assert got["addresses"][0].startswith("127.0.0.1:")
    assert got["left"] == []


@pytest.mark.parametrize("count", ["0", "-1", "x", "", "²"])
def test_a_count_that_is_none_hands_nothing_over(count: str) -> None:
    got = child(f"os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS={count!r}); report(0)")
    assert got["addresses"][0].startswith("127.0.0.1:")


def test_a_count_beyond_what_is_open_is_refused() -> None:
    got = child("os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='99999999'); report(0)")
    assert got["code"] == Exit.REFUSED


FOUR = ("tcp('127.0.0.1')", "tcp('::1', socket.AF_INET6)", "tcp('127.0.0.1')", "tcp('::1', socket.AF_INET6)")


@pytest.mark.parametrize("order", ["http:http:https:https", "https:https:http:http", "x:http:https:https"])
def test_a_name_says_which_scheme_a_socket_is_for(order: str) -> None:
    require.ipv6()
    got = child(hand_over(*FOUR, names=order, report="report(0, 0)"))
    assert [address.rpartition(":")[0] for address in got["addresses"]] == ["127.0.0.1", "[::1]"]
    assert [address.rpartition(":")[0] for address in got["https"]] == ["127.0.0.1", "[::1]"]
    assert set(got["addresses"]).isdisjoint(got["https"])


def test_a_socket_without_a_name_is_for_the_scheme_whose_port_it_has() -> None:
    got = child(hand_over("tcp('127.0.0.1')", "tcp('127.0.0.1')", names="", report="report(0, port(0))"))
    assert (len(got["addresses"]), len(got["https"])) == (1, 1)
    assert got["https"][0] != got["addresses"][0]


def test_sockets_for_http_alone_leave_https_to_us() -> None:
    require.ipv6()
    got = child(hand_over("tcp('127.0.0.1')", "tcp('::1', socket.AF_INET6)", names="http:http", report="report(0, 0)"))
    assert len(got["addresses"]) == len(got["https"]) == 2
    assert len({address.rpartition(":")[2] for address in got["https"]}) == 1


def test_a_socket_for_https_is_closed_where_that_is_off() -> None:
    got = child(hand_over("tcp('127.0.0.1')", "tcp('127.0.0.1')", names="http:https"))
    assert len(got["addresses"]) == 1
    assert "for https, which is off: it is closed" in got["notices"][-1]
