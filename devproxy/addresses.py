"""IP addresses as people and programs write them, and the one rule for which of them are loopback.

Lives here: `is_loopback` for an address that the system or a socket names, `is_loopback_host` for what stands in a
file, a command line or a URL, `ip_literal`, which reads every spelling.
Not here: listening (`net/loopback.py`), what an upstream may be (`registry/addresses.py`).

The loopback blocks are RFC 1122 §3.2.1.3(g) (127.0.0.0/8) and RFC 4291 §2.5.3 (::1); an IPv4 address that is mapped
into IPv6 (RFC 4291 §2.5.5.2) is that IPv4 address. IPv4 is read as inet_aton(3) and the URL Standard's IPv4 parser read
it: `127.1`, `2130706433`, `0x7f.1`, `0177.0.0.1` all are 127.0.0.1, because whoever checks one spelling and connects to
another is fooled. Names are never looked up: `localhost` alone is known (RFC 6761 §6.3).
"""

import re

LOOPBACKS = ("127.0.0.1", "::1")  # where devproxy listens, and what `localhost` is


def is_loopback(address: str) -> bool:
    """Whether an IP literal, as a socket has it, is of this machine alone; names and what cannot be parsed are not."""
    if address in LOOPBACKS:
        return True
    import ipaddress  # slow to import

    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback


def is_loopback_host(host: str) -> bool:
    """Whether a host as a person writes it is of this machine alone: `localhost`, or an address in any spelling."""
    if host.lower() == "localhost":
        return True
    address = ip_literal(host)
    return address is not None and is_loopback(address)


def ip_literal(host: str) -> str | None:
    """The address that a host names: IPv4 in any spelling, IPv6 with brackets or without; None where it names none.

    A mapped IPv4 address is that IPv4 address. An IPv6 address with a zone is none: a zone is part of a place, and no
    loopback needs one.
    """
    number = ipv4(host)
    if number is not None:
        return dotted(number)
    inside = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" not in inside or "%" in inside:
        return None
    if inside == "::1":
        return inside
    import ipaddress

    try:
        address = ipaddress.IPv6Address(inside)
    except ValueError:
        return None
    return str(address.ipv4_mapped or address)


def ipv4(host: str) -> int | None:
    """The 32 bits of an IPv4 address as inet_aton(3) reads it: one to four decimal, octal or hexadecimal parts."""
    parts = host.removesuffix(".").split(".")
    numbers = [_number(part) for part in parts]
    if len(parts) > 4 or None in numbers:
        return None
    *front, last = [number for number in numbers if number is not None]
    if any(number > 255 for number in front) or last >= 256 ** (4 - len(front)):
        return None
    return last + sum(number << (24 - 8 * index) for index, number in enumerate(front))


def dotted(number: int) -> str:
    """32 bits as four decimal parts."""
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def _number(part: str) -> int | None:
    if len(part) > 16:
        return None
    if re.fullmatch("0[xX][0-9a-fA-F]*", part):
        return int(part[2:] or "0", 16)
    if re.fullmatch("0[0-7]+", part):
        return int(part, 8)
    return int(part) if re.fullmatch("0|[1-9][0-9]*", part) else None
