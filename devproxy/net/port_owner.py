"""Who holds a port that devproxy wanted.

Lives here: one look-up in the system's socket table, and how the answer reads.
Not here: the table as health needs it (`health/scanner.py`). This one is asked once, on the way to an error
message, so psutil is imported only then.
"""

from devproxy.text import shown

MAX_COMMAND = 80


def holder(host: str, port: int) -> str:
    """The process that listens on `port` at `host`, or at a wildcard that covers it: `nginx (pid 12)`.

    Says so where the system does not tell: another user's process is not readable without rights.
    """
    for address, pid in _listeners(port):
        if not _covers(address, host):
            continue
        if pid:
            return f"{_command(pid)} (pid {pid})"
        return "a process that devproxy can't read (it belongs to another user)"
    return "a process that can't be found in the socket table"


def _listeners(port: int) -> list[tuple[str, int | None]]:
    """(address, pid) of what listens on `port`; empty where the table can't be read (macOS without rights)."""
    import psutil

    try:
        table = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return []
    return [
        (entry.laddr.ip, entry.pid)
        for entry in table
        if entry.status == psutil.CONN_LISTEN and entry.laddr and entry.laddr.port == port
    ]


def _covers(address: str, host: str) -> bool:
    """Whether a listener at `address` stands in the way of `host`; `::` may take IPv4 as well."""
    if address in {host, f"::ffff:{host}", "::"}:
        return True
    return address == "0.0.0.0" and ":" not in host  # noqa: S104  (compared, never bound)


def _command(pid: int) -> str:
    """What the process was started as, on one line, cut."""
    import psutil

    try:
        process = psutil.Process(pid)
        words = process.cmdline() or [process.name()]
    except (psutil.Error, OSError):
        return "a process that devproxy can't read"
    return shown(" ".join(" ".join(words).split()), MAX_COMMAND)
