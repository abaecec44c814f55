"""The bench's own arithmetic and requests: medians, ratios, tables, and what wrk is told to send. Nothing is timed."""

import json

import pytest

from tests.bench.load import head, script
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


def test_a_request_has_ten_fields() -> None:
    lines = head("app.localhost").split("\r\n")
    assert lines[0].startswith("GET ")
    assert len(lines) == 1 + 10 + 2  # the empty line, and what follows the last CRLF
    assert lines[1] == "Host: app.localhost"


def test_only_the_varied_workload_counts_up() -> None:
    assert "request = true and vary" in script("varied", "app.localhost")
    assert "request = false and vary" in script("same", "app.localhost")
