"""What a person is told when a service does not answer: what was tried, why, and what mends it."""

import pytest

from devproxy.http1.grammar import Fault
from devproxy.net.dial import DialError
from devproxy.proxy.answers import closed_early, dial_failed, invalid_answer, no_answer
from tests.proxy.values import service

WEB = service("web.shop")
TRIED = [("127.0.0.1:5173", "connection refused: nothing listens there"), ("[::1]:5173", "permission denied")]


def test_a_service_that_is_not_there_is_told_with_every_address_that_was_tried() -> None:
    found = dial_failed(WEB, DialError(TRIED))
    assert (found.status, found.code, found.reload) == (502, "upstream-refused", True)
    assert found.detail == (
        "web.shop is not running: tried 127.0.0.1:5173 (connection refused: nothing listens there); "
        "[::1]:5173 (permission denied)"
    )
    assert found.fix == "start it, or correct its port: /team/devproxy.toml:7"


@pytest.mark.parametrize(
    ("command", "fix"),
    [
        ("npm run dev -- --port {port}", "start it: devproxy up web"),
        (("python", "-m", "http.server"), "start it: devproxy up web"),
        (None, "start it, or correct its port: /team/devproxy.toml:7"),
    ],
)
def test_a_command_that_is_known_is_the_fix(command: str | tuple[str, ...] | None, fix: str) -> None:
    assert dial_failed(service("web", command=command), DialError(TRIED)).fix == fix


def test_a_listener_that_takes_no_connection_is_a_timeout() -> None:
    found = dial_failed(WEB, DialError(TRIED[:1], timeout=True))
    assert (found.status, found.code, found.reload) == (504, "upstream-timeout", True)
    assert "takes no connection: 127.0.0.1:5173" in found.detail


def test_our_own_lack_of_descriptors_is_not_the_services_fault() -> None:
    found = dial_failed(WEB, DialError(TRIED, timeout=True, exhausted=True))
    assert (found.status, found.code) == (503, "too-many-connections")
    assert "no descriptor left" in found.detail
    assert "ulimit -n" in found.fix


@pytest.mark.parametrize(
    ("error", "answered", "words"),
    [
        (None, False, "web.shop closed the connection without answering"),
        (ConnectionResetError(), False, "web.shop reset the connection without answering"),
        (None, True, "closed the connection in the middle of its response header"),
        (BrokenPipeError(), True, "closed the connection in the middle"),
    ],
)
def test_a_connection_that_ends_early_says_how(error: Exception | None, answered: bool, words: str) -> None:
    found = closed_early(WEB, error, answered=answered)
    assert (found.status, found.code, found.reload) == (502, "upstream-closed", True)
    assert words in found.detail


def test_silence_is_the_services_fault_once_it_has_the_whole_request_and_the_clients_before() -> None:
    silent = no_answer(WEB, 60.0, whole=True)
    assert (silent.status, silent.code, silent.close) == (504, "upstream-timeout", False)
    assert "within 60 s" in silent.detail
    assert 'response_timeout = "5m" under [services.web], /team/devproxy.toml' in silent.fix
    stalled = no_answer(WEB, 0.5, whole=False)
    assert (stalled.status, stalled.code, stalled.close) == (408, "request-timeout", True)
    assert "no progress for 0.5 s" in stalled.detail


def test_an_answer_that_is_no_http_is_shown() -> None:
    found = invalid_answer(WEB, Fault(502, "upstream-invalid", "the status line is not HTTP/1.x: 'SSH'"))
    assert (found.status, found.code, found.reload) == (502, "upstream-invalid", False)
    assert found.detail == "web.shop answered wrongly: the status line is not HTTP/1.x: 'SSH'"
    assert "server behind web.shop" in found.fix
