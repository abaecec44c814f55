"""What `devproxy serve` prints once it is ready: where each name leads, and what is wrong.

Lives here: text for a terminal or a pipe. Pure.
Not here: printing it (`main.py`), tables for `devproxy ls` (`cli/`).
"""

from collections.abc import Sequence

from devproxy import __version__
from devproxy.problems import Problem
from devproxy.registry.model import Registry, Service
from devproxy.text import plural, safe, safe_lines
from devproxy.urls import Ports, control_url, service_url

MOST_SERVICES = 100
MOST_PROBLEMS = 20


def announcement(registry: Registry, addresses: Sequence[str], ports: Ports, notices: Sequence[str]) -> str:
    """Several lines; `addresses` as `127.0.0.1:80`, `ports` those that URLs carry."""
    lines = [
        f"devproxy {__version__} listens on {' and '.join(addresses)}",
        *(safe(f"note: {notice}") for notice in notices),
        "",
    ]
    lines += _services(registry.services, ports)
    lines += ["", f"Everything at a glance: {control_url(registry.settings.tlds, ports)}/"]
    lines += _problems(registry.problems)
    return safe_lines("\n".join(lines))


def _services(services: Sequence[Service], ports: Ports) -> list[str]:
    if not services:
        return ["No services yet. Give a port a name: devproxy add app 3000"]
    shown = services[:MOST_SERVICES]
    rows = [(service_url(service, ports) or service.id, _upstream(service)) for service in shown]
    width = min(60, max(len(url) for url, _ in rows))
    lines = [safe(f"  {url:<{width}}  →  {upstream}") for url, upstream in rows]
    if len(services) > MOST_SERVICES:
        lines.append(f"  and {len(services) - MOST_SERVICES} more: devproxy ls")
    return lines


def _upstream(service: Service) -> str:
    return service.upstream.text if service.upstream else "no port yet"


def _problems(problems: Sequence[Problem]) -> list[str]:
    if not problems:
        return []
    lines = ["", f"{plural(len(problems), 'problem')}:"]
    for problem in problems[:MOST_PROBLEMS]:
        lines += [f"  {line}" for line in problem.text().splitlines()]
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"  and {len(problems) - MOST_PROBLEMS} more: devproxy check")
    return lines
