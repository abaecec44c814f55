"""A listener and what a scan of the machine found: the values that the rest of health works on.

Lives here: plain frozen types; the name of an interface, the process behind a socket.
Not here: how they are read (`scanner.py`, `interfaces.py`), what they mean (`exposure.py`). Pure: no system
call.
"""

import shlex
from typing import Literal

import msgspec

Family = Literal["ipv4", "ipv6"]


class Interface(msgspec.Struct, frozen=True):
    """A network device: its name, its index in the kernel, its addresses without zones, whether it is a loopback."""

    name: str
    index: int
    addresses: tuple[str, ...] = ()
    loopback: bool = False


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a socket: `pids` of all processes that do, the one that the others descend from first.

    `argv` is that first one's command line; `parents` those of the processes above it, the nearest first,
    since many servers rename themselves (`next-server`) and only their parent still shows the flags. `folder` is
    the one it runs in. Where something could not be read, the field is None or empty and `gap` says why in a
    sentence.
    """

    pids: tuple[int, ...] = ()
    argv: tuple[str, ...] | None = None
    folder: str = ""
    parents: tuple[tuple[str, ...], ...] = ()
    gap: str = ""


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A TCP socket that listens.

    `address` is the literal it is bound to, without a zone; `device` the interface it is tied to (a
    link-local address's zone, SO_BINDTODEVICE), None if it is not. `v6only` None: not told (IPv4, or the
    system does not say). `user` None: not told.
    """

    address: str
    port: int
    family: Family
    v6only: bool | None = None
    device: str | None = None
    user: str | None = None
    process: Process = Process()

    @property
    def pid(self) -> int | None:
        return self.process.pids[0] if self.process.pids else None

    @property
    def command(self) -> str | None:
        """The command line as a shell would take it, None where it could not be read."""
        return None if self.process.argv is None else shlex.join(self.process.argv)

    @property
    def where(self) -> str:
        """`127.0.0.1:80`, `[fe80::1%eth0]:80`."""
        zone = f"%{self.device}" if self.device else ""
        return f"[{self.address}{zone}]:{self.port}" if self.family == "ipv6" else f"{self.address}:{self.port}"


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the machine: its listeners sorted by port and address, its interfaces.

    `gap` is empty if the table is complete, else a sentence that says which listeners may be missing and why.
    """

    listeners: tuple[Listener, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    gap: str = ""
