"""Where a program meets its debugger, which is no service: told by the port, by the command line or the environment.

How it works: some ports are what a debugger takes where nobody says otherwise. Another one stands in an option:
`--inspect=127.0.0.1:9331` (Node, Deno, Bun), `--remote-debugging-port=9222` (Chromium, Electron). What neither tells is
asked (`run/session.py`): debuggers of other languages speak no HTTP, and Node's answers 400 to a plain request.

A debugger connects to a port on which the program listens, or an adapter that it has started (debugpy `--listen`), or
the program connects to its debugger (debugpy `--connect`, PyCharm's `pydevd.py`, Java without `server=y`, Xdebug). A
connection there means that a person debugs. Debuggers that trace (ptrace(2): gdb, lldb, delve) need no port.
Not here: what a service is adopted by (`run/listeners.py`), whether a debugger is there (`health/pauses.py`). Pure.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from devproxy.text import port_number

DEFAULT_PORTS = frozenset({9229, 9230, 5858, 5678, 6499})  # Node, the next of a cluster, old Node, debugpy, Bun
_OPTION = re.compile(r"--(?:inspect(?:-brk|-wait|-port)?|debug-port|remote-debugging-port)=(?:\S*:)?(\d{1,5})(?=/|$)")
_PAIRED = frozenset(
    {"--inspect-port", "--debug-port", "--remote-debugging-port"}
)  # whose value may be a word of its own


def debugger_ports(argv: Sequence[str]) -> frozenset[int]:
    """The ports that a process' command line names as its debugger's."""
    found = {int(match[1]) for word in argv for match in _OPTION.finditer(word)}
    following = itertools.pairwise(argv)
    found |= {int(value) for option, value in following if option in _PAIRED and re.fullmatch(r"\d{1,5}", value)}
    return frozenset(found)


_XDEBUG_PORT: Final = 9003
_PHP = r"php(?:-fpm|-cgi)?[0-9.]*"
_OPTIONS: Final = ("NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS")  # of the environment


class AttachPoint(NamedTuple):
    """`port` is the process's own, or the debugger's where the process `calls` it; `by_adapter`: an adapter that the
    process started may hold it instead."""

    port: int
    calls: bool = False
    by_adapter: bool = False


def attach_points(argv: Sequence[str], environment: Mapping[str, str]) -> frozenset[AttachPoint]:
    """All places at which the process may meet a debugger."""
    words = [*argv, *(word for name in _OPTIONS for word in environment.get(name, "").split())]
    found = [AttachPoint(port) for port in DEFAULT_PORTS | debugger_ports(words)]
    found += [*_python(argv), *_java(words)]
    found.append(AttachPoint(port_number(environment.get("RUBY_DEBUG_PORT", ""))))
    if argv and re.fullmatch(_PHP, _base(argv[0])):
        found.append(AttachPoint(_XDEBUG_PORT, calls=True))
    return frozenset(one for one in found if 0 < one.port < 65536)


def _python(argv: Sequence[str]) -> Iterator[AttachPoint]:
    """`python -m debugpy --listen 5678 app.py`, by whatever path the package is run."""
    names = [_base(word) for word in argv]
    pairs = list(itertools.pairwise(argv))
    if "debugpy" in names:
        for option, value in pairs:
            if option in ("--listen", "--connect"):
                calls = option == "--connect"
                yield AttachPoint(port_number(value.rpartition(":")[2]), calls=calls, by_adapter=not calls)
    if "pydevd.py" in names:
        yield from (AttachPoint(port_number(value), calls=True) for option, value in pairs if option == "--port")


def _java(words: Sequence[str]) -> Iterator[AttachPoint]:
    for word in words:
        head, found, options = word.partition("jdwp" + ("=" if word.startswith("-agentlib:") else ":"))
        if found and head in ("-agentlib:", "-Xrun"):
            given = dict(part.partition("=")[::2] for part in options.split(","))
            yield AttachPoint(
                port_number(given.get("address", "").rpartition(":")[2]), calls=given.get("server") != "y"
            )


def _base(word: str) -> str:
    return word.rpartition("/")[2]
