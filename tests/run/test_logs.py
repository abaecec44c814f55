"""A service's log: rotated, read from its end, followed; a command's bytes as lines, of which colours stay."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.paths import Paths
from devproxy.run.logs import LONGEST, Follower, LineSplitter, LogPortFinder, ServiceLog, harmless, last, plain
from devproxy.run.terminal_line import WIDEST, as_shown


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "state").mkdir(mode=0o700)
    return Paths(tmp_path / "config", tmp_path / "state")


def test_the_last_lines_reach_back_over_rotations(paths: Paths) -> None:
    log = ServiceLog(paths, "web.shop", limit=400)
    for number in range(20):
        log.append(f"line {number}")
    assert [entry.text for entry in last(paths, "web.shop", 12)] == [f"line {number}" for number in range(8, 20)]
    assert len(list(paths.log.iterdir())) > 1
    assert last(paths, "web.shop", 0) == []
    assert last(paths, "none", 5) == []


def test_entries_sort_by_time(paths: Paths) -> None:
    log = ServiceLog(paths, "a")
    log.append("one")
    log.append("two")
    times = [entry.time for entry in last(paths, "a", 9)]
    assert times == sorted(times)
    assert paths.service_log("a").stat().st_mode & 0o777 == 0o600


def test_following_misses_nothing_at_a_rotation(paths: Paths) -> None:
    log = ServiceLog(paths, "web", limit=400)
    log.append("before")
    follower = Follower(paths.service_log("web"))
    seen = []
    for number in range(30):
        log.append(f"line {number}")
        seen += [entry.text for entry in follower.read()]
    assert seen == [f"line {number}" for number in range(30)]


def test_following_a_log_that_does_not_exist_yet(paths: Paths) -> None:
    follower = Follower(paths.service_log("web"))
    assert list(follower.read()) == []
    ServiceLog(paths, "web").append("first")
    assert [entry.text for entry in follower.read()] == ["first"]


def test_a_disk_that_refuses_loses_lines_only(paths: Paths) -> None:
    paths.service_log("web").mkdir(parents=True)
    ServiceLog(paths, "web").append("lost")


def lines_of(*chunks: bytes) -> list[str]:
    found: list[str] = []
    lines = LineSplitter(found.append)
    for chunk in chunks:
        lines.feed(chunk)
    lines.end()
    return found


def test_lines_come_whole_however_they_are_cut() -> None:
    assert lines_of(b"on", b"e\r\ntw", b"o\n", b"three") == ["one", "two", "three"]
    assert lines_of(b"caf\xc3", b"\xa9\n\xff\n") == ["café", "\ufffd"]


def test_what_was_overwritten_is_not_shown() -> None:
    assert lines_of(b"10 %\r50 %\r100 %\r\n") == ["100 %"]


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("\x1b[1G- building\x1b[1G\\ building\x1b[1G\x1b[0Kdone", "done"),  # ora
        ("- building\x1b[2K\x1b[Gdone", "done"),
        ("10 %\x1b[4D20 %", "20 %"),
        ("abc\b\bX", "aXc"),
        ("Downloading 100 %\rdone", "doneloading 100 %"),
        ("Downloading 100 %\rdone\x1b[K", "done"),
        ("Downloading\r           \rdone", "done"),
        ("a\x1b[5Cb", "a     b"),
        ("old\x1b[2J\x1b[Hnew", "new"),
        ("old\x1bcnew", "new"),
        ("abcdef\x1b[3G\x1b[2P", "abef"),
        ("abcdef\x1b[3G\x1b[2X", "ab  ef"),
        ("\x1b[32m⠙\x1b[0m one\x1b[G\x1b[32m✔\x1b[0m one", "\x1b[32m✔\x1b[0m one"),
        ("\x1b[1A\x1b[2Kfinal", "final"),
        # webpack --progress
        ("\x1b[1m99 %\x1b[22m\x1b[2K\r" * 30 + "\x1b[1m\x1b[32ma.js\x1b[39m\x1b[22m", "\x1b[1m\x1b[32ma.js\x1b[0m"),
        ("\r\x1b[31;1mred\x1b[0;4mlined\x1b[24m plain", "\x1b[31m\x1b[1mred\x1b[0m\x1b[4mlined\x1b[0m plain"),
        ("\r\x1b[38;5;208;1ma\x1b[22mb", "\x1b[38;5;208m\x1b[1ma\x1b[0m\x1b[38;5;208mb\x1b[0m"),
        ("\r\x1b[48;2;1;2;3;4ma\x1b[49mb", "\x1b[48;2;1;2;3m\x1b[4ma\x1b[0m\x1b[4mb\x1b[0m"),
        ("\r\x1b[>4;2mno colour of a key", "no colour of a key"),
    ],
)
def test_a_line_ends_as_a_terminal_shows_it(written: str, seen: str) -> None:
    (line,) = lines_of(written.encode() + b"\n")
    assert line == seen


def test_nothing_is_put_beyond_all_measure() -> None:
    (line,) = lines_of(b"x\x1b[99999999Gy\x1b[99999999Cz\n")
    assert len(line) == WIDEST
    digits = b"9" * 5000  # more than `int` takes
    (line,) = lines_of(b"x\x1b[" + digits + b"Gy\x1b[1;" + digits + b"Hz\x1b[" + digits + b"m\n")
    assert len(line) == WIDEST


WORDS = ("a", "bc", "⠙", " ", "\r", "\b", "\t", "\x1b[31m", "\x1b[0m", "\x1bc", "\x1b]0;t\x07", "\x1b[")
MOVES = (
    "\x1b[G",
    "\x1b[3G",
    "\x1b[K",
    "\x1b[1K",
    "\x1b[2K",
    "\x1b[2C",
    "\x1b[2D",
    "\x1b[J",
    "\x1b[H",
    "\x1b[1A",
    "\x1b[2P",
)
PIECES = st.sampled_from((*WORDS, *MOVES, "\x1b[2P", "\x1b[4X"))


@given(st.lists(PIECES).map("".join))
def test_any_line_ends_as_one_line_and_is_its_own_end(text: str) -> None:
    once = as_shown(text)
    assert not re.search("[\r\b]|\x1b\\[[0-9]*[GKCDPX]", once)
    assert as_shown(once) == once
    assert len(plain(once)) <= len(text) + 2 * text.count("\x1b[2C") + 3 * text.count("\x1b[3G")


@given(st.text(alphabet="ab \t⠙✔"))
def test_a_line_that_nothing_moves_in_stays(text: str) -> None:
    assert as_shown(text) == text


def test_a_prompt_is_given_once_and_whole_once_it_is_answered() -> None:
    found: list[str] = []
    lines = LineSplitter(found.append)
    lines.feed(b"one\n(Pdb) ")
    assert lines.is_unfinished
    lines.give_unfinished()
    lines.give_unfinished()
    assert found == ["one", "(Pdb) "]
    lines.feed(b"continue\nasked?")
    lines.give_unfinished()
    lines.feed(b"\n")
    lines.end()
    assert found == ["one", "(Pdb) ", "(Pdb) continue", "asked?"]


def test_a_spinner_that_never_ends_its_line_is_not_kept() -> None:
    found: list[str] = []
    lines = LineSplitter(found.append)
    for number in range(3000):
        lines.feed(b"\r%d building" % number)
    lines.end()
    assert found == ["2999 building"]


def test_a_line_without_end_is_cut() -> None:
    found = lines_of(b"x" * (LONGEST * 2 + 5))
    assert [len(line) for line in found] == [LONGEST, LONGEST, 5]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link", "link"),
        ("\x1bcreset\x9b2J", "reset2J"),
        ("a\tb\x00\x7f\u202ec", "a\tbc"),
    ],
)
def test_only_colours_reach_the_terminal(text: str, kept: str) -> None:
    assert harmless(text) == kept


@settings(deadline=None)
@given(st.lists(st.sampled_from([*"\x1b[]m;0JHc\x07\\\x9bab \t\x00", "\x1b[1m"]), max_size=40).map("".join))
def test_whatever_is_left_is_harmless(text: str) -> None:
    left = re.sub("\x1b\\[[0-?]*[ -/]*m", "", harmless(text))
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f]", left)
    assert "\x1b" not in plain(text)


@pytest.mark.parametrize(
    ("text", "log", "port"),
    [
        ("Local: http://localhost:{port}", "➜ \x1b[1mLocal\x1b[22m:   http://localhost:\x1b[1m5173\x1b[22m/", 5173),
        ("- Local: http://localhost:{port}", "   - Local:        http://localhost:3000", 3000),
        ("on  port {port} (http)", "listening on port\t8080 (http)", 8080),
        ("localhost:{port}/", "http://localhost:80800/ and http://localhost:8080/", 8080),
        ("Local: http://localhost:{port}", "  ➜  Local:   http://127.0.0.1:5173/", 5173),
        ("http://127.0.0.1:{port}", "at http://[::1]:5173", 5173),
        ("http://localhost:{port}", "at http://127x0.0.1:5173", None),
        ("a.b:{port}", "axb:80", None),
        ("port {port}", "port 70000", None),
        ("port {port}", "port80", None),
    ],
)  # fmt: skip
def test_the_port_that_a_log_names(text: str, log: str, port: int | None) -> None:
    finder = LogPortFinder(text)
    head, tail = log.encode()[:9], log.encode()[9:]
    assert (finder.feed(head), finder.feed(tail), finder.feed(b"\n")) == (None, None, port)
