"""Every place that shows text shows nothing that drives a terminal, turns a line round or hides: all by `text.py`."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from devproxy.cli import check, errors, health, history, ls, output, ports
from devproxy.cli.context import CommandContext
from devproxy.control import pages
from devproxy.control.responses import json_answer
from devproxy.control.stream import encode
from devproxy.daemon.access_log import line
from devproxy.daemon.banner import announcement
from devproxy.daemon.log import DaemonLog
from devproxy.errors import DevproxyError
from devproxy.events import Down, Entry
from devproxy.health.history import HistoryEntry
from devproxy.health.model import Condition, Finding
from devproxy.paths import Paths
from devproxy.problems import Problem, Wrong, refuse_unseen
from devproxy.proxy.answers import Respond
from devproxy.proxy.error_pages import render
from devproxy.registry.model import Upstream
from devproxy.run.logs import LineSplitter, ServiceLog, last
from devproxy.urls import Ports
from tests.control.sample import Pages, service
from tests.hostile import HOSTILE, hidden

Capture = pytest.CaptureFixture[str]
RAW = f"a{HOSTILE}b"
BYTES = RAW.encode(errors="replace")
PROBLEM = Problem(code="bad-value", message=RAW, file="/" + RAW.replace("\ud800", ""), line=1, why=RAW, fix=RAW)


def rendered(accept: bytes) -> str:
    answer = Respond(404, "unknown-host", RAW, RAW, names=(RAW,), lines=(RAW,))
    head, _, body = render(answer, accept=accept, method=b"GET", date="", close=False).partition(b"\r\n\r\n")
    assert not hidden(head.decode("ascii"), "\r\n")
    return body.decode()


def dashboard() -> str:
    shown = Pages()
    finding = Finding(code="exposed", severity="error", message=RAW, proof=RAW, who=RAW, fix=RAW, command=RAW)
    shown.registry = msgspec.structs.replace(shown.registry, services=(service(RAW),), problems=(PROBLEM,))
    shown.events.add(Down(RAW, RAW))
    condition = Condition(why=RAW, exposure="exposed", exposure_why=RAW, findings=(finding,))
    return pages.dashboard(shown.view()) + pages.findings({RAW: condition}) + pages.cell(condition)


SHOWN: dict[str, Callable[[], str]] = {
    "a problem": PROBLEM.text,
    "an error": lambda: str(DevproxyError(RAW, why=RAW, fix=RAW, where=RAW)),
    "the banner": lambda: announcement(Pages().registry, ["127.0.0.1:80"], Ports(80), [RAW]),
    "an answer as a page": lambda: rendered(b"text/html"),
    "an answer as JSON": lambda: rendered(b"*/*"),
    "a page of ours": dashboard,
    "the API": lambda: bytes(json_answer([RAW]).body).decode(),  # type: ignore[arg-type]
    "an event": lambda: encode(Entry(1, 0.0, Down("web", RAW))).decode(),
    "an access log line": lambda: line((0.0, "web", BYTES, b"/" + BYTES, 200, 1, 1.0)),
    "problems as JSON": lambda: check.as_json([PROBLEM], Path("/base")),
    "problems as SARIF": lambda: check.as_sarif([PROBLEM], Path("/base")),
}
PRINTED: dict[str, Callable[[], object]] = {
    "a line": lambda: output.say(RAW),
    "a remark": lambda: output.remark(RAW),
    "an error on the terminal": lambda: output.complain_line(RAW),
    "any exception": lambda: errors.complain(ValueError(RAW)),
    "an exception of the system": lambda: errors.complain(FileNotFoundError(2, RAW, RAW)),
    "JSON": lambda: output.print_json({RAW: [RAW]}),
    "problems for GitHub": lambda: output.say(check.as_github([PROBLEM], Path("/base"))),
    "a table": lambda: output.print_table(("NAME", "URL"), [(RAW, RAW)]),
    "a line of a service": lambda: output.Prefixed(["web"]).line("web", RAW),
}


@pytest.mark.parametrize("sink", SHOWN)
def test_what_is_shown_is_safe(sink: str) -> None:
    text = SHOWN[sink]()
    assert not hidden(text, "\n\t")
    assert "a" in text


def print_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is wide, and knows no colours."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "2000")


@pytest.mark.parametrize("sink", PRINTED)
@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_printed_is_safe(sink: str, terminal: bool, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    if terminal:
        print_to_a_terminal(monkeypatch)
    PRINTED[sink]()
    printed = "".join(capsys.readouterr())
    assert not hidden(printed, "\n\t")
    assert "a" in printed


SPLIT = "a\nfake: this is a line of its own\r\n::error::fake\x85fake\u2028fake"
SPLIT_PROBLEM = Problem(code="bad-value", message=SPLIT, file=f"/{SPLIT}", line=1, why=SPLIT, fix=SPLIT)
SPLIT_FINDING = Finding(
    code="owner", severity="error", message=SPLIT, proof=SPLIT, who=SPLIT, fix=SPLIT, command=f"run '{SPLIT}'"
)
CONDITION = Condition(state="down", why=SPLIT, exposure="exposed", exposure_why=SPLIT, findings=(SPLIT_FINDING,))
PORT = {"port": 1, "pid": 2, "address": "::1", "verdict": "loopback", "services": [], "user": None}
PORT |= {"program": SPLIT[:20], "command": SPLIT}
SOCKET = msgspec.structs.replace(service("web"), upstream=Upstream("http", path=f"/{SPLIT}"))
VIEW = CommandContext(Paths(Path("/c"), Path("/s")), Pages().registry, None, Ports())
LINES: dict[str, Callable[[], object]] = {
    "a problem": lambda: output.say(msgspec.structs.replace(SPLIT_PROBLEM, message="it is wrong").text()),
    "an error": lambda: errors.complain(DevproxyError(SPLIT, fix=SPLIT, where=SPLIT)),
    "what a program said": lambda: errors.complain(DevproxyError("it failed", why=SPLIT)),
    "problems for GitHub": lambda: output.say(check.as_github([SPLIT_PROBLEM], Path("/base"))),
    "problems as JSON": lambda: output.say(check.as_json([SPLIT_PROBLEM], Path("/base"))),
    "problems as SARIF": lambda: output.say(check.as_sarif([SPLIT_PROBLEM], Path("/base"))),
    "the table of ports": lambda: output.print_table(ports.HEADINGS, ports._table([PORT])),
    "the table of services": lambda: output.print_table(ls.HEADINGS, [ls._row(VIEW, SOCKET, {})]),
    "JSON": lambda: output.print_json({SPLIT: [SPLIT]}),
    "the banner": lambda: output.say(announcement(Pages().registry, ["127.0.0.1:80"], Ports(80), [SPLIT])),
    "health": lambda: health.print_report([service("web")], {"web": CONDITION}, notes=True),
    "an event": lambda: history._print_event(HistoryEntry(0.0, Down("web", SPLIT)), as_json=False),
    "a line of a service": lambda: output.Prefixed(["web"]).line("web", SPLIT),
}


@pytest.mark.parametrize("sink", LINES)
@pytest.mark.parametrize("terminal", [False, True])
def test_no_value_makes_a_line(sink: str, terminal: bool, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, an argument of a process, a key: nothing in it can pass for a line of ours, or a runner's command."""
    if terminal:
        print_to_a_terminal(monkeypatch)
    LINES[sink]()
    printed = "".join(capsys.readouterr())
    assert "fake" in printed
    for one in printed.splitlines():
        assert not one.startswith("::error::")
        assert not one[:7].lstrip().startswith("fake")


def test_a_traceback_is_safe(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVPROXY_DEBUG", "1")
    errors.complain(ValueError(RAW))
    assert not hidden("".join(capsys.readouterr()), "\n\t")


def test_json_on_the_terminal_has_the_value_that_was_meant(capsys: Capture) -> None:
    value = "".join(char for char in RAW if not "\ud800" <= char <= "\udfff")
    output.print_json([value])
    assert json.loads(capsys.readouterr().out) == [value]


def test_devproxys_log_is_safe_for_the_file_and_for_the_person(tmp_path: Path, capsys: Capture) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state")
    with DaemonLog(paths):
        logging.getLogger("devproxy").warning("%s", RAW)
    logged = (paths.log / "devproxy.log").read_text("utf-8")
    for text in (logged, capsys.readouterr().err):
        assert not hidden(text, "\n")
        assert "\\u202e" in text


def test_a_services_log_is_safe(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state")
    log = ServiceLog(paths, "web")
    lines = LineSplitter(log.append)
    lines.feed(RAW.replace("\r", "").encode("utf-8", "replace") + b"\n")
    assert not hidden(paths.service_log("web").read_text("utf-8"), "\n")
    assert last(paths, "web", 1)[0].text.startswith("a")


@pytest.mark.parametrize("char", HOSTILE)
def test_a_registry_takes_none_of_them(char: str) -> None:
    with pytest.raises(Wrong):
        refuse_unseen(f"a{char}b")
