"""What a command's listeners mean for its lease."""

import itertools
import os
import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.health.model import Listener, Process
from devproxy.run.listeners import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST_QUESTIONS,
    SETTLED,
    SETTLED_ANYWHERE,
    ListenerWatcher,
    PortTracker,
    observe,
)


def listener(port: int, address: str = "127.0.0.1", *argv: str) -> Listener:
    family = "ipv6" if ":" in address else "ipv4"
    return Listener(address=address, port=port, family=family, process=Process(pids=(port,), argv=argv or ("x",)))  # type: ignore[arg-type]


def test_nothing_listens_yet() -> None:
    assert observe(4000, []).port is None


def test_its_own_port_counts_whatever_else_listens() -> None:
    assert observe(4000, [listener(3000), listener(4000)])[:2] == (4000, 4000)


def test_another_port_is_adopted() -> None:
    assert observe(4000, [listener(5173)])[:2] == (5173, 5173)


def test_a_debugger_is_not() -> None:
    assert observe(4000, [listener(9229)]).port is None
    assert observe(4000, [listener(9229), listener(9500)]).port == 9500


def test_a_debugger_is_told_by_its_command_line_too() -> None:
    assert observe(4000, [listener(9331, "127.0.0.1", "node", "--inspect=127.0.0.1:9331", "api.js")]).port is None
    assert observe(4000, [listener(9222, "127.0.0.1", "chrome", "--remote-debugging-port", "9222")]).port is None


def test_where_it_was_found_before_counts_until_its_own_port_listens() -> None:
    assert observe(4000, [listener(3000), listener(5173)], present=5173).port == 5173
    assert observe(4000, [listener(3000), listener(5173), listener(4000)], present=5173).port == 4000


def test_a_port_that_somebody_chose_is_likelier_than_one_that_the_system_gave() -> None:
    assert observe(4000, [listener(3000), listener(40000), listener(5173)], excluded={3000}).port == 5173
    assert observe(4000, [listener(40000)]).port == 40000


def test_where_the_port_is_known_nothing_else_is_taken() -> None:
    assert observe(4000, [listener(3000)], only=True).port is None
    assert observe(4000, [listener(3000), listener(4000)], only=True).port == 4000


PORTS = st.sampled_from([3000, 4000, 5173, 40000])
LOOKS = st.lists(st.tuples(st.sets(PORTS), st.floats(0, 12)))


@given(LOOKS)
def test_its_own_port_wins_whenever_it_listens_and_each_gap_begins_anew(looks: list[tuple[set[int], float]]) -> None:
    tracker, now = PortTracker(4000), 0.0
    tracker.begin(now)
    gap: float | None = now
    for ports, pause in looks:
        now += pause
        found = observe(4000, [listener(port) for port in ports], present=tracker.present).port
        there = 4000 in ports or tracker.present in ports
        gap = None if there else now if gap is None else gap
        said = tracker.see(found, now)
        if 4000 in ports:
            assert tracker.present == 4000
        assert (said == "there") == there
        if gap is not None and ports:
            settled = SETTLED if min(ports) < 32768 else SETTLED_ANYWHERE
            assert said == ("ask" if now - gap >= settled else "wait")
        if said == "ask":
            assert found is not None
            tracker.take(found)
            gap = None


@given(st.lists(st.floats(0, 5), min_size=1, max_size=400), st.booleans())
def test_a_candidate_that_is_never_well_is_asked_ever_more_rarely_and_then_no_more(
    pauses: list[float], for_good: bool
) -> None:
    tracker, now = PortTracker(4000), 0.0
    asked: list[float] = []
    tracker.begin(now)
    for pause in [*pauses, *[5.0] * 400]:
        now += pause
        excluded = tracker.excluded(now)
        port = observe(4000, [listener(3000)], excluded=excluded).port
        assert tracker.is_due(now) == (port == 3000 and bool(asked))
        if tracker.see(port, now) == "ask":
            asked.append(now)
            tracker.refuse(3000, now, for_good=for_good)
            others = [listener(3000), listener(5000)]
            assert observe(4000, others, excluded=tracker.excluded(now)).port == 5000
    gaps = [after - before for before, after in itertools.pairwise(asked)]
    assert len(gaps) == (0 if for_good else MOST_QUESTIONS - 1)
    assert all(gap > min(LONGEST_PAUSE, FIRST_PAUSE * 2**number) - 1e-6 for number, gap in enumerate(gaps))
    tracker.forget()
    assert tracker.see(observe(4000, [listener(3000)], excluded=tracker.excluded(now)).port, now) == "ask"


@pytest.mark.parametrize("address", ["192.0.2.7", "127.0.0.2"])
def test_what_no_address_that_we_dial_leads_to_is_not(address: str) -> None:
    assert observe(4000, [listener(4000, address)]).port is None


def test_ipv6_alone_will_do() -> None:
    assert observe(4000, [listener(4000, "::1")]) == (4000, 4000, ())


def test_an_exposed_one_is_told_with_its_fix() -> None:
    observed = observe(4000, [listener(4000, "0.0.0.0", "python", "-m", "http.server", "4000")])
    assert observed.port == 4000
    [warning] = observed.warnings
    assert "port 4000 is bound to 0.0.0.0" in warning
    assert "--bind 127.0.0.1" in warning


def test_an_unknown_program_has_a_fix_too() -> None:
    [warning] = observe(4000, [listener(4000, "0.0.0.0", "thing")]).warnings
    assert "fix: make it listen on 127.0.0.1 instead of " in warning


def test_what_the_machine_shows_of_a_process() -> None:
    script = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)"
    argv = [sys.executable, "-c", f"{script}; sys.stdin.read()"]
    with (
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
        socket.create_server(("127.0.0.1", 0)) as ours,
    ):
        assert child.stdout is not None
        port = int(child.stdout.readline())
        watcher = ListenerWatcher(os.getpid())
        try:
            assert watcher.observe(port)[:2] == (port, child.pid)
            assert watcher.observe(ours.getsockname()[1]).port != ours.getsockname()[1]  # not below us
        finally:
            watcher.close()
            child.communicate()
