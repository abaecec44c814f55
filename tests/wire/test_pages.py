"""devproxy's own answers: HTML or problem+json, no body on HEAD, a code in a field, everything echoed escaped.

Lives here: what all own answers have in common, for one of each kind.
Not here: when each is given (the other files), how a page looks (`tests/proxy/`).
"""

import json

import pytest

from tests.wire.harness import OK, Stage, crlf, get, service
from tests.wire.peer import Message

pytestmark = pytest.mark.http1  # it speaks of what HTTP/1.1 alone has

ANSWERS = {
    "unknown host": ({"host": b"nobody.localhost"}, [], 404, "unknown-host"),
    "misdirected": ({"host": b"evil.example"}, [], 421, "misdirected"),
    "cross-site": ({}, [b"Origin: https://evil.example"], 403, "cross-site"),
    "bad head": ({}, [b"Host: again"], 400, "bad-request"),
    "coding": ({}, [b"Transfer-Encoding: x"], 501, "unsupported-coding"),
    "too large": ({}, [b"X: " + b"y" * 5000], 431, "header-too-large"),
    "refused": ({"host": b"down.localhost"}, [], 502, "upstream-refused"),
    "no upstream": ({"host": b"none.localhost"}, [], 502, "no-upstream"),
}
Case = tuple[dict[str, bytes], list[bytes], int, str]
CASES = [pytest.param(case, id=name) for name, case in ANSWERS.items()]


async def start(stage: Stage) -> None:
    down = stage.another()
    down.refuse()
    await stage.start(service("web", stage.origin), service("down", down), service("none", None), max_header=4096)


async def ask(stage: Stage, case: Case, accept: bytes, method: bytes = b"GET") -> Message:
    where, fields, status, code = case
    client = await stage.connect()
    await client.send(get(b"/", *([b"Accept: " + accept] if accept else []), *fields, method=method, **where))
    message = await client.response(method)
    assert (message.status, message.error) == (status, code)
    return message


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("accept", [b"*/*", b"", b"image/png", b"text/plain, */*;q=0.1"])
async def test_a_few_lines_for_terminals(stage: Stage, case: Case, accept: bytes) -> None:
    await start(stage)
    message = await ask(stage, case, accept)
    if case[2] in (400, 431, 501):  # a head that is not HTTP says nothing about what its client accepts
        assert message.head.one(b"Content-Type") == b"application/problem+json"
        return
    assert message.head.one(b"Content-Type") == b"text/plain; charset=utf-8"
    assert message.head.one(b"X-Content-Type-Options") == b"nosniff"
    assert message.framing == "length"
    assert message.body.startswith(b"devproxy: ")
    assert message.body.endswith(b"\n")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("accept", [b"application/json", b"application/problem+json"])
async def test_problem_for_programs(stage: Stage, case: Case, accept: bytes) -> None:
    await start(stage)
    message = await ask(stage, case, accept)
    assert message.head.one(b"Content-Type").split(b";")[0] == b"application/problem+json"
    assert message.framing == "length"
    problem = json.loads(message.body)
    assert problem["status"] == message.status
    assert problem["title"]
    assert problem["detail"]


@pytest.mark.parametrize("case", CASES)
async def test_page_for_browsers(stage: Stage, case: Case) -> None:
    await start(stage)
    message = await ask(stage, case, b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
    if case[2] not in (400, 431, 501):  # a head that is not HTTP says nothing about what its client accepts
        assert message.head.one(b"Content-Type").lower().replace(b" ", b"") == b"text/html;charset=utf-8"
        assert message.body.lower().startswith(b"<!doctype html>")
        assert message.head.all(b"Content-Security-Policy")
    assert b"http://" not in message.body.replace(b"http://[", b"").replace(b"http://127", b"")
    assert message.head.one(b"X-Content-Type-Options") == b"nosniff"
    assert b"no-store" in message.head.one(b"Cache-Control")


@pytest.mark.parametrize("case", [case for case in CASES if case.values[0][2] not in (400, 431, 501)])  # type: ignore[index]
async def test_no_body_on_head(stage: Stage, case: Case) -> None:
    await start(stage)
    where, fields, status, code = case
    client = await stage.connect()
    await client.send(get(b"/", *fields, method=b"HEAD", **where) + get(b"/", *fields, b"Connection: close", **where))
    first = await client.response(b"HEAD")
    second = await client.response()
    assert [(first.status, first.error), (second.status, second.error)] == [(status, code)] * 2
    await client.gone()


@pytest.mark.parametrize("accept", [b"text/html", b"application/json"])
@pytest.mark.parametrize(
    "data",
    [
        get(b"/<script>alert(1)</script>", b"ACCEPT", host=b"only.localhost"),
        get(b'/"><script>alert(1)</script>?<script>alert(1)</script>', b"ACCEPT", host=b"nobody.localhost"),
        get(b"/", b"ACCEPT", host=b"'%3cscript%3e<script>alert(1)</script>.localhost"),
        get(b"/", b"ACCEPT", b"Origin: https://<script>alert(1)</script>"),
        get(b"/", b"ACCEPT", b"Referer: https://evil/<script>alert(1)</script>", b"Origin: null"),
        get(b"<script>alert(1)</script>", b"ACCEPT"),
        get(b"/", b"ACCEPT", b"Transfer-Encoding: <script>alert(1)</script>"),
        get(b"/", b"ACCEPT", b"<script>alert(1)</script>: 1"),
        get(b"/", b"ACCEPT", method=b"<script>alert(1)</script>"),
    ],
)
async def test_what_is_echoed_is_escaped(stage: Stage, data: bytes, accept: bytes) -> None:
    await start(stage)
    client = await stage.connect()
    await client.send(data.replace(b"ACCEPT", b"Accept: " + accept))
    message = await client.response()
    assert message.error
    if b"html" in message.head.one(b"Content-Type"):
        assert b"<script>alert" not in message.body
    else:
        json.loads(message.body)


async def test_no_control_character_reaches_a_terminal(wire: Stage) -> None:
    client = await wire.connect()
    await client.send(b"GET /\x1b[31m\x07 HTTP/1.1\r\n\r\n")
    message = await client.response()
    assert not any(byte < 0x20 and byte not in b"\r\n\t" for byte in message.body)


async def test_answer_of_a_service_is_not_marked_as_ours(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 404 Not Found", b"Content-Length: 0"))
    assert (await client.response()).error == ""
    await client.send(get())
    await up.head()
    await up.send(OK)
    assert (await client.response()).error == ""
