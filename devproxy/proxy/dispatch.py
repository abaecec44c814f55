"""What becomes of a request whose head has been read, whatever protocol it came by.

Every front calls `dispatch` once a request, and so does a gate that has opened, for each request that waited there:
what is held is an exchange, a value, not bytes that are parsed a second time.
"""

from devproxy.http1.grammar import Fault
from devproxy.proxy.answers import Respond
from devproxy.proxy.decide import Control, decide, read
from devproxy.proxy.exchange import Exchange
from devproxy.proxy.gates import Dormant, shows_page
from devproxy.proxy.https_redirect import may_redirect, to_https
from devproxy.routing.table import Route


def dispatch(exchange: Exchange) -> None:
    """Forward a request, hold it until its service is up, or answer it."""
    decision = decide(exchange.reading, exchange.fields, exchange.method, exchange.target)
    if not isinstance(decision, Route):
        if isinstance(decision, Control):
            _to_control(exchange)
        else:
            exchange.answer(_excused(exchange, decision) if decision.code == "no-upstream" else decision)
        return
    if decision.redirects and _redirected(exchange, decision):
        return
    gates = exchange.proxy.gates
    gate = gates.get(decision.service.id) if gates else None
    if gate is None:
        exchange.forward(decision)
    elif gate.dormant is not None:
        _at_dormant(exchange, decision, gate.dormant)
    elif gate.refusal is not None:
        exchange.concerns(decision)
        exchange.answer(gate.refusal)
    else:
        exchange.added = gate.field
        exchange.forward(decision)


def _redirected(exchange: Exchange, route: Route | None = None) -> bool:
    """Whether a request that came by http was sent to https."""
    port, reading = exchange.proxy.https_port, exchange.reading
    if port is None or exchange.stream.peer.scheme != b"http":
        return False
    if not may_redirect(reading, exchange.method, exchange.target):
        return False
    if route is not None:
        exchange.concerns(route)
    exchange.answer(to_https(reading, exchange.target, port))
    return True


def _excused(exchange: Exchange, respond: Respond) -> Respond:
    """What the command of a service without a port says for itself, else `respond`."""
    gate = exchange.proxy.gates.get(respond.service)
    return respond if gate is None or gate.excuse is None else gate.excuse._replace(service=respond.service)


def dispatch_again(exchange: Exchange) -> None:
    """Dispatch a request that was held, by the registry that is in force now."""
    table = exchange.proxy.snapshot.table
    before = exchange.reading
    if before.table is not table:
        reading = read(exchange.fields, before.minor, table, before.absolute)
        if isinstance(reading, Fault):  # it was none before: only a registry can have changed what it means
            exchange.answer(Respond.to(reading))
            return
        exchange.reading = reading
    dispatch(exchange)


def look_again(exchange: Exchange) -> None:
    """The gates have changed: let a held request go on, or end, if its own has."""
    gate = exchange.proxy.gates.get(exchange.service_id)
    dormant = gate.dormant if gate is not None else None
    if dormant is None:
        exchange.let_go()
        dispatch_again(exchange)
    elif dormant.instead is not None:
        exchange.answer(dormant.instead)


def _at_dormant(exchange: Exchange, route: Route, dormant: Dormant) -> None:
    """Have a service started that does not run, if the request may: a page says so, any other request waits for it."""
    exchange.concerns(route)
    reading, fields, method = exchange.reading, exchange.fields, exchange.method
    if exchange.proxy.draining:
        exchange.answer(dormant.instead or dormant.late)
        return
    respond = dormant.resting(route, method, reading, fields)
    if respond is None:
        exchange.proxy.wake(route.service.id)
        if not shows_page(method, reading, fields):
            exchange.hold()
            return
        respond = dormant.page
    exchange.answer(respond)


def _to_control(exchange: Exchange) -> None:
    """To devproxy's own pages, an upstream like any other but that it is in this process."""
    if exchange.proxy.snapshot.settings.redirect and _redirected(exchange):
        return
    if exchange.proxy.control is None:
        exchange.answer(Respond(404, "unknown-host", "devproxy's own pages are not served here", close=True))
    else:
        exchange.forward(exchange.proxy.control_route)
