"""What a registry changes in fields, and paths that a mount has moved: nothing else changes, and lines stay lines."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.http1.edits import FieldEdit, PathMove, ResponseEdit, is_editable, origin_moved
from tests.proxy.values import lines

FIXED = settings(max_examples=200, deadline=None, derandomize=True, database=None)
MOVE = PathMove(b"shop.localhost", b"/api", frozenset((b"localhost:8000", b"127.0.0.1:8000")))
NAMES = st.sampled_from(["A", "a", "X-Debug", "x_debug", "Set-Cookie", "set-cookie", "Origin"])
PAIRS = st.lists(st.tuples(NAMES, st.sampled_from(["1", "2", " spaced ", "é", ""])), max_size=3)
LINES = st.lists(
    st.sampled_from(
        [b"A: 1", b"a:2", b"X-Debug: x", b"X_debug: y", b"Set-Cookie: a", b"set.cookie: b", b"B: keep", b"ORIGIN: o"]
    ),
    max_size=6,
)


@pytest.mark.parametrize(
    "name",
    [
        *(b"Host", b"Connection", b"keep-alive", b"TE", b"Upgrade", b"Proxy-Connection", b"Proxy-Authorization"),
        *(b"Content-Length", b"TRANSFER-ENCODING", b"Content_Length", b"Trailer", b"Expect", b"Date"),
        *(b"X-Forwarded-For", b"x-forwarded-proto", b"Forwarded", b"X-Real-IP", b"Devproxy-Error", b"HTTP2-Settings"),
        *(b"Sec-WebSocket-Key", b"Sec-WebSocket-Accept", b"Max-Forwards"),
    ],
)
def test_what_belongs_to_the_message_or_to_devproxy_is_not_edited(name: bytes) -> None:
    assert not is_editable(name)


@pytest.mark.parametrize(
    "name",
    [b"X-Debug", b"Origin", b"Cookie", b"Set-Cookie", b"Authorization", b"Location", b"X-Forwarded-User", b"Referer"],
)
def test_anything_else_may_be(name: bytes) -> None:
    assert is_editable(name)


def as_variable(name: str) -> str:
    """As CGI has it, and with it WSGI and PHP: RFC 3875 §4.1.18."""
    return re.sub("[^A-Z0-9]", "_", name.upper())


@FIXED
@given(each=LINES, remove=st.lists(NAMES, max_size=2), values=PAIRS, more=PAIRS)
def test_an_edit_is_removal_then_setting_then_addition(
    each: list[bytes], remove: list[str], values: list[tuple[str, str]], more: list[tuple[str, str]]
) -> None:
    gone = {as_variable(name) for name in (*remove, *(name for name, _ in values))}
    expected = [line for line in each if as_variable(line.partition(b":")[0].decode()) not in gone]
    last = {name.lower(): (name, value) for name, value in values}
    expected += [f"{name}: {value.strip()}".encode() for name, value in (*last.values(), *more)]
    assert FieldEdit.of(remove, values, more).apply(lines(*each)) == lines(*expected)


@FIXED
@given(each=LINES, first=st.tuples(st.lists(NAMES, max_size=2), PAIRS, PAIRS), second=st.tuples(PAIRS, PAIRS))
def test_two_edits_are_one_after_the_other(
    each: list[bytes],
    first: tuple[list[str], list[tuple[str, str]], list[tuple[str, str]]],
    second: tuple[list[tuple[str, str]], list[tuple[str, str]]],
) -> None:
    one, other = FieldEdit.of(*first), FieldEdit.of([], *second)
    assert one.then(other).apply(lines(*each)) == other.apply(one.apply(lines(*each)))


@pytest.mark.parametrize(
    ("location", "moved"),
    [
        (b"/", b"/api/"),
        (b"/items?a=/b#c", b"/api/items?a=/b#c"),
        (b"/apix", b"/api/apix"),
        (b"http://shop.localhost/items", b"http://shop.localhost/api/items"),
        (b"HTTP://Shop.Localhost:7080", b"HTTP://Shop.Localhost:7080/api/"),
        (b"//shop.localhost/a", b"//shop.localhost/api/a"),
        (b"http://localhost:8000/a", b"/api/a"),
        (b"http://127.0.0.1:8000", b"/api/"),
        *(
            (same, same)
            for same in (
                *(b"/api", b"/api/", b"/api?x", b"/api#x", b"items", b"../up", b"", b"?q", b"#f", b"mailto:a@b"),
                *(b"http://shop.localhost/api/items", b"https://elsewhere.example/a", b"http://localhost:8001/a"),
                *(b"http://sub.shop.localhost/a", b"http://shop.localhost.evil.example/a", b"http:///a"),
            )
        ),
    ],
)
@pytest.mark.parametrize("name", [b"Location", b"content-LOCATION"])
def test_a_place_that_a_service_names_lies_below_its_mount(name: bytes, location: bytes, moved: bytes) -> None:
    sent = MOVE.response(lines(b"A: /x", name + b": " + location, b"X-Location: /y"))
    assert sent == lines(b"A: /x", name + b": " + moved, b"X-Location: /y")


@pytest.mark.parametrize(
    ("cookie", "moved"),
    [
        (b"s=1; Path=/; HttpOnly", b"s=1; Path=/api; HttpOnly"),
        (b"s=1; PATH = /items ;Secure", b"s=1; PATH =/api/items;Secure"),
        (b"s=1;path=/api/x", b"s=1;path=/api/x"),
        (b"Path=/x", b"Path=/x"),
        (b"s=/; Domain=x", b"s=/; Domain=x"),
        (b"s=1; Path=", b"s=1; Path="),
        (b"__Host-s=1; Path=/; Secure", b"__Host-s=1; Path=/; Secure"),
    ],
)
def test_a_cookie_of_a_service_belongs_below_its_mount(cookie: bytes, moved: bytes) -> None:
    assert MOVE.response(lines(b"Set-Cookie: " + cookie)) == lines(b"Set-Cookie: " + moved)


@pytest.mark.parametrize(
    ("destination", "own"),
    [
        (b"http://shop.localhost/api/b", b"http://localhost:8000/b"),
        (b"http://shop.localhost:7080/api", b"http://localhost:8000/"),
        (b"/api/b?c", b"/b?c"),
        *((same, same) for same in (b"/b", b"/apix", b"http://shop.localhost/b", b"http://other.example/api/b", b"")),
    ],
)
def test_the_destination_of_a_copy_is_one_that_the_service_knows(destination: bytes, own: bytes) -> None:
    sent = MOVE.request(lines(b"DESTINATION: " + destination, b"Location: /api/b"), b"localhost:8000")
    assert sent == lines(b"DESTINATION: " + own, b"Location: /api/b")


@pytest.mark.parametrize(
    ("line", "moved"),
    [
        (b"Origin: http://web.localhost", b"Origin: http://localhost:5173"),
        (b"origin:HTTP://WEB.localhost", b"origin: http://localhost:5173"),
        (
            b"Referer: http://web.localhost/a?b=http://web.localhost/",
            b"Referer: http://localhost:5173/a?b=http://web.localhost/",
        ),
        *(
            (same, same)
            for same in (
                *(b"Origin: null", b"Origin: http://web.localhost:81", b"Origin: http://api.localhost", b"Origin: "),
                *(b"Referer: http://web.localhost.evil.example/", b"X-Origin: http://web.localhost", b"Referer: /a"),
            )
        ),
    ],
)
def test_only_the_origin_that_is_the_name_itself_is_moved(line: bytes, moved: bytes) -> None:
    sent = origin_moved(lines(b"A: 1", line), b"web.localhost", b"http://localhost:5173")
    assert sent == lines(b"A: 1", moved)


TEXT = st.text("/api.:?#;=, \t\xe9shoplocahtPH%", max_size=20).map(lambda text: text.encode("latin-1"))


@FIXED
@given(values=st.lists(st.tuples(st.sampled_from([b"Location", b"Set-Cookie", b"Content-Location", b"A"]), TEXT)))
def test_whatever_a_service_says_its_lines_stay_lines_and_are_moved_once(values: list[tuple[bytes, bytes]]) -> None:
    sent = lines(*(name + b": " + value for name, value in values))
    moved = ResponseEdit(FieldEdit(), MOVE).apply(sent)
    assert [line.partition(b":")[0] for line in moved.split(b"\r\n")[:-1]] == [name for name, _ in values]
    assert MOVE.response(moved) == moved
    for line in moved.split(b"\r\n"):
        if re.match(rb"Location: /(?!/)", line):
            assert re.match(rb"Location: /api(?:[/?#]|$)", line)
