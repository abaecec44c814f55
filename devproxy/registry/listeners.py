"""Where the proxy takes connections for TCP services: `listen` and `address`, checked against all services.

Lives here: which service has which port, or an address of its own, and what is wrong where it has none; how a hash
picks one (`hashed`), for the ports that `run` allocates too.
Not here: listening there (`net/loopback.py`), whether another program is in the way, which only the running proxy finds
out (`tcp/forwarder.py`).

An address must be the same tomorrow, and on every command's reading of the files: nothing here looks at the machine. A
hash of service, project and checkout says where to begin, and whoever is declared first (the user registry, then
projects in the order of their links) begins first: a service that comes later never moves another one.

- A number in a project's file is of the checkout without a label. Another one has a port that is picked, as for
  `"auto"`: both run at once.
- `address = "own"` picks from 127.64.0.0/10: the whole of 127.0.0.0/8 is loopback (RFC 1122 §3.2.1.3), programs use
  its beginning (systemd-resolved: 127.0.0.53), and ::1 is the only loopback address of IPv6. No last part is 0 or 255,
  which people take for a network or a broadcast.
"""

from collections.abc import Collection, Iterator
from typing import Final

from msgspec import UNSET

from devproxy.addresses import LOOPBACKS, dotted
from devproxy.problems import Problem, Wrong
from devproxy.registry.layers import Declared
from devproxy.registry.model import ListenAddress, ProxySettings, Service
from devproxy.registry.toml import Path
from devproxy.registry.values import WELL_KNOWN_PORTS

_OWN: Final = (127 << 24) + (64 << 16)  # 127.64.0.0/10
_OWN_SPAN: Final = 1 << 22


def hashed(*names: str, span: int) -> int:
    """A number from 0 to below `span`: the same for the same names, in every process and on every machine."""
    from hashlib import sha256  # only for a service that listens: a command must start faster than this loads

    digest = sha256("\0".join(names).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") % span


def listen_addresses(
    pairs: list[tuple[Declared, Service]], proxy: ProxySettings, own_ports: Collection[int]
) -> tuple[dict[str, ListenAddress], list[Problem]]:
    """Where each TCP service is to be listened for, by id, and the problems of those that cannot be.

    `own_ports` are those that the proxy has for HTTP.
    """
    asking = [(declared, service) for declared, service in pairs if _asks(declared, service)]
    choice = _Choice(proxy)
    if not asking:
        return choice.given, choice.problems
    choice.shared = dict.fromkeys(own_ports)
    for declared, service in pairs:
        choice.keep_off(declared, service)
    later = [declared for declared, _ in asking if not choice.take_number(declared)]
    for declared in later:
        choice.pick(declared)
    return choice.given, choice.problems


def _asks(declared: Declared, service: Service) -> bool:
    is_tcp = service.protocol == "tcp" and service.serves
    return is_tcp and (declared.table.listen is not UNSET or declared.table.address == "own")


class _Choice:
    """The addresses given so far."""

    def __init__(self, proxy: ProxySettings):
        self.given: dict[str, ListenAddress] = {}
        self.problems: list[Problem] = []
        self.shared: dict[int, tuple[Declared, Path] | None] = {}  # ports of 127.0.0.1 and ::1, and who has them
        self._own: dict[str, Declared | None] = {}  # addresses below 127.64.0.0/10, and who has them
        self._ports = proxy.listen_ports

    def keep_off(self, declared: Declared, service: Service) -> None:
        """Nobody gets what a service has for itself."""
        address = service.upstream
        if address is not None and not set(LOOPBACKS).isdisjoint(address.hosts):
            self.shared.setdefault(address.port, (declared, (declared.address_key,)))
        if isinstance(service.listens, int):
            self.shared.setdefault(service.listens, (declared, ("listens",)))
        for host in address.hosts if address is not None else ():
            self._own.setdefault(host, None)

    def take_number(self, declared: Declared) -> bool:
        """Give the port that the file names; False where one is to be picked, or an address."""
        port = declared.table.listen
        if declared.table.address == "own" or not isinstance(port, int):
            return False
        if declared.label and declared.is_shared(("listen",)):
            return False
        if port in self.shared:
            self.problems.append(declared.problem(("listen",), _taken_port(port, self.shared[port])))
        else:
            self._give(declared, port)
        return True

    def pick(self, declared: Declared) -> None:
        """Give what the hash leads to, or what is next to it."""
        if declared.table.address == "own":
            self._pick_address(declared)
            return
        low, high = self._ports
        for port in _from(low, high - low + 1, declared):
            if port not in self.shared:
                self._give(declared, port)
                return
        self.problems.append(declared.problem(("listen",), _no_port(low, high)))

    def _give(self, declared: Declared, port: int) -> None:
        self.given[declared.id] = ListenAddress(LOOPBACKS, port)
        self.shared[port] = (declared, ("listen",))

    def _pick_address(self, declared: Declared) -> None:
        port = declared.table.listen
        if not isinstance(port, int):
            scheme = declared.table.scheme
            port = UNSET if scheme is UNSET else WELL_KNOWN_PORTS.get(scheme, UNSET)
        if not isinstance(port, int):
            self.problems.append(declared.problem(("address",), _WITHOUT_PORT))
            return
        met: Declared | None = None
        for number in _from(_OWN, _OWN_SPAN, declared):
            address = dotted(number)
            if number & 255 in (0, 255):
                continue
            if address in self._own:
                met = met or self._own[address]
                continue
            self._own[address] = declared
            self.given[declared.id] = ListenAddress((address,), port)
            if met is not None:
                self.problems.append(declared.problem(("address",), _met(address, met), "warning"))
            return


def _from(low: int, span: int, declared: Declared) -> Iterator[int]:
    """Every number of a range once, from where the hash of a service leads."""
    base = declared.project.base if declared.project else ""
    start = hashed(base, declared.name, declared.label, span=span)
    return (low + (start + step) % span for step in range(span))


_WITHOUT_PORT: Final = Wrong(
    "`address` needs a port",
    why="the service is listened for at its own address, at the port that its clients expect",
    fix="add `listen = 5432`, the usual port of its protocol; or `scheme`, where that has one",
    code="missing-key",
)


def _taken_port(port: int, holder: tuple[Declared, Path] | None) -> Wrong:
    return Wrong(
        f"port {port} is taken already",
        why=f"{holder[0].cite(holder[1]) if holder else 'the proxy'} has it",
        fix='choose another port for `listen`, write `listen = "auto"`, or add `address = "own"`',
        code="duplicate-port",
    )


def _no_port(low: int, high: int) -> Wrong:
    return Wrong(
        f"no port is left for `listen` from {low} to {high}",
        why="other services have all of them",
        fix='widen the range in registry.toml: [proxy] listen_ports = "10000-19999"',
        code="duplicate-port",
    )


def _met(address: str, other: Declared) -> Wrong:
    return Wrong(
        f"its own address is {address}, not the one that its name leads to",
        why=f"{other.cite()}, declared before, has that one by chance",
        fix="nothing needs to be done as long as both stay in this order; another name ends it",
        code="duplicate-address",
    )
