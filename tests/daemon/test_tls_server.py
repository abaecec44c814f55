"""The certificates of a running `devproxy serve`: made when the first client comes, told once, used again."""

import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from devproxy.tls.authority import AuthorityStore
from tests.daemon.process import Daemon, daemon_in
from tests.ports import free_port
from tests.tls.handshakes import client_context
from tests.tls.test_contexts import client_hello
from tests.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and sockets as POSIX has them")
MADE = "a local CA for localhost was made: `devproxy trust`"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with daemon_in(tmp_path) as made:
        made.https_port = free_port()
        made.write("[services.web]\nport = 3000\n")
        yield made


def https(daemon: Daemon) -> tuple[str, int]:
    return "127.0.0.1", daemon.https_port


def raw(daemon: Daemon, data: bytes) -> bytes:
    """What is answered to a client that sends `data` and no more."""
    with closing(socket.create_connection(https(daemon), DEADLINE)) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while more := client.recv(4096):
            answer += more
        return answer


def subject_of(daemon: Daemon, name: str, roots: str) -> list[str]:
    """The names in the certificate that a client gets, who trusts `roots`."""
    with (
        closing(socket.create_connection(https(daemon), DEADLINE)) as plain,
        client_context(roots).wrap_socket(plain, server_hostname=name) as client,
    ):
        certificate = client.getpeercert()
        assert certificate is not None
        return [str(pair[1]) for pair in certificate["subjectAltName"]]


def test_an_authority_is_made_for_the_first_client_told_once_and_used_again(daemon: Daemon) -> None:
    daemon.start()
    folder = daemon.home / "state" / "ca"
    assert not folder.exists()  # `serve` is ready without
    assert raw(daemon, client_hello(b"nobody.localhost"))[:7] == b"\x15\x03\x03\x00\x02\x02\x70"
    roots = "".join(root.pem.decode() for root in AuthorityStore(folder).roots())
    assert subject_of(daemon, "web.localhost", roots) == ["web.localhost"]
    assert subject_of(daemon, "devproxy.localhost", roots) == ["devproxy.localhost"]
    wait_until(lambda: MADE in daemon.output(), "the authority to be told", log=daemon.output)
    daemon.stop()
    before = daemon.output()
    daemon.start()
    assert subject_of(daemon, "web.localhost", roots) == ["web.localhost"]
    assert MADE not in daemon.output().removeprefix(before)
    assert [root.pem.decode() for root in AuthorityStore(folder).roots()] == [roots]


def test_a_tld_that_is_added_gets_an_authority_of_its_own(daemon: Daemon) -> None:
    daemon.start()
    raw(daemon, client_hello(b"web.localhost"))
    daemon.settings = 'tlds = ["localhost", "test"]'
    daemon.write('[services.web]\nport = 3000\nhosts = ["web.test"]\n')

    def roots() -> str:
        return "".join(root.pem.decode() for root in AuthorityStore(daemon.home / "state" / "ca").roots())

    def is_served() -> bool:
        try:
            return subject_of(daemon, "web.test", roots()) == ["web.test"]
        except ssl.SSLError:
            return False

    wait_until(is_served, "a certificate for web.test", log=daemon.output)
    assert roots().count("BEGIN CERTIFICATE") == 2
    wait_until(lambda: "a local CA for test was made" in daemon.output(), "it to be told", log=daemon.output)


def test_a_key_that_others_can_read_is_refused_and_http_goes_on(daemon: Daemon) -> None:
    daemon.start()
    raw(daemon, client_hello(b"web.localhost"))
    daemon.stop()
    next((daemon.home / "state" / "ca").glob("*/intermediate.key")).chmod(0o644)
    next((daemon.home / "state" / "ca").glob("*/leaves/web.localhost.pem")).unlink()
    daemon.start()
    for _ in range(3):
        assert raw(daemon, client_hello(b"web.localhost"))[:7] == b"\x15\x03\x03\x00\x02\x02\x50"
    wait_until(lambda: "is not private" in daemon.output(), "the reason", log=daemon.output)
    assert daemon.output().count("is not private") == 1
    assert b"https does not work" in daemon.get("devproxy.localhost").body
    assert "Traceback" not in daemon.output()
    assert daemon.get("devproxy.localhost").status == 200


def test_a_name_that_is_no_text_leaves_no_traceback(daemon: Daemon) -> None:
    daemon.start()
    assert raw(daemon, client_hello(b"w\xe9b.localhost"))[0] == 21
    assert daemon.get("devproxy.localhost").status == 200
    assert "Traceback" not in daemon.output()
    assert "UnicodeDecodeError" not in daemon.output()
