"""A container as an engine runs it: a machine behind a bridge, and a port of the host that NAT rules lead to it.

Lives here: the machine and the rules, in iptables' and in nftables' words. No container engine is needed.
Not here: any test.
"""

import contextlib
from collections.abc import Callable, Iterator

from tests import require
from tests.health.netns import Machine

ADDRESS, INSIDE = "172.17.0.2", 80


@contextlib.contextmanager
def container(host: Machine) -> Iterator[Machine]:
    """A machine that `host` reaches at 172.17.0.2 over the bridge docker0, and that answers by it."""
    inside = Machine()
    try:
        host.run("ip", "link", "add", "docker0", "type", "bridge")
        host.run("ip", "addr", "add", "172.17.0.1/16", "dev", "docker0")
        host.run("ip", "link", "set", "docker0", "up")
        host.run("ip", "link", "add", "veth1", "type", "veth", "peer", "name", "eth0", "netns", str(inside.pid))
        host.run("ip", "link", "set", "veth1", "master", "docker0", "up")
        host.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        inside.run("ip", "addr", "add", f"{ADDRESS}/16", "dev", "eth0")
        inside.run("ip", "link", "set", "eth0", "up")
        inside.run("ip", "route", "add", "default", "via", "172.17.0.1")
        yield inside
    finally:
        host.run("ip", "link", "del", "docker0")
        inside.close()


def run(machine: Machine, command: str) -> None:
    """A command in there, none of whose words has a space in it."""
    machine.run(*command.split())


def publish_by_iptables(host: Machine, port: int) -> None:
    """`-p PORT:80`, as Docker writes it with its user-land proxy switched off."""
    require.program("iptables")
    for rule in (
        "-N DOCKER",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        f"-A DOCKER ! -i docker0 -p tcp --dport {port} -j DNAT --to-destination {ADDRESS}:{INSIDE}",
    ):
        run(host, f"iptables -w -t nat {rule}")


def publish_by_nftables(host: Machine, port: int) -> None:
    """The same as Podman's netavark writes it."""
    require.program("nft")
    for command in (
        "add table inet netavark",
        "add chain inet netavark published",
        "add chain inet netavark prerouting { type nat hook prerouting priority dstnat ; }",
        "add chain inet netavark output { type nat hook output priority -100 ; }",
        "add rule inet netavark prerouting fib daddr type local jump published",
        "add rule inet netavark output ip daddr != 127.0.0.0/8 fib daddr type local jump published",
        f"add rule inet netavark published ip protocol tcp tcp dport {port} dnat ip to {ADDRESS}:{INSIDE}",
    ):
        run(host, f"nft {command}")


PUBLISHED: dict[str, Callable[[Machine, int], None]] = {
    "iptables": publish_by_iptables,
    "nftables": publish_by_nftables,
}
