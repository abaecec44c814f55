"""The dashboard: one HTML page that says which names there are, where they lead, and what is wrong.

Lives here: HTML from values, every value escaped. Works without a script; `static/dashboard.js` only asks for the page
again when something has happened.
Not here: the values (`serializers.py`, `context.py`), styles (`static/dashboard.css`), what may be loaded
(`responses.py`).
"""

import time
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from devproxy.build import own_version
from devproxy.control.context import ControlContext
from devproxy.events import Entry
from devproxy.health.model import Condition, Finding, WaitingRequests
from devproxy.problems import Problem
from devproxy.registry.model import Project, Service
from devproxy.text import devproxy_command, plural, ports_in_words, safe_html
from devproxy.urls import Ports, mount_url, service_url

MOST_FINDINGS = 100
UNKNOWN = Condition()
_WORDS = {"unknown": "not checked yet", "on-request": "on request"}


def cell(condition: Condition) -> str:
    """State and exposure, in words and colour; why, and since when, to whoever points at it."""
    since = time.strftime("since %Y-%m-%d %H:%M:%S: ", time.localtime(condition.since)) if condition.since else ""
    state = (
        f'<span class="state {safe_html(condition.word)}" title="{safe_html(since + condition.why)}">'
        f"{_WORDS.get(condition.word, condition.word)}</span>"
    )
    if condition.exposure != "exposed":
        return state
    return f'{state} <span class="exposed" title="{safe_html(condition.exposure_why)}">exposed</span>'


def waiting_cell(wait: WaitingRequests | None) -> str:
    """Since when requests wait for an answer; empty where none has waited long."""
    if wait is None:
        return ""
    since = time.strftime("%H:%M:%S", time.localtime(wait.since))
    title = f"{plural(wait.requests, 'request')} without an answer{f': {wait.why}' if wait.why else ''}"
    return f' <span class="waiting" title="{safe_html(title)}">waiting since {since}</span>'


def findings(conditions: Mapping[str, Condition]) -> str:
    """A section with everything that is wrong, the gravest first; empty where nothing is."""
    found = [
        (identity, finding)
        for identity, condition in conditions.items()
        for finding in condition.findings
        if finding.severity != "note"
    ]
    if not found:
        return ""
    found.sort(key=lambda pair: (pair[1].severity != "error", pair[0]))
    items = "".join(_finding(identity, finding) for identity, finding in found[:MOST_FINDINGS])
    more = len(found) - MOST_FINDINGS
    rest = f"<p>And {more} more: <code>devproxy health</code> shows all.</p>" if more > 0 else ""
    return f'<section><h2>Health</h2><ul class="problems">{items}</ul>{rest}</section>'


def _finding(identity: str, finding: Finding) -> str:
    proof = f"<p>Proof: {safe_html(finding.proof)}</p>" if finding.proof else ""
    fix = f'<p class="fix"><span>fix</span> {safe_html(finding.fix)}</p>' if finding.fix else ""
    command = f'<p class="fix"><span>run</span> {safe_html(finding.command)}</p>' if finding.command else ""
    who = f'<p class="place">{safe_html(finding.who)}</p>' if finding.who else ""
    return (
        f'<li class="{safe_html(finding.severity)}"><p class="what">'
        f'<a href="#{safe_html(identity)}">{safe_html(identity)}</a> '
        f"{safe_html(finding.code)}: {safe_html(finding.message)}</p>{proof}{fix}{command}{who}</li>"
    )


_COUNTED = ("up", "starting", "running", "done", "failed", "down", "ending", "stopped", "on-request")


def counts(conditions: Mapping[str, Condition]) -> list[str]:
    """`12 up`, `1 down`, `1 on-request`, `1 exposed`, as far as there are any."""
    words = [condition.word for condition in conditions.values()]
    found = [(words.count(word), word) for word in _COUNTED]
    found.append((sum(condition.exposure == "exposed" for condition in conditions.values()), "exposed"))
    return [f"{number} {word}" for number, word in found if number]


MOST_ROWS = 2000
MOST_PROBLEMS = 200
MOST_EVENTS = 8


def dashboard(view: ControlContext) -> str:
    """The whole page, as text."""
    registry, conditions = view.registry(), view.conditions()
    body = "".join(
        (
            _notices(view.notices()),
            findings(conditions),
            _problems(registry.problems),
            _services(registry.services, view.ports(), conditions, view.waiting()),
            _events(view.events.since(0)),
        )
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>devproxy</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<link rel="icon" href="/static/icon.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="/static/dashboard.css">'
        '<script src="/static/dashboard.js" defer></script></head><body>'
        f'<header><h1>devproxy</h1><span id="live" hidden></span></header>'
        f'<main data-last="{view.events.last}">{_summary(view)}{body}</main>{_footer(view)}</body></html>\n'
    )


def _summary(view: ControlContext) -> str:
    registry = view.registry()
    facts = [
        plural(len(registry.services), "service"),
        *counts(view.conditions()),
        *([plural(len(registry.problems), "problem")] * bool(registry.problems)),
    ]
    ports = view.ports()
    where = ports_in_words(ports.http, ports.https)
    return f'<p class="summary">{" · ".join(facts)} · {where}, this machine only</p>'


def _notices(notices: Iterable[str]) -> str:
    items = "".join(f"<li>{safe_html(_sentence(notice))}</li>" for notice in notices)
    return f'<ul class="notices">{items}</ul>' if items else ""


def _problems(problems: tuple[Problem, ...]) -> str:
    if not problems:
        return ""
    items = "".join(_problem(problem) for problem in problems[:MOST_PROBLEMS])
    return f'<section><h2>Problems</h2><ul class="problems">{items}</ul>{_rest(len(problems), MOST_PROBLEMS)}</section>'


def _problem(problem: Problem) -> str:
    why = f"<p>{safe_html(_sentence(problem.why))}</p>" if problem.why else ""
    fix = f'<p class="fix"><span>fix</span> {safe_html(problem.fix)}</p>' if problem.fix else ""
    return (
        f'<li class="{safe_html(problem.severity)}"><p class="what">{safe_html(_sentence(problem.message))}</p>'
        f"{why}{fix}"
        f'<p class="place" title="{safe_html(problem.where)}">{safe_html(_short(problem.where))} · '
        f"{safe_html(problem.code)}</p></li>"
    )


def _services(
    services: tuple[Service, ...],
    ports: Ports,
    conditions: Mapping[str, Condition],
    waiting: Mapping[str, WaitingRequests],
) -> str:
    if not services:
        return (
            "<section><h2>Services</h2><p>None yet. Give a port a name:</p>"
            "<pre>devproxy add app 3000</pre><p>or take in a project that has a <code>devproxy.toml</code>:</p>"
            "<pre>devproxy link path/to/project</pre></section>"
        )
    shown = sorted(services[:MOST_ROWS], key=lambda service: (service.project or Project(""), service.id))
    groups = groupby(shown, key=lambda service: service.project)
    bodies = "".join(_project(project, group, ports, conditions, waiting) for project, group in groups)
    return (
        "<section><table><thead><tr><th>Name<th>Leads to<th>Is<th>Declared in</tr></thead>"
        f"{bodies}</table>{_rest(len(services), MOST_ROWS)}</section>"
    )


def _project(
    project: Project | None,
    services: Iterable[Service],
    ports: Ports,
    conditions: Mapping[str, Condition],
    waiting: Mapping[str, WaitingRequests],
) -> str:
    rows = "".join(
        _row(service, ports, conditions.get(service.id, UNKNOWN), waiting.get(service.id)) for service in services
    )
    head = (
        f'<tr class="project"><th colspan="4" scope="rowgroup">{safe_html(str(project))}</th></tr>' if project else ""
    )
    return f"<tbody>{head}{rows}</tbody>"


def _row(service: Service, ports: Ports, condition: Condition, wait: WaitingRequests | None) -> str:
    first, *others = [*_hosts(service, ports), *_mounts(service, ports)]
    more = "".join(f"<li>{other}</li>" for other in others)
    aliases = f'<ul class="more">{more}</ul>' if more else ""
    upstream = f"<code>{safe_html(service.upstream.text)}</code>" if service.upstream else _portless(service)
    place = service.source.where
    return (
        f'<tr id="{safe_html(service.id)}"><td>{first}{aliases}</td><td>{upstream}</td>'
        f"<td>{cell(condition)}{waiting_cell(wait)}{_next(service, condition)}</td>"
        f'<td class="place" title="{safe_html(place)}">{safe_html(_short(place))}</td></tr>'
    )


def _portless(service: Service) -> str:
    """What stands in the place of an address: a command gets a port when it is started, a worker or a task never."""
    if not service.serves:
        return service.kind
    return "" if service.command is not None else "<em>no port yet</em>"


def _next(service: Service, condition: Condition) -> str:
    """Below the state of a command that does not run: how it failed, and what starts it."""
    if condition.word not in {"failed", "stopped"} or service.command is None:
        return ""
    why = f"{safe_html(condition.why)}<br>" if condition.word == "failed" else ""
    return f'<div class="next">{why}<code>{safe_html(devproxy_command("up", service.id))}</code></div>'


def _hosts(service: Service, ports: Ports) -> Iterable[str]:
    """Every name as a link; wildcards, and what a browser cannot open, as text. At least one, whatever it is."""
    if service.protocol != "http" or not service.hosts:
        yield safe_html(service.id)
        if address := service_url(service, ports):
            yield safe_html(address)
        return
    for host in service.hosts:
        yield safe_html(host) if "*" in host else _link(ports.url(host, "/"), host)


def _mounts(service: Service, ports: Ports) -> Iterable[str]:
    for mount in service.mounts:
        said = mount.host + mount.path
        yield safe_html(said) if "*" in mount.host else _link(mount_url(mount, ports), said)


def _link(url: str, said: str) -> str:
    return f'<a href="{safe_html(url)}">{safe_html(said)}</a>'


def _events(entries: list[Entry]) -> str:
    items = "".join(_event(entry) for entry in reversed(entries[-MOST_EVENTS:]))
    return f'<section><h2>Lately</h2><ul class="events">{items}</ul></section>' if items else ""


def _event(entry: Entry) -> str:
    moment = time.localtime(entry.time)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", moment)
    return (
        f'<li><time datetime="{stamp}">{time.strftime("%H:%M:%S", moment)}</time> '
        f"{safe_html(_short(entry.event.text()))}</li>"
    )


def _footer(view: ControlContext) -> str:
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(view.started))
    return (
        f"<footer><span>devproxy {safe_html(own_version())} · pid {view.pid} · since {since}</span>"
        '<nav><a href="/api/services">services</a> <a href="/api/health">health</a> '
        '<a href="/api/history">history</a> <a href="/api/problems">problems</a> '
        '<a href="/api/status">status</a> as JSON</nav></footer>'
    )


def _rest(count: int, shown: int) -> str:
    return f"<p>And {count - shown} more: <code>devproxy ls</code> shows all.</p>" if count > shown else ""


def _short(text: str) -> str:
    """`~` for the home folder, as a shell writes it."""
    return text.replace(f"{_HOME}/", "~/") if len(_HOME) > 1 else text


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


_HOME = str(Path.home())
