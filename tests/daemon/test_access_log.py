"""One line a request: what it says, what it leaves out, and that nothing a client sends can break it."""

import asyncio
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.daemon import access_log
from devproxy.daemon.access_log import AccessLog, Record, line
from devproxy.storage.rotating_file import RotatedFile
from tests.waiting import until

NOON = 1_700_000_000.25


def record(target: bytes, method: bytes = b"GET", service: str = "web.shop") -> Record:
    return (NOON, service, method, target, 200, 512, 0.0125)


def test_a_line_says_who_what_and_how_long() -> None:
    assert line(record(b"/a/b")) == '2023-11-14T22:13:20.250Z web.shop 200 512 12.5 "GET /a/b"'


@pytest.mark.parametrize(
    ("target", "logged"),
    [
        (b"/a?token=secret", "/a"),
        (b"/?", "/"),
        (b"http://user:secret@web.shop.localhost/a?b=secret", "/a"),
        (b"http://user:secret@web.shop.localhost", "/"),
        (b"HTTP://user:secret@h?secret", "/"),
        (b"*", "*"),
        (b"user:secret@host:443", "-"),
        (b"", "/"),
        (b"/a\r\nfake line", "/a\\x0d\\x0afake\\x20line"),
        (b'/"\\\x1b[31m\xff', "/\\x22\\x5c\\x1b[31m\\xff"),
        (b"/a#secret", "/a"),
        (b"/a//b://c", "/a//b://c"),
    ],
)
def test_a_target_is_escaped_and_loses_query_and_credentials(target: bytes, logged: str) -> None:
    assert line(record(target)).endswith(f'"GET {logged}"')


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_any_bytes_make_one_printable_line(target: bytes, method: bytes) -> None:
    text = line(record(target, method))
    assert re.fullmatch(r'[\x20-\x7e]+ "[^" ]* [^" ]+"', text)


@given(st.binary(max_size=60), st.from_regex(rb"[A-Za-z0-9]{12}", fullmatch=True))
def test_what_follows_a_question_mark_is_never_logged(path: bytes, secret: bytes) -> None:
    assert secret.decode() not in line(record(b"/" + path.replace(secret, b"") + b"?" + secret))


def test_a_path_is_cut() -> None:
    assert len(line(record(b"/" + b"a" * 100_000))) < 2_200


def test_a_request_without_a_service_has_a_dash() -> None:
    assert " - 200 " in line(record(b"/", service=""))


async def test_records_are_written_in_order_and_close_writes_the_rest(tmp_path: Path) -> None:
    log = AccessLog(RotatedFile(tmp_path / "access.log", limit=10**6, kept=1))
    for number in range(100):
        log(record(b"/%d" % number))
    assert not (tmp_path / "access.log").exists()
    await log.close()
    lines = (tmp_path / "access.log").read_text().splitlines()
    assert [text.rpartition("/")[2] for text in lines] == [f'{number}"' for number in range(100)]


async def test_batches_reach_the_disk_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "INTERVAL", 0.01)
    log = AccessLog(RotatedFile(tmp_path / "access.log", limit=10**6, kept=1))
    for number in range(1, 4):
        log(record(b"/"))
        await until(lambda expected=number: _lines(tmp_path) == expected)  # type: ignore[misc]
    await until(lambda: len(asyncio.all_tasks()) == 1)
    await log.close()
    assert _lines(tmp_path) == 3


async def test_a_disk_that_stops_costs_lines_and_says_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "MOST_WAITING", 2)
    log = AccessLog(RotatedFile(tmp_path / "access.log", limit=10**6, kept=1))
    for _ in range(5):
        log(record(b"/"))
    await log.close()
    assert (tmp_path / "access.log").read_text().splitlines()[
        2
    ] == "# 3 requests are missing here: the disk was too slow"


async def test_a_disk_that_refuses_is_said_and_nothing_raises(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "access.log").mkdir()
    log = AccessLog(RotatedFile(tmp_path / "access.log", limit=10**6, kept=1))
    log(record(b"/"))
    await log.close()
    assert "could not be written" in caplog.text


def _lines(folder: Path) -> int:
    file = folder / "access.log"
    return len(file.read_text().splitlines()) if file.exists() else 0
