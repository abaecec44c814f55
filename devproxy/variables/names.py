"""Which variables say where services are, and what is in them: `DB_URL`, `SHOP_DB_URL`, `DATABASE_URL`. Pure.

How it works: of each service three values (its URL, host and port, as a client uses them: `urls.client_address`), each
under its name, under its project's name and its own, and under the one that `env_names` in its table gives. Names are
upper case, with an underscore for a hyphen; one that would begin with a digit has an underscore before it, for shells
take no other. The label of a checkout is no part of a name: a script must be the same in every checkout.

Two services can ask for one name (`db` of project `shop`, and a service `shop-db`). What stands in a file is given
first, then the short names, then the long ones; among equals the first service has it, and the others are told.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from devproxy.registry.model import Service
from devproxy.text import listed
from devproxy.urls import ClientAddress, Ports, client_address


class NameClash(NamedTuple):
    """Names that `holder` has, and `other` would have, too."""

    holder: Service
    other: Service
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        names, verb = listed(self.names), "is" if len(self.names) == 1 else "are"
        return (
            f"{names} {verb} of `{self.holder.id}`, not of `{self.other.id}`, which would have the same:"
            f" `env_names` in the table of `{self.other.id}` adds others"
        )


class ServiceVariables(NamedTuple):
    """The variables by name, in the order of services; who does not get a name, and who has no address."""

    values: dict[str, str]
    clashes: tuple[NameClash, ...]
    without: tuple[Service, ...]

    @property
    def remarks(self) -> list[str]:
        """What a person is told besides the variables."""
        found = [clash.text for clash in self.clashes]
        if self.without:
            names = listed([f"`{service.id}`" for service in self.without])
            found.append(f"left out, because nothing says yet where to reach it: {names}")
        return found


class _Asked(NamedTuple):
    """A variable that a service asks for; a lower `rank` goes first."""

    rank: int
    name: str
    value: str
    service: Service


def variables(services: Iterable[Service], ports: Ports) -> ServiceVariables:
    """What says where these services are; those that listen nowhere have nothing to say."""
    asked: list[_Asked] = []
    without: list[Service] = []
    for service in services:
        address = client_address(service, ports)
        if address is not None:
            asked += _asked(service, address)
        elif service.serves:
            without.append(service)
    holders: dict[str, Service] = {}
    lost: dict[tuple[str, str], list[_Asked]] = {}
    for one in sorted(asked, key=lambda one: one.rank):  # stable: services stay in their order
        holder = holders.setdefault(one.name, one.service)
        if holder.id != one.service.id:
            lost.setdefault((holder.id, one.service.id), []).append(one)
    values: dict[str, str] = {}
    for one in asked:
        if holders[one.name].id == one.service.id:
            values.setdefault(one.name, one.value)
    clashes = (
        NameClash(holders[some[0].name], some[0].service, tuple(dict.fromkeys(one.name for one in some)))
        for some in lost.values()
    )
    return ServiceVariables(values, tuple(clashes), tuple(without))


def _asked(service: Service, address: ClientAddress) -> Iterator[_Asked]:
    texts = {"host": address.host, "port": str(address.port or ""), "url": address.url}
    given = {part: text for part, text in texts.items() if text}  # a unix socket has a URL alone
    for part, text in given.items():
        if name := getattr(service.env_names, part):
            yield _Asked(0, name, text, service)
    for part, text in given.items():
        yield _Asked(1, _name(service.name, part), text, service)
    if service.project is not None:
        for part, text in given.items():
            yield _Asked(2, _name(service.project.base, service.name, part), text, service)


def _name(*words: str) -> str:
    name = "_".join(words).upper().replace("-", "_")
    return f"_{name}" if name[0].isdigit() else name
