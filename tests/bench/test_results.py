"""The bench's own arithmetic and requests: medians, ratios, tables, and what wrk is told to send. Nothing is timed."""

import itertools
import json
import socket

import pytest

from tests.bench import latency
from tests.bench.load import head, script
from tests.bench.origin import BODY
from tests.bench.peers import PEERS
from tests.bench.report import render, table
from tests.bench.results import Results

WATCHES = {name: peer.watches for name, peer in PEERS.items()}


@pytest.fixture
def results() -> Results:
    made = Results(versions={"devproxy": "1", "nginx": "2"}, missing={"caddy": "no network"})
    for ours, nginx in ((30.0, 20.0), (90.0, 30.0), (28.0, 20.0)):
        made.add("devproxy", "same_cpu_us", ours)
        made.add("nginx", "same_cpu_us", nginx)
    return made


def test_a_ratio_is_taken_inside_each_round_first(results: Results) -> None:
    assert results.ratio("devproxy", "same_cpu_us") == 1.5  # the rounds' own: 1.5, 3.0, 1.4
    assert results.median("devproxy", "same_cpu_us") == 30.0
    assert results.best("devproxy", "same_cpu_us") == 28.0


def test_a_ratio_without_both_sides_is_none(results: Results) -> None:
    results.add("devproxy", "change_ms", 12.0)
    assert results.ratio("devproxy", "change_ms") is None
    assert results.ratio("traefik", "change_ms") is None


def test_json_holds_samples_medians_and_ratios(results: Results) -> None:
    whole = json.loads(json.dumps(results.as_json()))
    assert whole["proxies"]["devproxy"]["ratio"] == {"same_cpu_us": 1.5}
    assert whole["proxies"]["nginx"]["samples"]["same_cpu_us"] == [20.0, 30.0, 20.0]
    assert whole["missing"] == {"caddy": "no network"}


def test_a_missing_peer_is_named_with_its_reason(results: Results) -> None:
    report = render(results, WATCHES)
    assert "caddy: not here: no network" in report
    assert "1.50×" in report


def test_table_cells_line_up() -> None:
    lines = table(["", "ms"], [["devproxy", "1"], ["nginx", "1,000"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2] == "| devproxy |     1 |"


def test_a_percentile_is_a_latency_that_there_was() -> None:
    latencies = latency.Latencies([float(number) for number in range(1, 1001)])
    assert latencies.figures() == {"p50_ms": 500.0, "p99_ms": 990.0, "p999_ms": 999.0}
    assert latency.Latencies([7.0]).percentile(99) == 7.0
    assert latency.Latencies(range(1, 41_001)).percentile(99.9) == 40_959


def test_the_generator_waits_for_no_answer_to_be_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that a test moves: the one connection is busy for ten seconds, in which all the others come due."""
    ours, servers = socket.socketpair()
    now = 0.0

    def wait(sockets: list[int], *_: object) -> tuple[list[int], ...]:
        nonlocal now
        now = max(now + 0.25, 10.0) if servers.recv(100) else now
        servers.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + BODY.encode())
        return sockets, [], []

    monkeypatch.setattr(latency, "clock", lambda: now)
    monkeypatch.setattr(latency, "select", wait)
    with ours, servers:
        found = latency.offer([ours], itertools.repeat(b"GET"), 1, 3)
    assert found == [10.0, 9.25, 8.5]


def test_only_the_varied_requests_differ() -> None:
    same, varied = latency.requests("same", "app.localhost"), latency.requests("varied", "app.localhost")
    assert next(same) == next(same)
    assert next(varied) != next(varied)


def test_latencies_stand_beside_nginx(results: Results) -> None:
    for name, p99 in (("devproxy", 3.0), ("nginx", 2.0)):
        for _ in range(3):
            for key, value in {"p50_ms": 1.0, "p99_ms": p99, "p999_ms": 9.0, "rate": 12_000.0}.items():
                results.add(name, f"half_same_{key}", value)
    report = render(results, WATCHES)
    assert "same, 12,000 req/s" in report
    assert "3.000" in report


def test_a_request_has_ten_fields() -> None:
    lines = head("app.localhost").split("\r\n")
    assert lines[0].startswith("GET ")
    assert len(lines) == 1 + 10 + 2  # the empty line, and what follows the last CRLF
    assert lines[1] == "Host: app.localhost"


def test_only_the_varied_workload_counts_up() -> None:
    assert "request = true and vary" in script("varied", "app.localhost")
    assert "request = false and vary" in script("same", "app.localhost")
