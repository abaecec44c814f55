"""The dashboard's HTML: everything that is known is on it, and nothing on it is what a value made of it."""

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy import __version__
from devproxy.control import pages as html
from devproxy.control.pages import MOST_FINDINGS, cell, counts, findings
from devproxy.events import Notice
from devproxy.health.model import Condition, Finding, FindingSeverity
from devproxy.problems import Problem
from devproxy.registry.model import Mount, Registry, Source, Upstream
from tests.control.sample import Pages, example, service
from tests.imported import imported_build

NASTY = "\"'><script src=//evil.example>&<img onerror=alert(1)>"


class Tags(HTMLParser):
    """What a browser would make of a page: its tags with their attributes, and its text."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def links(self) -> list[str | None]:
        return [attributes["href"] for tag, attributes in self.tags if tag == "a"]


def page(registry: Registry | None = None, **more: object) -> Tags:
    pages = Pages(**more)  # type: ignore[arg-type]
    if registry is not None:
        pages.registry = registry
    return Tags(html.dashboard(pages.view()))


def test_every_name_is_a_link_with_the_real_port() -> None:
    shown = page()
    assert "http://web.shop.localhost:7080/" in shown.links()
    assert "http://shop.localhost:7080/" in shown.links()
    assert "http://shop.localhost:7080/api" in shown.links()
    assert "*.shop.localhost" in shown.text
    assert not any("*" in (link or "") for link in shown.links())


def test_upstream_source_and_tcp_address_are_shown() -> None:
    text = page().text
    for part in (
        "http://localhost:5173",
        "/home/me/shop.toml:5",
        "tcp://127.0.0.1:5432",
        "localhost:54321",
        "no port yet",
    ):
        assert part in text


def test_a_problem_has_its_place_its_reason_and_its_fix() -> None:
    text = page().text
    for part in ("Unknown key `prot`", "A misspelt key", "port = 8000", "/home/me/shop.toml:6:1", "unknown-key"):
        assert part in text
    assert "1 problem " in text


def test_without_problems_none_are_mentioned() -> None:
    assert "problem" not in page(Registry()).text.replace("problems status as JSON", "")


def test_an_empty_registry_says_what_to_do() -> None:
    assert "devproxy add app 3000" in page(Registry()).text


def test_services_without_a_project_come_first_then_each_project() -> None:
    text = page(msgspec.structs.replace(example(), problems=())).text
    assert text.index("app.localhost") < text.index("shop") < text.index("api.shop.localhost")


def test_the_foot_says_which_build_runs() -> None:
    assert f"devproxy {__version__} ({imported_build()}) · pid 42" in page().text


def test_notices_and_the_latest_events_are_shown() -> None:
    pages = Pages(notices=["listening on port 7080"])
    for number in range(12):
        pages.events.add(Notice(f"event {number}."))
    text = Tags(html.dashboard(pages.view())).text
    assert "Listening on port 7080" in text
    assert re.findall(r"event (\d+)\.", text) == ["11", "10", "9", "8", "7", "6", "5", "4"]


def test_the_page_has_no_outside_resource_and_no_inline_code() -> None:
    for tag, attributes in page().tags:
        for name in ("src", "href"):
            target = attributes.get(name) or ""
            assert tag == "a" or target.startswith("/static/") or not target
        assert tag != "style"
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        if tag == "script":
            assert attributes["src"]


@given(st.text(max_size=30))
@settings(deadline=None, max_examples=50)
def test_no_value_becomes_markup(text: str) -> None:
    nasty = text + NASTY
    registry = Registry(
        services=(
            service(
                nasty,
                nasty,
                1,
                hosts=(nasty, "*." + nasty),
                mounts=(Mount(nasty, nasty), Mount("*." + nasty, nasty)),
                upstream=Upstream("http", path=nasty),
                source=Source(nasty, 1),
            ),
        ),
        problems=(Problem(code=nasty, message=nasty, file=nasty, line=1, why=nasty, fix=nasty),),
    )
    pages = Pages(registry, [nasty])
    pages.events.add(Notice(nasty))
    shown = Tags(html.dashboard(pages.view()))
    assert [attributes["src"] for tag, attributes in shown.tags if tag == "script"] == ["/static/dashboard.js"]
    assert not [tag for tag, _ in shown.tags if tag == "img"]
    assert all(link is None or link.startswith(("http://", "/")) for link in shown.links())


@pytest.mark.parametrize("count", [1, 2])
def test_counts_are_grammatical(count: int) -> None:
    services = tuple(service(f"s{number}") for number in range(count))
    assert f"{count} service{'s' * (count > 1)} ·" in page(Registry(services=services)).text


def test_what_is_too_much_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MOST_ROWS", 3)
    monkeypatch.setattr(html, "MOST_PROBLEMS", 1)
    problem = Problem(code="syntax", message="y", file="/f")
    registry = Registry(
        services=tuple(service(f"s{number}") for number in range(5)),
        problems=tuple(msgspec.structs.replace(problem, line=line) for line in range(3)),
    )
    text = page(registry).text
    assert text.count("And 2 more") == 2


def test_the_home_folder_is_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "_HOME", "/home/me")
    assert "~/shop.toml:5" in page().text


def test_the_static_files_name_nothing_outside() -> None:
    for file in (Path(html.__file__).parent / "static").iterdir():
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(|eval\(|innerHTML\s*=", text), file.name


# How the condition of services looks on the dashboard


SCRIPT = "<script>alert(1)</script>"


def finding(severity: FindingSeverity = "warning", message: str = "it is open", **more: str) -> Finding:
    return Finding(code="exposed", severity=severity, message=message, **more)


def exposed(*found: Finding) -> Condition:
    return Condition(state="up", exposure="exposed", exposure_why="bound to 0.0.0.0", findings=found)


def test_a_cell_says_state_and_exposure_and_why_to_whoever_points_at_it() -> None:
    text = cell(Condition(state="down", since=1_700_000_000.0, why="nothing listens"))
    assert 'class="state down"' in text
    assert ": nothing listens" in text
    assert "exposed" not in text
    assert 'title="bound to 0.0.0.0">exposed<' in cell(exposed())
    assert "not checked yet" in cell(Condition())
    asleep = cell(Condition(state="stopped", dormant=True))
    assert 'class="state on-request"' in asleep
    assert ">on request<" in asleep


def test_a_finding_has_proof_fix_command_and_who() -> None:
    text = findings({"web": exposed(finding(proof="accepted", fix="--host", command="vite --host", who="pid 1"))})
    for part in ('href="#web"', "it is open", "Proof: accepted", "--host", "vite --host", "pid 1", 'class="warning"'):
        assert part in text


def test_the_gravest_come_first_and_notes_do_not_come() -> None:
    text = findings(
        {
            "a": exposed(finding("warning", "first")),
            "b": exposed(finding("error", "second")),
            "c": exposed(finding("note", "third")),
        }
    )
    assert text.index("second") < text.index("first")
    assert "third" not in text
    assert findings({"c": exposed(finding("note"))}) == findings({}) == ""


def test_however_many_there_are_the_page_stays_readable() -> None:
    text = findings({f"s{number}": exposed(finding()) for number in range(MOST_FINDINGS + 7)})
    assert text.count("<li") == MOST_FINDINGS
    assert "And 7 more" in text


def test_everything_is_escaped() -> None:
    nasty = finding(message=SCRIPT, proof=SCRIPT, fix=SCRIPT, command=SCRIPT, who=SCRIPT)
    text = findings({SCRIPT: exposed(nasty)}) + cell(Condition(state="up", why=SCRIPT))
    assert "<script" not in text


def test_counts_name_only_what_there_is() -> None:
    down = Condition(state="down")
    assert counts({"a": exposed(), "b": down, "c": down}) == ["1 up", "2 down", "1 exposed"]
    assert counts({"a": Condition()}) == []


def test_the_page_shows_all_of_it() -> None:
    made = Pages(conditions={"app": exposed(finding())})
    text = html.dashboard(made.view())
    assert "1 up" in text
    assert "it is open" in text
    assert text.count('class="exposed"') == 1
    assert made.view().status()["exposed"] == 1


def test_a_command_that_does_not_run_says_how_it_failed_and_what_starts_it() -> None:
    from devproxy.control.pages import _row
    from devproxy.health.model import CommandRun
    from devproxy.urls import Ports
    from tests.health.things import service

    run = CommandRun(phase="failed", since=1.0, why="exit code 3 <b>", code=3)
    bad = service("bad.shop", port=None, command="serve")
    failed = _row(bad, Ports(80), Condition(state="failed", why=run.why, run=run), None)
    assert "exit code 3 &lt;b&gt;<br><code>devproxy up bad.shop</code>" in failed
    assert "no port yet" not in failed
    assert "<code>devproxy up bad.shop</code>" in _row(bad, Ports(80), Condition(state="stopped"), None)
    assert "devproxy up" not in _row(bad, Ports(80), Condition(state="up"), None)
    assert "no port yet" in _row(service("x", port=None), Ports(80), Condition(), None)


@pytest.mark.parametrize("kind", ["worker", "task"])
def test_what_listens_nowhere_stands_there_by_its_id(kind: str) -> None:
    queue = service("queue", "shop", None, kind=kind, command="work", hosts=())
    shown = page(Registry(services=(queue,)))
    assert "queue.shop" in shown.text
    assert kind in shown.text
    assert "no port yet" not in shown.text
