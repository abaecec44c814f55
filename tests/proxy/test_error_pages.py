"""Our own answers: what is echoed stays text, the head cannot be written into, and the policy fits the page."""

import json
import re
from base64 import b64encode
from email.utils import parsedate_to_datetime
from hashlib import sha256
from html.parser import HTMLParser

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.proxy.answers import Respond
from devproxy.proxy.error_pages import reason, render
from devproxy.text import first_unsafe, safe, safe_lines

FIXED = settings(max_examples=120, deadline=None, derandomize=True, database=None)
DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
ANY_TEXT = st.text(st.characters(), max_size=60) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "\r\nSet-Cookie: a=b\r\n\r\n",
        "</pre><img src=x onerror=a()>",
        '"><a href="',
        "\udcff",
        "a: b: c",
    ]
)
ANSWERS = st.builds(
    Respond,
    st.sampled_from([400, 403, 404, 408, 421, 431, 501, 502, 503, 504, 505, 508]),
    st.sampled_from(["unknown-host", "upstream-refused", "loop", "starting"]),
    ANY_TEXT,
    ANY_TEXT,
    st.lists(ANY_TEXT, max_size=3).map(tuple),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 65535),
    st.lists(ANY_TEXT, max_size=3).map(tuple),
    again=st.booleans(),
    run=ANY_TEXT,
    command=ANY_TEXT,
    since=st.just(0.0) | st.floats(0, 4e9),
    content=st.none(),
)
HTML, JSON = b"text/html", b"application/json"


def split(data: bytes) -> tuple[dict[str, str], bytes]:
    """The fields, none of which may stand twice, and the body."""
    head, _, body = data.partition(b"\r\n\r\n")
    pairs = [line.partition(": ")[::2] for line in head.decode("ascii").split("\r\n")[1:]]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs), body


def shown(answer: Respond, accept: bytes | None = HTML, *, method: bytes = b"GET", close: bool = False) -> bytes:
    return render(answer, accept=accept, method=method, date=DATE, close=close)


class Outline(HTMLParser):
    """The tags of a page, and the text in it; scripts and styles apart."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.raw: dict[str, str] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        assert {name for name, _ in attrs} <= {"lang", "charset", "name", "content", "class", "href", "http-equiv"}

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] in ("script", "style") and self.tags[-1] not in self.raw:
            self.raw[self.tags[-1]] = data
        else:
            self.text += data


@FIXED
@given(answer=ANSWERS)
def test_whatever_is_echoed_a_page_has_our_tags_only_and_says_it_all(answer: Respond) -> None:
    page = Outline(split(shown(answer))[1].decode())
    ours = ["html", "meta", "meta", "title", "style", "main", "div", "h1", "h2", "p", "pre", "ul", "li", "a", "footer"]
    assert set(page.tags) <= {*ours, "script"}
    assert page.tags.count("script") == answer.reload
    assert page.tags.count("a") == (len(answer.names) if answer.code == "unknown-host" else 0) + answer.again
    assert all(link.startswith("//") for link in page.links if link)
    for said in (answer.fix, answer.run, answer.command, *answer.lines):
        for text in re.findall(r"[a-z0-9<>\"'&;=()]+", said):
            assert text[1:] in page.text


@FIXED
@given(answer=ANSWERS)
def test_whatever_is_echoed_json_is_json_and_says_it_all(answer: Respond) -> None:
    body = split(shown(answer, JSON))[1]
    assert body.endswith(b"}\n")
    assert b"\n" not in body[:-1]
    value = json.loads(body)
    printable = answer.detail.encode(errors="replace").decode()
    assert (value["status"], value["code"], value["detail"]) == (answer.status, answer.code, printable)
    assert (value["type"], value["title"]) == ("about:blank", reason(answer.status))
    assert ("names" in value) is bool(answer.names)
    assert len(value.get("names", [])) == len(answer.names)
    assert len(value.get("log", [])) == len(answer.lines)
    for member, text in (("run", answer.run), ("command", answer.command)):
        assert value.get(member, "") == text.encode(errors="replace").decode()


@FIXED
@given(
    answer=ANSWERS,
    accept=st.sampled_from([None, HTML, JSON]),
    close=st.booleans(),
    method=st.sampled_from([b"GET", b"HEAD"]),
)
def test_nothing_that_is_echoed_reaches_the_head(
    answer: Respond, accept: bytes | None, close: bool, method: bytes
) -> None:
    data = shown(answer, accept, method=method, close=close)
    harmless = answer._replace(detail="x", fix="x" if answer.fix else "", names=("x",) * len(answer.names), lines=())
    head, plain = split(data)[0], split(shown(harmless, accept, method=method, close=close))[0]
    assert {**head, "Content-Length": ""} == {**plain, "Content-Length": ""}


@FIXED
@given(answer=ANSWERS, accept=st.sampled_from([None, HTML, JSON]), method=st.sampled_from([b"GET", b"HEAD", b""]))
def test_h11_reads_one_whole_response(answer: Respond, accept: bytes | None, method: bytes) -> None:
    data = shown(answer, accept, method=method)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method or b"GET", target=b"/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    head = client.next_event()
    assert isinstance(head, h11.Response)
    assert head.status_code == answer.status
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert client.trailing_data == (b"", False)
    assert body == split(data)[1]


REFUSED = Respond(
    502, "upstream-refused", "web is not running: tried 127.0.0.1:1", "start it: npm run dev", reload=True
)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        (b"Text/HTML", "text/html; charset=utf-8"),
        (b"*/*", "text/plain; charset=utf-8"),
        (b"text/plain", "text/plain; charset=utf-8"),
        (b"application/json, text/plain", "application/problem+json"),
        (b"Application/Problem+JSON", "application/problem+json"),
        (b"", "text/plain; charset=utf-8"),
        (None, "text/plain; charset=utf-8"),
    ],
)
def test_the_client_says_whether_it_wants_a_page_json_or_neither(accept: bytes | None, kind: str) -> None:
    fields, body = split(shown(REFUSED, accept))
    assert fields["Content-Type"] == kind
    begins = {"text/html": b"<!doctype html>", "text/plain": b"devproxy: web is not running", "application": b"{"}
    assert body.startswith(next(start for name, start in begins.items() if kind.startswith(name)))
    assert fields["Vary"] == "Accept"


@pytest.mark.parametrize("accept", [HTML, JSON])
def test_head_has_the_head_of_get_and_no_body(accept: bytes) -> None:
    whole = shown(REFUSED, accept)
    assert shown(REFUSED, accept, method=b"HEAD") == whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    fields, body = split(whole)
    assert int(fields["Content-Length"]) == len(body)


def test_every_answer_can_be_told_from_a_services() -> None:
    fields, _ = split(shown(REFUSED))
    assert fields["Devproxy-Error"] == "upstream-refused"
    assert fields["Date"] == DATE
    assert fields["Cache-Control"] == "no-store"
    assert fields["X-Content-Type-Options"] == "nosniff"
    assert fields["Retry-After"] == "1"
    assert "Retry-After" not in split(shown(Respond(404, "unknown-host", "x")))[0]
    assert "Connection" not in fields
    assert split(shown(REFUSED, close=True))[0]["Connection"] == "close"
    old = render(REFUSED, accept=None, method=b"GET", date=DATE, close=False, minor=0)
    assert split(old)[0]["Connection"] == "keep-alive"


STARTING = Respond(503, "starting", "web is starting: db comes first", reload=True, lines=("1 < 2", "done"))


@pytest.mark.parametrize("answer", [REFUSED, STARTING])
def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(answer: Respond) -> None:
    fields, body = split(shown(answer))
    raw = Outline(body.decode()).raw
    policy = dict(part.strip().partition(" ")[::2] for part in fields["Content-Security-Policy"].split(";"))
    for tag in ("style", "script"):
        digest = b64encode(sha256(raw[tag].encode()).digest()).decode()
        assert policy.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert policy.pop("connect-src") == "'self'"
    assert set(policy) == {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert set(policy.values()) == {"'none'"}
    assert fields["Referrer-Policy"] == "same-origin"


def test_a_page_says_what_happened_and_puts_what_to_copy_in_a_box() -> None:
    page = split(shown(REFUSED))[1].decode()
    assert "<h1>web is not running</h1><p>Tried 127.0.0.1:1</p>" in page
    assert "<p>Start it:</p><pre>npm run dev</pre>" in page
    assert "loads again by itself" in page
    page = split(shown(Respond(505, "unsupported-version", "no such version", "use HTTP/1.1")))[1].decode()
    assert "<h1>No such version</h1>" in page
    assert "<p>Use HTTP/1.1</p>" in page
    assert "<script>" not in page


def test_a_page_of_a_service_that_starts_shows_its_log_and_loads_again_with_or_without_scripts() -> None:
    fields, body = split(shown(STARTING))
    page = body.decode()
    assert fields["Retry-After"] == "1"
    assert "<title>web is starting</title>" in page
    assert "<h1>web is starting</h1><p>db comes first</p>" in page
    assert "<pre>1 &lt; 2\ndone</pre>" in page
    assert "<meta http-equiv=refresh content=2>" in page
    assert "<meta http-equiv=refresh" not in split(shown(REFUSED))[1].decode()


def test_a_page_of_a_start_shows_the_command_and_for_how_long() -> None:
    began = parsedate_to_datetime(DATE).timestamp() - 12
    starting = STARTING._replace(command="npm run dev && <x>", since=began)
    page = split(shown(starting))[1].decode()
    assert "<pre>npm run dev &amp;&amp; &lt;x&gt;</pre><p>Its start began 12 s ago.</p>" in page
    value = json.loads(split(shown(starting, JSON))[1])
    assert (value["command"], value["seconds"]) == ("npm run dev && <x>", 12)
    unknown = starting._replace(since=0.0)
    assert "Its start began" not in split(shown(unknown))[1].decode()
    assert "seconds" not in json.loads(split(shown(unknown, JSON))[1])
    ahead = starting._replace(since=began + 60)  # a clock that was set back
    assert "began 0 s ago" in split(shown(ahead))[1].decode()


@FIXED
@given(answer=ANSWERS)
def test_plain_text_says_it_all_and_drives_no_terminal(answer: Respond) -> None:
    text = split(shown(answer, None))[1].decode()
    assert text.endswith("\n")
    assert not first_unsafe(text, "\n\t")
    for said in (answer.detail, answer.fix, answer.run, *answer.lines):
        assert safe(said) in text or safe_lines(said) in text


def test_every_page_links_to_our_own_pages_where_a_port_for_that_is_known() -> None:
    data = render(REFUSED, accept=HTML, method=b"GET", date=DATE, close=False, pages="//devproxy.localhost:7080/")
    assert Outline(split(data)[1].decode()).links == ["//devproxy.localhost:7080/"]
    assert Outline(split(shown(REFUSED))[1].decode()).links == []


def test_near_names_lead_to_the_port_that_the_browser_used() -> None:
    answer = Respond(404, "unknown-host", "x", "register it: devproxy add x PORT", ("a.localhost", "b.localhost"))
    assert Outline(split(shown(answer))[1].decode()).links == ["//a.localhost/", "//b.localhost/"]
    assert Outline(split(shown(answer._replace(port=7080)))[1].decode()).links[0] == "//a.localhost:7080/"
    value = json.loads(split(shown(answer, JSON))[1])
    assert value["names"] == ["a.localhost", "b.localhost"]
    assert value["fix"] == "did you mean `a.localhost` or `b.localhost`? else register it: devproxy add x PORT"


def test_every_status_has_its_registered_phrase() -> None:
    phrases = {
        400: "Bad Request",
        421: "Misdirected Request",
        431: "Request Header Fields Too Large",
        508: "Loop Detected",
    }
    assert {status: reason(status) for status in phrases} == phrases
