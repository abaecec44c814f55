"""The results as text: one table a question, plain enough for a terminal and for a README.

Lives here: columns and alignment. Not here: any arithmetic beyond formatting (`results.py`).
"""

from collections.abc import Sequence
from statistics import median

from tests.bench.results import REFERENCE, Results

# heading, figure, decimals
LOAD_COLUMNS = (
    ("CPU µs/req", "cpu_us", 1),
    ("user", "user_us", 1),
    ("system", "system_us", 1),
    ("req/s", "requests_per_second", 0),
    ("p50 ms", "p50_ms", 2),
    ("p99 ms", "p99_ms", 2),
    ("core busy %", "busy_percent", 0),
)
OTHER_COLUMNS = (
    ("RSS MiB", "rss_mib", 1),
    ("CPU ms/100 MB", "cpu_ms_per_100mb", 1),
    ("change ms", "change_ms", 1),
    ("KiB/WebSocket", "websocket_kib", 1),
)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under headings, as a Markdown table: the first column to the left, the others to the right."""
    widths = [max(len(row[index]) for row in [headings, *rows]) for index in range(len(headings))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join([first, *rest]) + " |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(headings), line(rule), *(line(row) for row in rows)])


def number(value: float | None, decimals: int) -> str:
    """`value` with thousands set apart; a dash where there is none."""
    return "–" if value is None else f"{value:,.{decimals}f}"


def ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}×"


TLS_COLUMNS = (
    ("CPU ms/100 MB", "tls_cpu_ms_per_100mb", 1),
    ("first byte ms", "tls_first_byte_ms", 2),
    ("KiB/idle HTTP/2", "h2_idle_kib", 1),
)


def tls_table(results: Results) -> str:
    """Large bodies, new connections and idle ones over TLS, and each as a multiple of nginx's."""
    rows = []
    for name in results.names():
        cells = [
            cell
            for _, key, decimals in TLS_COLUMNS
            for cell in (number(results.median(name, key), decimals), ratio(results.ratio(name, key)))
        ]
        rows.append([name, *cells])
    return table(["TLS", *(cell for heading, _, _ in TLS_COLUMNS for cell in (heading, f"× {REFERENCE}"))], rows)


def load_table(results: Results, workload: str) -> str:
    """Small answers: the figures of one workload, and CPU as a multiple of nginx's; `lowest` is the best round's."""
    rows = []
    for name in results.names():
        cost = f"{workload}_cpu_us"
        if results.median(name, cost) is None:
            continue
        cells = [number(results.median(name, f"{workload}_{key}"), decimals) for _, key, decimals in LOAD_COLUMNS]
        rows.append([name, cells[0], ratio(results.ratio(name, cost)), number(results.best(name, cost), 1), *cells[1:]])
    headings = [heading for heading, _, _ in LOAD_COLUMNS]
    return table([workload, headings[0], f"× {REFERENCE}", "lowest", *headings[1:]], rows)


LATENCY_COLUMNS = (("p50 ms", "p50_ms"), ("p99 ms", "p99_ms"), ("p99.9 ms", "p999_ms"))


def latency_table(results: Results, workload: str) -> str:
    """Latencies at one constant rate, half of what devproxy or nginx takes, each as a multiple of nginx's too."""
    rows, names = [], [name for name in results.names() if results.median(name, f"{workload}_rate")]
    for name in names:
        keys = [f"{workload}_{key}" for _, key in LATENCY_COLUMNS]
        cells = [
            cell for key in keys for cell in (number(results.median(name, key), 3), ratio(results.ratio(name, key)))
        ]
        rows.append([name, *cells])
    rate = number(results.median(names[0], f"{workload}_rate"), 0)
    headings = [cell for heading, _ in LATENCY_COLUMNS for cell in (heading, f"× {REFERENCE}")]
    return table([f"{workload.removeprefix('half_')}, {rate} req/s", *headings], rows)


def other_table(results: Results, watches: dict[str, str]) -> str:
    """What a proxy costs besides, and how it learns of a change."""
    rows = [
        [
            name,
            *(number(results.median(name, key), decimals) for _, key, decimals in OTHER_COLUMNS),
            watches.get(name, ""),
        ]
        for name in results.names()
        if name in watches
    ]
    return table(["", *(heading for heading, _, _ in OTHER_COLUMNS), "learns of a change"], rows)


TCP_COLUMNS = (
    ("CPU µs/transaction", "transaction_us", 1),
    ("transactions/s", "transactions_per_second", 0),
    ("CPU ms/100 MB down", "down_ms_per_100mb", 1),
    ("up", "up_ms_per_100mb", 1),
    ("KiB/idle connection", "idle_kib", 1),
)


def tcp_table(results: Results) -> str:
    """TCP forwarding: the median of each figure."""
    rows = [
        [
            name,
            *(number(median(samples[key]) if key in samples else None, decimals) for _, key, decimals in TCP_COLUMNS),
        ]
        for name, samples in results.tcp.items()
    ]
    return table(["TCP", *(heading for heading, _, _ in TCP_COLUMNS)], rows)


def render(results: Results, watches: dict[str, str]) -> str:
    """The whole report."""
    has = {key for figures in results.samples.values() for key in figures}
    workloads = ("same", "varied", "tls_same", "tls_varied", "h2_same")
    parts = [load_table(results, workload) for workload in workloads if f"{workload}_cpu_us" in has]
    halves = ("half_same", "half_varied")
    parts += [latency_table(results, workload) for workload in halves if f"{workload}_rate" in has]
    if has & {key for _, key, _ in OTHER_COLUMNS}:
        parts.append(other_table(results, watches))
    if has & {key for _, key, _ in TLS_COLUMNS}:
        parts.append(tls_table(results))
    if results.tcp:
        parts.append(tcp_table(results))
    if results.monitor:
        rows = [[label, number(median(values), 2), number(max(values), 2)] for label, values in results.monitor.items()]
        parts.append(table(["watching over services (devproxy alone)", "median", "worst"], rows))
    if results.startup_ms:
        rows = [[label, number(median(values), 1)] for label, values in results.startup_ms.items()]
        parts.append(table(["start-up", "ms"], rows))
    if results.parser_us:
        rows = [
            [name, *(number(us.get(kind), 2) for kind in ("request", "response"))]
            for name, us in results.parser_us.items()
        ]
        parts.append(table(["parser alone, µs/head", "request", "response"], rows))
    notes = [f"{name}: not here: {why}" for name, why in results.missing.items()]
    notes += [f"{what}: failed {len(whys)}×: {whys[-1]}" for what, whys in results.failed.items()]
    versions = "; ".join(f"{name} ({version})" for name, version in results.versions.items())
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else []), f"Measured: {versions}"])
