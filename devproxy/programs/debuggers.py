"""Which listeners of a program are its debugger's, and no service: told by their port, or by the command line.

How it works: some ports are what a debugger takes where nobody says otherwise. Another one stands in an option:
`--inspect=127.0.0.1:9331` (Node, Deno, Bun), `--remote-debugging-port=9222` (Chromium, Electron). What neither tells is
asked (`run/session.py`): debuggers of other languages speak no HTTP, and Node's answers 400 to a plain request.
Not here: what a service is adopted by (`run/listeners.py`). Pure.
"""

import itertools
import re
from collections.abc import Sequence

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
