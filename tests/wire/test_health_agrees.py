"""Health and the proxy ask one service, get the same bytes, and agree whether they are an answer, and which.

Not here: what each of the two says of an answer (`tests/health/test_probe.py`, `test_bad_answer.py`).
"""

import pytest
from hypothesis import given

from devproxy.health.probe import probe
from devproxy.registry.model import Health
from tests.waiting import DEADLINE
from tests.wire import oracle
from tests.wire.harness import OK, Stage, crlf, get, service
from tests.wire.peer import Peer
from tests.wire.test_bad_answer import CHUNKS, HEADS
from tests.wire.test_fuzz import BAD_ANSWERS, FUZZ, GOOD_ANSWERS, Loop, loop_factory, mutated, running_stage

pytestmark = pytest.mark.http1  # it speaks of what HTTP/1.1 alone has

__all__ = ["loop_factory"]

ANY_STATUS = Health(path="/", status="100-599", timeout=DEADLINE)
LIMITS = {"max_response_header": 4096, "max_headers": 20}
HINT = crlf(b"HTTP/1.1 103 Early Hints", b"Link: </a>")
CODING = b"Transfer-Encoding: chunked"

ANSWERS = {
    **HEADS,
    **{f"chunk: {name}": crlf(b"HTTP/1.1 200 OK", CODING) + chunk for name, chunk in CHUNKS.items() if len(chunk) < 99},
    **{f"good {number}": answer for number, answer in enumerate(GOOD_ANSWERS)},
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nA: b\r\n",
    "half a line": b"HTTP/1.",
    "no reason": b"HTTP/1.1 200\r\n\r\n",
    "as many 1xx as may be": HINT * 64 + OK,
    "one 1xx too many": HINT * 65 + OK,
    "1xx and no more": HINT,
    "101 that nobody asked for": crlf(b"HTTP/1.1 101 Switching", b"Connection: upgrade", b"Upgrade: x"),
    "as long as may be": crlf(b"HTTP/1.1 200 OK", b"A: " + b"x" * (4096 - 24), dated=False) + b"ok",
    "a byte too long": crlf(b"HTTP/1.1 200 OK", b"A: " + b"x" * (4096 - 23), dated=False) + b"ok",
    "as many fields as may be": crlf(b"HTTP/1.1 200 OK", *[b"A: b"] * 20, dated=False) + b"ok",
    "a field too many": crlf(b"HTTP/1.1 200 OK", *[b"A: b"] * 21, dated=False) + b"ok",
}


async def agree(stage: Stage, answer: bytes) -> None:
    """Both see `answer` in one piece, and then the end of the connection."""

    async def serve(peer: Peer) -> None:
        await peer.head()
        await peer.try_send(answer)
        peer.close()

    await stage.origin.forget()
    stage.origin.always(serve)
    client = await stage.connect()
    await client.send(get())
    client.half_close()
    got, _ = oracle.response_to(b"GET", await client.gone())
    client.close()
    web = service("web", stage.origin, health=ANY_STATUS)
    check = await probe(web, stage.proxy.snapshot.settings)
    said = "" if got.ours else f"GET / was answered {got.status}"
    assert (check.up, check.why if check.up else "") == (not got.ours, said), (answer, got, check)
    assert check.why.isprintable()


@pytest.mark.parametrize("answer", [pytest.param(answer, id=name) for name, answer in ANSWERS.items()])
async def test_of_one_answer(stage: Stage, answer: bytes) -> None:
    await stage.start(service("web", stage.origin, hold=0.0), **LIMITS)
    await agree(stage, answer)


def test_of_mutated_answers(loop_factory: Loop) -> None:
    with running_stage(loop_factory, **LIMITS) as (runner, stage):

        @FUZZ
        @given(mutated(GOOD_ANSWERS, BAD_ANSWERS))
        def check(pieces: list[bytes]) -> None:
            runner.run(agree(stage, b"".join(pieces)))

        check()


async def test_a_closed_port_is_no_answer_to_either(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, hold=0.0))
    stage.origin.refuse()
    client = await stage.connect()
    await client.send(get())
    assert (await client.response()).error
    check = await probe(service("web", stage.origin, health=ANY_STATUS), stage.proxy.snapshot.settings)
    assert (check.up, check.accepted) == (False, False)
