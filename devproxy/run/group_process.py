"""The process of `devproxy up`: signals, the log of each service, what a person sees, and the file that tells others.

Not here: the group's own rules (`group.py`), putting it into the background (`detach.py`).

The files are written in one thread, in order; what a person sees is printed at once. SIGINT, SIGTERM and SIGHUP end all
services in order, a second SIGINT at once; at SIGUSR1 it does what other commands ask for (`group_state.py`).
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths
from devproxy.registry.model import ProxySettings, Service
from devproxy.run.attachment import AttachRequest
from devproxy.run.group import QUOTED, ServiceGroup
from devproxy.run.group_state import AT_REST, MemberState, publish, take_requests, withdraw
from devproxy.run.logs import ServiceLog
from devproxy.run.report import RunReporter
from devproxy.run.session import is_ignored
from devproxy.urls import Ports

OWN = "devproxy"  # the name under which what devproxy says stands

Show = Callable[[str, str], None]


def run_group(
    paths: Paths,
    services: Sequence[Service],
    outside: Sequence[Service],
    *,
    ports: Ports,
    show: Show | None,
    settings: ProxySettings,
    requested: Collection[str] | None = None,
) -> int:
    """Run `services` until all have ended; exit code 1 if one has failed. `show` gets each line and its service.

    `outside` as in `ServiceGroup`. `requested`, where nobody typed this: the ids of those that a request came for.
    """
    trusted_only = requested is not None
    group = partial(ServiceGroup, paths, services, outside, ports=ports, settings=settings, trusted_only=trusted_only)
    by = "a request" if trusted_only else "devproxy up"
    reporters = {one.id: RunReporter(paths, one.id, by, is_announced=one.id in (requested or ())) for one in services}
    return asyncio.run(_GroupProcess(paths, reporters, group, show).run())


class _GroupProcess:
    def __init__(
        self,
        paths: Paths,
        reporters: Mapping[str, RunReporter],
        group: Callable[..., ServiceGroup],
        show: Show | None,
    ):
        self._paths = paths
        self._show = show
        self._logs = {name: ServiceLog(paths, name) for name in reporters}
        self._writer = ThreadPoolExecutor(1, "devproxy-log")
        self._reporters = reporters
        self._group = group(on_line=self._on_line, notify=self._notify, on_change=self._on_change)
        self._ending = False

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end)
        for number, handler in ((signal.SIGINT, self._interrupt), (signal.SIGHUP, self._end)):
            if not is_ignored(number):  # as nohup(1) has it
                loop.add_signal_handler(number, handler)
        loop.add_signal_handler(signal.SIGUSR1, self._do_requests)
        self._on_change()
        self._do_requests()  # those that came before we could
        try:
            good = await self._group.run()
        finally:
            await asyncio.to_thread(self._writer.shutdown)
            withdraw(self._paths)
        return Exit.GOOD if good else Exit.BAD_NEWS

    def _do_requests(self) -> None:
        """What other terminals ask for."""
        for request, service, text in take_requests(self._paths):
            if request == "end":
                self._group.end([service])
            elif request == "rest":
                self._group.end([service], AT_REST)
            elif request == "start":
                self._group.start([service])
            elif request == "restart":
                self._group.restart([service])
            elif request in {"attach", "resize"}:
                with contextlib.suppress(ValueError, OSError):  # who asked has gone meanwhile
                    self._group.attach(service, AttachRequest.of_text(text))

    def _interrupt(self) -> None:
        if self._ending:
            self._group.kill()
        else:
            self._end()

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
            self._notify("ending all of it (Ctrl-C: at once)")
        self._group.end()

    def _on_line(self, name: str, text: str) -> None:
        self._writer.submit(self._logs[name].append, text)
        self._print(name, text)

    def _notify(self, text: str) -> None:
        lines = text.split("\n")
        for line in lines:
            self._print(OWN, line)
        for name, log in self._logs.items():
            if f"`{name}`" in lines[0]:
                for line in lines:
                    if not line.startswith(QUOTED):
                        self._writer.submit(log.append, f"[{OWN}] {line}")

    def _print(self, name: str, text: str) -> None:
        try:
            if self._show is not None:
                self._show(name, text)
        except OSError:  # whoever read it is gone: the logs have it
            self._show = None

    def _on_change(self) -> None:
        now = time.time()
        lines = {name: tuple(member.last_lines) for name, member in self._group.members.items()}
        self._writer.submit(self._publish, self._group.states, lines, now)

    def _publish(self, states: dict[str, MemberState], lines: dict[str, tuple[str, ...]], now: float) -> None:
        """In the thread. What everybody is told comes first: who has seen our file knows that it is said."""
        for name, state in states.items():
            self._reporters[name].follow(state, lines[name], now)
        _publish(self._paths, states)


def _publish(paths: Paths, states: dict[str, MemberState]) -> None:
    try:
        publish(paths, states)
    except (DevproxyError, OSError):
        return  # a full disk: `down` then finds the services by their leases
