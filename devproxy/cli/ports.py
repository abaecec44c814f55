"""`devproxy ports`: what is on port 3000, and who can reach it? Every TCP listener of the machine, registered or not.

Lives here: listeners as rows and as a table.
Not here: finding them (`health/scanner.py`), judging them (`health/exposure.py`).
"""

from typing import TYPE_CHECKING, Any

import click

from devproxy.cli.context import CommandContext, load_context
from devproxy.cli.output import for_person, print_json, print_table, remark
from devproxy.text import plural, safe

if TYPE_CHECKING:
    from devproxy.health.model import Listener, Scan
    from devproxy.registry.model import ListenAddress, Upstream

HEADINGS = ("PORT", "ADDRESS", "EXPOSURE", "SERVICE", "PROCESS")
COLOURS = {"exposed": "red", "loopback": "green"}
ITSELF = "(devproxy)"


@click.command("ports")
@click.option("--exposed", is_flag=True, help="Only those that others can reach.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects, one a listener.")
def command(exposed: bool, as_json: bool) -> None:
    """List what listens on this machine, and who can reach it; of all programs, registered or not."""
    from devproxy.health.scanner import Scanner

    view = load_context()
    scan = Scanner().scan()
    rows = [row for row in _rows(view, scan) if row["verdict"] == "exposed" or not exposed]
    if as_json:
        print_json([{key: value for key, value in row.items() if key != "program"} for row in rows])
        return
    if rows:
        print_table(HEADINGS, _table(rows), COLOURS, cut=("ADDRESS", "SERVICE", "PROCESS"))
    _remark(rows, scan, exposed)


def _rows(view: CommandContext, scan: "Scan") -> list[dict[str, Any]]:
    """One object a listener; `services` are the ids of those that are reached through it."""
    return [_row(view, listener, scan) for listener in scan.listeners]


def _row(view: CommandContext, listener: "Listener", scan: "Scan") -> dict[str, Any]:
    import msgspec

    from devproxy.health.exposure import judged_listener
    from devproxy.health.findings import fix_in_words
    from devproxy.programs.fixes import propose_fix
    from devproxy.programs.recognize import recognize

    program = recognize(listener.process.argv or (), listener.process.parents, listener.port)
    row: dict[str, Any] = msgspec.to_builtins(judged_listener(listener, scan.interfaces))
    return row | {
        "services": _services(view, listener),
        "fix": fix_in_words(listener, propose_fix(program)) if row["verdict"] == "exposed" else "",
        "gap": listener.process.gap,
        "program": program.name,
    }


def _services(view: CommandContext, listener: "Listener") -> list[str]:
    from devproxy.health.exposure import takes

    if view.running and listener.port in view.running.own_ports and listener.pid == view.running.pid:
        return [ITSELF]
    addresses: list[tuple[str, Upstream | ListenAddress | None]] = []
    is_ours = view.running is not None and listener.pid == view.running.pid
    for service in view.registry.services:
        addresses.append((service.id, service.listen if is_ours else service.upstream))
    return [
        identity
        for identity, address in addresses
        if address and address.port == listener.port and any(takes(listener, host) for host in address.hosts)
    ]


def _table(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """A process with several addresses on one port is one row; on a terminal its command is shortened to a name."""
    merged: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        key = (row["port"], row["pid"], row["command"], row["verdict"], tuple(row["services"]))
        merged.setdefault(key, []).append(row)
    return [
        (
            str(first["port"]),
            " ".join(dict.fromkeys(row["address"] for row in group)),
            first["verdict"],
            " ".join(first["services"]) or "-",
            _process(first),
        )
        for group in merged.values()
        for first in group[:1]
    ]


def _process(row: dict[str, Any]) -> str:
    """`Vite (pid 4242, anna)`; in a pipe the whole command."""
    if row["pid"] is None:
        return f"? ({row['user']})" if row["user"] else "?"
    name = (row["program"] if for_person() else row["command"]) or "?"
    user = f", {row['user']}" if row["user"] else ""
    return safe(f"{name if len(name) < 32 or not for_person() else name[:31] + '…'} (pid {row['pid']}{user})")


def _remark(rows: list[dict[str, Any]], scan: "Scan", exposed: bool) -> None:
    """What could not be seen, and what to do about those that others can reach."""
    if not rows:
        remark("nothing listens that others can reach" if exposed else "nothing listens")
    if scan.gap:
        remark(f"note: {scan.gap}", fg="yellow")
    gaps = sorted({row["gap"] for row in rows if row["pid"] is None and row["gap"]})
    for gap in gaps:
        remark(f"? : {gap}", fg="yellow")
    wide = [row for row in rows if row["verdict"] == "exposed"]
    if wide and for_person():
        number = len({(row["port"], row["pid"]) for row in wide})
        remark(f"others can reach {plural(number, 'port')}", fg="red")
        for text in dict.fromkeys(f"{row['port']}: {row['fix']}" for row in wide):
            remark(safe(f"  {text}"))
