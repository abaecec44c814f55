"""Services, listeners and scans as the tests of health write them.

Not here: real ones (`netns.py`).
"""

from devproxy.health.model import Family, Interface, Listener, Process, Scan
from devproxy.registry.model import Project, Service, Source, Upstream

LO = Interface("lo", 1, ("127.0.0.1", "::1"), loopback=True)
ETH0 = Interface("eth0", 2, ("192.168.1.20", "fd00::20", "fe80::aa:1"))
BOTH = ("127.0.0.1", "::1")
VITE = Process(pids=(42,), argv=("/usr/bin/node", "/shop/node_modules/.bin/vite", "--host"), folder="/shop")
PYTHON = Process(pids=(50,), argv=("python3", "-m", "http.server", "3000"), folder="/other")
UNREAD = Process(gap="it belongs to another user")


def service(id_: str = "web", port: int | None = 3000, path: str = "", **more: object) -> Service:
    upstream = Upstream("http", (), 0, path) if path else Upstream("http", BOTH, port) if port else None
    name, _, project = id_.partition(".")
    fields: dict[str, object] = {
        "hosts": (f"{id_}.localhost",),
        "upstream": upstream,
        "source": Source("/r/devproxy.toml", 3),
    }
    return Service(id=id_, name=name, project=Project.of(project) if project else None, **{**fields, **more})  # type: ignore[arg-type]


def at(address: str, process: Process = VITE, v6only: bool | None = None, port: int = 3000) -> Listener:
    family: Family = "ipv6" if ":" in address else "ipv4"
    return Listener(address=address, port=port, family=family, v6only=v6only, user="anna", process=process)


def scan(*listeners: Listener, gap: str = "") -> Scan:
    return Scan(listeners=listeners, interfaces=(LO, ETH0), gap=gap)
