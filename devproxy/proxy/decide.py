"""What to do with a request: forward it on a route, hand it to devproxy's own pages, or answer it ourselves.

Lives here: what becomes of a request, as pure functions over a head and a route table.
Not here: how an answer looks (`error_pages.py`), how a request is carried (`exchange.py`).

How it works: `read` makes a Reading of a field section, which holds all that does not depend on the request line, and
is kept for as long as the same section comes again on the connection; `decide` then does what is left for one
request.
"""

import re
from typing import Final

from devproxy.http1.edits import origin_moved
from devproxy.http1.fields import Section, nominated, request_lines, takes_trailers, upgrade_protocols
from devproxy.http1.framing import request_length
from devproxy.http1.grammar import Fault
from devproxy.proxy.answers import Respond, give_port
from devproxy.proxy.cross_site import EVIDENCE, Refused, Waking, is_ahead, judge, names_browser, site_of
from devproxy.proxy.forward import Peer, added_lines, chain_entry, loop, upstream_authority, upstream_origin
from devproxy.proxy.hop_limit import LIMITED, hops_left, last_recipient, one_hop_less
from devproxy.registry.model import Service
from devproxy.routing.authority import parse_authority
from devproxy.routing.table import HostRoutes, Route, RouteTable
from devproxy.text import devproxy_command, shown_bytes
from devproxy.urls import Ports, control_link, service_url

_SPOKEN: Final = frozenset(("http", "https", "h2c"))  # towards a service
_ABSOLUTE: Final = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]*)(.*)", re.DOTALL)
_PLAIN_LABEL: Final = re.compile(r"([a-z0-9][a-z0-9-]*+)\.")


class Control:
    """The decision that a request is for devproxy's own pages."""


CONTROL: Final = Control()


class Reading:
    """What a field section means on one connection, whatever the request line says.

    It holds for every section with the same special fields in the same order (`holds_for`).
    """

    __slots__ = (
        "_added",
        "_as_sent",
        "_peer",
        "_route",
        "_untouched",
        "absolute",
        "authority",
        "chained",
        "evidence",
        "fields",
        "guarded",
        "hops",
        "host",
        "is_spent",
        "judged",
        "keep_alive",
        "length",
        "minor",
        "passed",
        "refusal",
        "routes",
        "table",
        "trailers",
        "upgrade",
    )

    def __init__(self, fields: Section, minor: int, table: RouteTable, authority: bytes, *, as_sent: bool):
        self.fields = fields
        self.minor = minor
        self.table = table
        self.authority = authority
        self.absolute: bytes | None = None  # the authority of a target in absolute-form
        self.host = ""
        self.routes: HostRoutes | None = None
        self.refusal: Respond | Control | None = None
        options = fields.connection
        self.keep_alive = b"close" not in options and (minor == 1 or b"keep-alive" in options)
        self.upgrade = upgrade_protocols(fields) if minor == 1 and options else b""
        self.trailers = minor == 1 and takes_trailers(fields)
        self.hops = hops_left(fields)  # what Max-Forwards says; None where it says nothing
        self.is_spent = self.hops == 0
        self.length = 0
        self.chained = b"devproxy-chain" in fields.found
        self.evidence = not EVIDENCE.isdisjoint(fields.found)
        site = site_of(fields)
        ahead = is_ahead(fields)
        self.guarded = not (site == b"same-origin" or (site == b"none" and not ahead))  # it may come from another page
        # Without any of these no page is known that it comes from, unless by Referer, which each request has its own.
        self.judged = self.evidence or ahead or names_browser(fields.get(b"user-agent"))
        self.passed: Route | None = None  # where the guard lets everything pass that this holds for
        self._as_sent = as_sent  # Host passes as it stands
        self._untouched = as_sent and self.hops is None and not nominated(fields)  # every line passes as its kind says
        self._route: Route | None = None
        self._peer: Peer | None = None
        self._added = b""

    def holds_for(self, fields: Section, minor: int, table: RouteTable) -> bool:
        """Whether another section on the same connection means the same."""
        return self.table is table and self.minor == minor and self._as_sent and self.fields.special == fields.special

    def lines(self, fields: Section, route: Route, method: bytes) -> bytes:
        """The client's lines towards the service of `route`."""
        if self._untouched and route.as_sent:
            return fields.up
        own = route.service.host_header == "upstream"
        authority = upstream_authority(route.service.upstream) if own else self.authority
        lines = request_lines(fields, None if self._as_sent and not own else authority)
        if own and route.service.origin_header == "upstream":
            lines = origin_moved(lines, self.authority, upstream_origin(route.service.upstream))
        if route.move is not None:
            lines = route.move.request(lines, authority)
        if self.hops and method in LIMITED:
            lines = one_hop_less(lines, self.hops)
        return route.request_edit.apply(lines)

    def added(self, route: Route, peer: Peer, trusted: bool) -> bytes:
        """Our own lines, up to the open end of Devproxy-Chain; made once while the route stays."""
        if route is not self._route or peer is not self._peer:
            self._added = added_lines(
                self.fields,
                route,
                peer,
                self.authority,
                upgrade=self.upgrade,
                trusted=trusted,
                trailers=self.trailers,
            )
            self._route = route
            self._peer = peer
        return self._added


def read(fields: Section, minor: int, table: RouteTable, authority: bytes | None = None) -> Reading | Fault:
    """Read a section; `authority`, from an absolute-form target, counts instead of Host (RFC 9112 §3.2.2)."""
    hosts = fields.all(b"host")
    if len(hosts) > 1:
        return Fault(400, "bad-request", f"{len(hosts)} Host fields")
    if not hosts and (minor == 1 or authority is None):
        return Fault(400, "bad-request", "no Host field: devproxy finds the service by its name")
    origins = fields.all(b"origin")
    if len(origins) > 1:  # one value, not a list (RFC 6454 §7.3): who looks at one of them only is fooled by the other
        return Fault(400, "bad-request", f"{len(origins)} Origin fields")
    try:
        named = parse_authority(hosts[0]) if hosts else None
        if authority is not None:
            named = parse_authority(authority)
    except ValueError as error:
        shown = shown_bytes(hosts[0] if authority is None else authority)
        return Fault(400, "bad-request", f"the host {shown} is malformed: {error}")
    length = request_length(fields, minor)
    if isinstance(length, Fault):
        return length
    as_sent = authority is None and bool(hosts)
    reading = Reading(fields, minor, table, hosts[0] if authority is None else authority, as_sent=as_sent)
    reading.length = length
    reading.absolute = authority
    if named is not None:
        reading.host = named.host
        _route_host(reading, named.kind == "name")
    return reading


def _route_host(reading: Reading, is_name: bool) -> None:
    host, table = reading.host, reading.table
    if is_name and host in table.control:
        reading.refusal = CONTROL
        return
    reading.routes = table.lookup(host) if is_name else None
    if reading.routes is None:
        known = is_name and table.covers(host)
        reading.refusal = _unknown_host(reading, direct=_is_direct(reading)) if known else misdirected(table)


def _is_direct(reading: Reading) -> bool:
    """Whether no page from elsewhere asks, as far as all but Referer says."""
    site = reading.fields.get(b"sec-fetch-site")
    return site in (b"none", b"same-origin") if site else not reading.evidence


def _unknown_host(reading: Reading, *, direct: bool) -> Respond:
    """Names, and what is known of them, only where the client asks `direct`ly."""
    pageless = reading.table.pageless_service(reading.host) if direct else None
    if pageless is not None:
        return _of_tcp(pageless) if pageless.serves else _of_portless(pageless)
    name = _PLAIN_LABEL.match(reading.host)  # what a shell would act upon stands in no command to copy
    return Respond(
        404,
        "unknown-host",
        f"no service is registered as {reading.host}",
        f"register it: {devproxy_command('add', name[1] if name else 'NAME', 'PORT')}",
        tuple(reading.table.near(reading.host)) if direct else (),
        port=parse_authority(reading.authority).port,
    )


def _of_portless(service: Service) -> Respond:
    """The answer at the name that a worker or a task would have."""
    detail = f"{service.id} is a {service.kind}, which listens nowhere and has no page"
    fix = f"see how it does: {devproxy_command('health', service.id)}"
    return Respond(404, "unknown-host", detail, fix, service=service.id)


def _of_tcp(service: Service) -> Respond:
    """The answer at the name that a TCP service would have."""
    detail = f"{service.id} is a TCP service, not a web page: only clients of its own protocol can use it"
    address = service_url(service, Ports())
    fix = f"point such a client to its address: {address}" if address else give_port(service)
    return Respond(404, "unknown-host", detail, fix, service=service.id)


def misdirected(table: RouteTable) -> Respond:
    """The answer at a name that none of the registry can be."""
    return Respond(
        421,
        "misdirected",
        "devproxy answers only for the names of its registry, and this is not one",
        f"use a name that ends in .{table.tlds[0]}",
    )


def absolute(method: bytes, target: bytes) -> tuple[bytes, bytes] | None:
    """(authority, target without it) of a target in absolute-form; None for any other form (RFC 9112 §3.2)."""
    found = _ABSOLUTE.fullmatch(target)
    if found is None or method == b"CONNECT":
        return None
    rest = found[2]
    if not rest and method == b"OPTIONS":
        return found[1], b"*"
    return found[1], rest if rest.startswith(b"/") else b"/" + rest


def target_fault(method: bytes, target: bytes) -> Fault | None:
    """Why `target` is none that can be forwarded (RFC 9112 §3.2)."""
    if method == b"CONNECT":
        return Fault(400, "bad-request", "CONNECT asks for a tunnel; devproxy is not a forward proxy")
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return None
    return Fault(400, "bad-request", f"the request target is neither a path nor an http URL: {shown_bytes(target)}")


def decide(reading: Reading, fields: Section, method: bytes, target: bytes) -> Route | Respond | Control:
    """The route of a request whose target is in origin-form, or what to do instead.

    The guards come first: what they refuse must not even start a service.
    """
    routes = reading.routes
    if routes is None:
        return _refused(reading, fields)
    route = routes.match(target)
    if route is None:
        shown = shown_bytes(target.partition(b"?")[0])
        fix = f'give a service of the registry this path: [[services.NAME.mount]] host = "{reading.host}"'
        return Respond(404, "unknown-path", f"no service answers at {shown} of {reading.host}", fix)
    if reading.guarded and (reading.judged or fields.referer is not None) and route is not reading.passed:
        verdict = judge(method, fields, route.service, reading.authority, reading.table)
        if verdict.refused is not None:
            return _cross_site(reading, route.service, verdict.refused)
        if verdict.lasts:
            reading.passed = route
    if reading.chained:
        passed = loop(reading.fields, chain_entry(route, method, target))
        if passed is not None:
            return _looped(route, passed)
    upstream = route.service.upstream
    if reading.is_spent and method in LIMITED:
        return last_recipient(fields, method, target, reading.minor)
    if upstream is None or upstream.scheme not in _SPOKEN:
        return _unreachable(route)
    return route


def _refused(reading: Reading, fields: Section) -> Respond | Control:
    """What a name without routes gets; a page from elsewhere learns no names."""
    refusal = reading.refusal or misdirected(reading.table)
    if not isinstance(refusal, Respond) or reading.evidence or fields.referer is None:
        return refusal
    return _unknown_host(reading, direct=False) if refusal.names or refusal.service else refusal


def waking(reading: Reading, fields: Section, route: Route, method: bytes) -> Waking:
    """What a request that has passed the guard may do with a service that does not run."""
    return judge(method, fields, route.service, reading.authority, reading.table).waking


def _cross_site(reading: Reading, service: Service, refused: Refused) -> Respond:
    """Why the guard refuses, and what mends it: which page to list, or which field is missing."""
    page, origin = refused.page, reading.fields.get(b"origin")
    where = f"under [services.{service.name}], {service.source.file}"
    allow = f'cross_site = "allow" {where}'
    can_be_listed = page.lower().startswith(("http://", "https://"))
    listed = f'cross_site = ["{page}"] (or "allow") {where}' if can_be_listed else allow
    match refused.why:
        case "in-advance":
            detail = f"a browser asked {service.id} in advance, for {page}: no person has opened it yet"
            fix = f"nothing needs mending: who opens the page gets it; if it should be fetched in advance: {allow}"
        case "referer-only":
            detail = (
                f"a page of another project ({page}) asked {service.id} without an Origin field: its Referer stays the "
                "same when somebody else's server redirects"
            )
            fix = (
                f"ask with CORS (the attribute crossorigin, a fetch that is not no-cors), which sends it, or: {listed}"
            )
        case "hidden":
            hidden = "has neither Origin nor Referer" if origin is None else "has no Origin but null"
            detail = f"a request to {service.id} does not say which page it comes from ({page}): it {hidden}"
            fix = (
                "if the page is yours, do not hide it (no sandbox; Referrer-Policy: strict-origin-when-cross-origin is "
                f"the default, no-referrer hides it); else: {allow}"
            )
        case _:
            detail = f"a page from elsewhere ({page}) tried to use {service.id}, and nothing says it may"
            fix = f"if it should (for an OAuth form_post callback, list the identity provider's origin): {listed}"
    return Respond(403, "cross-site", detail, fix, service=service.id)


def own_pages(reading: Reading) -> str:
    """The link to devproxy's own pages, at the port that the client named; empty where it named no host."""
    if not reading.host:
        return ""
    return control_link(reading.table.tlds, parse_authority(reading.authority).port)


def _unreachable(route: Route) -> Route | Respond:
    service = route.service
    if service.upstream is None:
        if service.starts_on_request:  # there is something at its gate, always
            return route
        detail = f"{service.id} {'is not running' if service.command else 'has no port yet'}"
        return Respond(502, "no-upstream", detail, give_port(service), reload=True, service=service.id)
    detail = f"{service.id} is an {service.upstream.scheme} upstream, which this version does not speak"
    fix = "let the service listen for HTTP as well, and write http:// in its upstream setting"
    return Respond(502, "unsupported-upstream", detail, fix, service=service.id)


def _looped(route: Route, passed: list[str]) -> Respond:
    shown = " → ".join(passed)
    return Respond(
        508,
        "loop",
        f"the request goes round in a circle: {shown}",
        f"{route.service.id} forwards to a name that leads back to it; its own upstream setting should be a port, not "
        f"{route.host}",
        tuple(passed),
        service=route.service.id,
    )
