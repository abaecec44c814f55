"""The network interfaces of this machine, as the system has them now.

Lives here: the one reading of them.
Not here: what an address means (`exposure.py`).
psutil does it on every system (getifaddrs(3), GetAdaptersAddresses); interfaces that are down are left out,
since nothing is reachable by them.
"""

import ipaddress
import socket

import psutil

from devproxy.health.listener import Interface


def interfaces() -> tuple[Interface, ...]:
    """Every interface with its IPv4 and IPv6 addresses (zones removed), in the system's order."""
    indices = {name: index for index, name in socket.if_nameindex()}
    return tuple(
        _interface(name, indices.get(name, 0), [entry.address for entry in entries])
        for name, entries in psutil.net_if_addrs().items()
    )


def _interface(name: str, index: int, texts: list[str]) -> Interface:
    addresses = tuple(text.partition("%")[0] for text in texts if _is_address(text))
    return Interface(name, index, addresses, any(_is_loopback(address) for address in addresses))


def _is_address(text: str) -> bool:
    """Whether it is an IP literal; psutil lists link-layer addresses too."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
