"""From listeners to a verdict: who can reach this port.

Lives here: the verdict table, for one listener and for all the listeners of a port; naming the interfaces concerned.
Not here: reading sockets or interfaces (`scanner.py`), the connect that proves it (`reachability.py`), what to do about
it (`programs/fixes.py`). Pure: no system call, the interfaces come in as data.

| bound to | verdict |
|---|---|
| 127.0.0.0/8, ::1, ::ffff:127.0.0.0/104, a unix socket, a loopback device | loopback |
| 0.0.0.0, ::ffff:0.0.0.0 | exposed: every IPv4 interface |
| `::` that also takes IPv4, or does not say that it doesn't | exposed: every interface |
| `::`, IPv6 only (RFC 3493 §5.3) | exposed: every interface, IPv6 |
| any other address | exposed: that interface, by name |
| nothing can be read | unknown, and says why; never "loopback" by default |

A socket that the kernel ties to a loopback device (SO_BINDTODEVICE, `fe80::1%lo0`) gets nothing that came in
by another one, whatever address it has. An address like 10.9.8.7 that merely sits on `lo` is reachable from
outside.
"""

import ipaddress
from collections.abc import Iterable, Sequence

import msgspec

from devproxy.addresses import is_loopback
from devproxy.health.model import Interface, JudgedListener, Listener, Scan, Verdict
from devproxy.registry.model import Upstream

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_EVERY: dict[tuple[int, ...], str] = {
    (4,): "every IPv4 interface",
    (6,): "every interface, IPv6 only",
    (6, 4): "every interface, IPv6 and IPv4",
}
_BRIDGES = ("docker", "br-", "podman", "cni", "virbr", "lxcbr", "lxdbr", "incusbr", "vboxnet", "vmnet", "bridge")


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What one listener's address means.

    `interfaces` are the names of the devices it can be reached on, loopback left out, sorted as given; empty
    where none is known. `addresses` are the machine's own literals it answers on there. `why` is a phrase
    that completes "it is …".
    """

    verdict: Verdict
    why: str
    interfaces: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


class PortJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """All listeners of one port together: the worst of them counts. `exposed` are those that make it so."""

    verdict: Verdict
    why: str
    exposed: tuple[tuple[Listener, Judgement], ...] = ()


def judge(listener: Listener, interfaces: Sequence[Interface] = ()) -> Judgement:
    """The verdict of one listener."""
    try:
        address = _unmapped(ipaddress.ip_address(listener.address))
    except ValueError:
        if listener.address.startswith(("/", "unix:")):
            return Judgement(verdict="loopback", why="a unix socket")
        return Judgement(verdict="unknown", why=f"bound to {listener.address!r}, which is no IP address")
    if is_loopback(listener.address):
        return Judgement(verdict="loopback", why=f"bound to {listener.address}")
    tied = _tied(listener, interfaces)
    if any(interface.loopback and interface.name == tied for interface in interfaces):
        return Judgement(verdict="loopback", why=f"tied to the loopback device {tied}")
    if address.is_unspecified:
        return _wildcard(listener, _versions(listener, address), tied, interfaces)
    return _one_address(str(address), tied, interfaces)


def judged_listener(listener: Listener, interfaces: Sequence[Interface] = ()) -> JudgedListener:
    """A listener with its verdict, as commands and pages show it."""
    judgement = judge(listener, interfaces)
    return JudgedListener(
        address=listener.address,
        port=listener.port,
        family=listener.family,
        pid=listener.pid,
        command=listener.command,
        user=listener.user,
        verdict=judgement.verdict,
        why=judgement.why,
        interfaces=judgement.interfaces,
    )


def judge_port(port: int, scan: Scan) -> PortJudgement:
    """The verdict of a TCP port of this machine, from every listener that has it."""
    listeners = [listener for listener in scan.listeners if listener.port == port]
    judged = [(listener, judge(listener, scan.interfaces)) for listener in listeners]
    exposed = tuple(pair for pair in judged if pair[1].verdict == "exposed")
    if exposed:
        return PortJudgement(verdict="exposed", why=_join(judgement.why for _, judgement in exposed), exposed=exposed)
    unknown = [judgement for _, judgement in judged if judgement.verdict == "unknown"]
    if unknown:
        return PortJudgement(verdict="unknown", why=_join(judgement.why for judgement in unknown))
    if not judged:
        return PortJudgement(verdict="unknown", why=scan.gap or f"nothing listens on port {port}")
    return PortJudgement(verdict="loopback", why=_join(judgement.why for _, judgement in judged))


def takes(listener: Listener, address: str) -> bool:
    """Whether a connection to `address` (a literal of this machine) on its port could end at this listener.

    False where the listener's own address cannot be read.
    """
    try:
        bound = _unmapped(ipaddress.ip_address(listener.address))
        wanted = _unmapped(ipaddress.ip_address(address))
    except ValueError:
        return False
    if not bound.is_unspecified:
        return bound == wanted
    return wanted.version in _versions(listener, bound)


def taker(listeners: Iterable[Listener], host: str) -> Listener | None:
    """The listener that a connection to `host` on their port ends at: the kernel prefers a bound address, then IPv4's
    wildcard, then the one of both."""
    found = [one for one in listeners if takes(one, host)]
    return min(found, key=_breadth, default=None)


def _breadth(listener: Listener) -> int:
    if not ipaddress.ip_address(listener.address).is_unspecified:
        return 0
    return 1 if listener.family == "ipv4" else 2


def listening_host(upstream: Upstream, listeners: Sequence[Listener]) -> str | None:
    """The first loopback literal of a service at which what listens may answer for it; all of `listeners` have its
    port."""
    found = ((host, taker(listeners, host)) for host in upstream.hosts)
    return next((host for host, one in found if one and (upstream.any_user or not one.is_other_user)), None)


def other_user_listening(upstream: Upstream, listeners: Sequence[Listener]) -> Listener | None:
    """The listener of another user where a service of ours should be and nobody answers for it; None if it may."""
    if upstream.any_user or listening_host(upstream, listeners) is not None:
        return None
    return next((one for host in upstream.hosts if (one := taker(listeners, host))), None)


def _wildcard(
    listener: Listener, versions: tuple[int, ...], tied: str | None, interfaces: Sequence[Interface]
) -> Judgement:
    reach = [i for i in interfaces if not i.loopback and tied in {None, i.name}]
    found = [(i.name, address) for i in reach for address in i.addresses if _version(address) in versions]
    if tied:
        where = f"interface {tied}"
    elif versions == (6, 4) and listener.v6only is None:
        where = "every interface, IPv6 and, as far as can be told, IPv4"
    else:
        where = _EVERY[versions]
    return Judgement(
        verdict="exposed",
        why=f"bound to {listener.address}: {where}{_named(found)}",
        interfaces=tuple(dict.fromkeys(name for name, _ in found)),
        addresses=tuple(address for _, address in found),
    )


def _one_address(address: str, tied: str | None, interfaces: Sequence[Interface]) -> Judgement:
    device = tied or next((i.name for i in interfaces if address in i.addresses), None)
    where = f"interface {device}{_kind(device)}" if device else "an interface that is not known (any more)"
    return Judgement(
        verdict="exposed",
        why=f"bound to {address}{f'%{tied}' if tied else ''}: {where}",
        interfaces=(device,) if device else (),
        addresses=(address,),
    )


def _tied(listener: Listener, interfaces: Sequence[Interface]) -> str | None:
    """The device the socket is tied to: told apart, or as the zone of its address (a name or an index)."""
    zone = listener.device or listener.address.partition("%")[2]
    return next((i.name for i in interfaces if str(i.index) == zone), zone) or None


def _versions(listener: Listener, wildcard: _Address) -> tuple[int, ...]:
    """The IP versions a wildcard takes; `::` takes both unless it is known not to."""
    if wildcard.version == 4:
        return (4,)
    return (6,) if listener.v6only else (6, 4)


def _unmapped(address: _Address) -> _Address:
    """An IPv4-mapped IPv6 address as the IPv4 address it is (RFC 4291 §2.5.5.2); a zone is left out."""
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or ipaddress.IPv6Address(int(address))
    return address


def _version(address: str) -> int:
    return 6 if ":" in address else 4


def _kind(device: str) -> str:
    return " (a bridge: containers and virtual machines on it)" if device.startswith(_BRIDGES) else ""


def _named(found: list[tuple[str, str]]) -> str:
    return f" ({', '.join(f'{name} {address}' for name, address in found)})" if found else ""


def _join(phrases: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(phrases))
