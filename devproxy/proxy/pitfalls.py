"""What a service should know of its own answers, now that browsers reach it by https; told once a service and kind.

| code | when |
|---|---|
| hsts | it sends Strict-Transport-Security, which is not passed on (`hsts`) |
| alt-svc | it sends Alt-Svc, which is not passed on (`alt_svc`) |
| insecure | a redirect, or what CORS allows, names a URL of ours by http:// though the request came by https |

Seen where a response head is read for the first time (`http1/response.py`): other requests pay nothing. Nothing is
changed but the fields that do not pass. Not here: how a person hears of it (`health/findings.py`).
"""

from typing import TYPE_CHECKING, Final

from devproxy.http1.response import Pitfalls
from devproxy.routing.authority import parse_authority
from devproxy.routing.table import RouteTable
from devproxy.text import shown_bytes

if TYPE_CHECKING:
    from devproxy.proxy.exchange import Exchange

_CODES: Final = {b"strict-transport-security": "hsts", b"alt-svc": "alt-svc"}
_SHOWN: Final = {b"location": "Location", b"access-control-allow-origin": "Access-Control-Allow-Origin"}


def note_pitfalls(exchange: "Exchange", pitfalls: Pitfalls) -> None:
    """Remember what is new in `pitfalls`, of an answer to this exchange."""
    proxy, identity = exchange.proxy, exchange.service_id
    known = proxy.pitfalls.setdefault(identity, {})
    before = len(known)
    for name in pitfalls.withheld:
        known.setdefault(_CODES[name], "")
    if pitfalls.insecure and "insecure" not in known and exchange.stream.peer.scheme == b"https":
        asked = exchange.fields.get(b"origin")
        for name, value in pitfalls.insecure:
            if value != asked and _is_ours(value, proxy.snapshot.table):  # a page of http may well be allowed
                known["insecure"] = f"{_SHOWN[name]}: {shown_bytes(value)}"
    if len(known) != before:
        proxy.on_pitfall(identity)


def _is_ours(url: bytes, table: RouteTable) -> bool:
    """Whether a URL of http:// leads to a name of ours."""
    try:
        host, _, kind = parse_authority(url[7:].partition(b"/")[0].partition(b"?")[0].partition(b"#")[0])
    except ValueError:
        return False
    return kind == "name" and (host in table.control or table.lookup(host) is not None)
