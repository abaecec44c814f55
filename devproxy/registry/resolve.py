"""What a file says → what is in force: defaults filled in, every spelling resolved.

How it works: `settings` makes the ProxySettings of `[proxy]`, `service` the Service of what one service declares,
without its names; and what is said there that does not fit together is a problem. Two rules have a part of their own:
which unix sockets a file may name, and what it means to trust a project's commands.
Not here: whether the spelling is right (`decode.py` has seen to that), names (`claims.py`), conflicts (`conflicts.py`).

Sockets. A project's file comes with a repository. The socket of a container engine or of a keyring is open to its user
alone, and may do all that the user may; registered, it is open to every page and every user that reaches the proxy.
Only what the user wrote, registry.toml or devproxy.local.toml, may therefore name a socket elsewhere. Places are
compared as text, after `..` is taken out (POSIX.1-2017 §4.13 without symlinks): what a symlink leads to is not known
here.

Trust is given to content: the command, the folder and the environment of each service, the local file laid over the
project's, in the file where they stand. A link carries their digest. Any change of these asks again; any other change
of the file does not. What a command goes on to run (`npm run dev` and the scripts of package.json) is not in the file,
and not in the digest.
"""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, structs

from devproxy.addresses import LOOPBACKS
from devproxy.problems import Problem, Wrong
from devproxy.registry.addresses import upstream
from devproxy.registry.layers import Declared, Linked, beside
from devproxy.registry.model import (
    EnvFile,
    EnvNames,
    HeaderEdits,
    Health,
    Lease,
    ProxySettings,
    Scheme,
    Service,
    Source,
    Upstream,
)
from devproxy.registry.schema import HeadersTable, HealthTable, ProxyTable
from devproxy.registry.values import HTTP_SCHEMES, duration, fill_project, origin, port_range, size, time_limit
from devproxy.text import devproxy_command, shown

_DURATIONS = frozenset(
    ("hold", "header_timeout", "idle_timeout", "grace", "idle_stop", "stop_grace", "interval", "timeout")
)

_INHERITED = (
    *("response_timeout", "hold", "cross_site", "exposure", "other_user", "redirect", "hsts", "alt_svc"),
    "ca_bundle",
)

_AS_WRITTEN = (
    "kind",
    "protocol",
    "listens",
    "host_header",
    "exposure",
    "other_user",
    "ca_bundle",
    "start",
    "restart",
    "stop_signal",
    "origin_header",
    "scheme",
    "cross_protocol",
    "redirect",
    "hsts",
    "alt_svc",
)


def settings(table: ProxyTable) -> ProxySettings:
    """`[proxy]` with every default."""
    return ProxySettings(**{name: _value(name, value) for name, value in _given(table)})


def service(
    declared: Declared, proxy: ProxySettings, lease: Lease | None, *, trusted: bool = False
) -> tuple[Service, list[Problem]]:
    """The service without hosts, mounts and dependencies, and what its keys say that does not fit together."""
    table = declared.table
    file, line, _ = declared.place()
    found = {name: getattr(proxy, name) for name in _INHERITED}
    found["stop_grace"] = proxy.grace
    for name, value in _given(table):
        if name in _AS_WRITTEN or name in _DURATIONS or name in ("cross_site", "response_timeout"):
            found[name] = _value(name, value)
    if table.kind == "task":
        found.setdefault("restart", "never")
    if table.health is not UNSET:
        found["health"] = _health(declared, table.health)
    if table.path is not UNSET:
        found["path"] = fill_project(table.path, declared.project)
    found["request_headers"] = header_edits(table.request_headers)
    found["response_headers"] = header_edits(table.response_headers)
    found |= _of_command(declared)
    if table.env_names is not UNSET:
        found["env_names"] = EnvNames(**dict(_given(table.env_names)))
    address, problems = _address(declared, lease)
    if address is not None and found["other_user"] == "allow":
        address = structs.replace(address, any_user=True)
    if table.scheme is not UNSET and table.scheme in HTTP_SCHEMES:
        found.setdefault("cross_protocol", "allow")
    result = Service(
        id=declared.id,
        name=declared.name,
        project=declared.project,
        hosts=(),
        upstream=address,
        cwd=beside(file, table.cwd if table.cwd is not UNSET else "."),
        trusted=trusted,
        leased=lease is not None,
        source=Source(file, line),
        **found,
    )
    return result, problems + _misfits(declared)


def _of_command(declared: Declared) -> dict[str, Any]:
    """What its table says about its command, and the variables that it gets."""
    table, file = declared.table, declared.place()[0]
    found: dict[str, Any] = {}
    if table.command is not UNSET:
        found["command"] = table.command if isinstance(table.command, str) else tuple(table.command)
    if table.env is not UNSET:
        found["env"] = tuple(sorted(table.env.items()))
    if table.env_file is not UNSET:
        found["env_file"] = tuple(beside(file, name) for name in _each(table.env_file))
    return found


def env_file(link: Linked) -> EnvFile | None:
    """The file in which a project has its variables kept current, if it wants that: the local file's word first."""
    if link.shared is None or link.shared.value is None:
        return None
    for decoded in (link.local, link.shared):
        if decoded is not None and decoded.value is not None and decoded.value.write_env is not UNSET:
            file = decoded.file
            path = beside(file, fill_project(decoded.value.write_env, link.project))
            return EnvFile(link.project, path, beside(file, "."), Source(file, decoded.places.at(("write_env",))[0]))
    return None


def with_lease(service: Service, lease: Lease) -> Service:
    """A service that its files declare, as it is while a lease of it holds."""
    scheme: Scheme = "tcp" if service.protocol == "tcp" else "http"
    if not service.serves:
        return structs.replace(service, leased=True)
    address = structs.replace(_leased(service.upstream, scheme, lease), any_user=service.other_user == "allow")
    return structs.replace(service, upstream=address, leased=True)


def _each(files: str | list[str]) -> list[str]:
    return [files] if isinstance(files, str) else files


def _given(table: Any) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in structs.asdict(table).items() if value is not UNSET]


def _value(name: str, value: Any) -> Any:
    if name in _DURATIONS:
        return duration(value)
    if name == "response_timeout":
        return time_limit(value)
    if name in ("max_header", "max_response_header"):
        return size(value)
    if name in ("ports", "listen_ports"):
        return port_range(value)
    if name == "cross_site":
        return value if isinstance(value, str) else tuple(map(origin, value))
    if name == "tlds":
        return tuple(dict.fromkeys(tld.lower() for tld in value))
    return value


def header_edits(table: HeadersTable | msgspec.UnsetType) -> HeaderEdits:
    """What a table of fields changes; nothing where there is none."""
    if table is UNSET:
        return HeaderEdits()
    return HeaderEdits(
        tuple(_or(table.remove, ())), tuple(_or(table.set, {}).items()), tuple(_or(table.add, {}).items())
    )


def _health(declared: Declared, table: HealthTable) -> Health:
    values = {name: _value(name, value) for name, value in _given(table)}
    if table.path is not UNSET:
        values["path"] = fill_project(table.path, declared.project)
    return structs.replace(Health(), **values)


def _address(declared: Declared, lease: Lease | None) -> tuple[Upstream | None, list[Problem]]:
    """Where the service is: the lease's port, else the file's."""
    table = declared.table
    scheme: Scheme = "tcp" if table.protocol == "tcp" else "http"
    problems: list[Problem] = []
    if not declared.serves:
        return None, problems
    found = None
    if table.upstream is not UNSET:
        found = upstream(table.upstream)
        problems = [declared.problem(("upstream",), wrong) for wrong in _faults(declared, found)]
        found = None if problems else _absolute(found, declared.place(("upstream",))[0], scheme)
    elif table.port is not UNSET:
        found = Upstream(scheme, LOOPBACKS, table.port)
    elif isinstance(table.listens, int):
        found = Upstream(scheme, LOOPBACKS, table.listens)
    if found is not None and found.port and _is_of_another_checkout(declared):
        found = None
    return found if lease is None else _leased(found, scheme, lease), problems


def _leased(found: Upstream | None, scheme: Scheme, lease: Lease) -> Upstream:
    return Upstream(found.scheme if found else scheme, LOOPBACKS, lease.port)


def _is_of_another_checkout(declared: Declared) -> bool:
    """Whether the port that the project's file names is the other checkout's: each runs the command for itself."""
    return bool(declared.label) and declared.table.command is not UNSET and declared.is_shared((declared.address_key,))


def _absolute(address: Upstream, file: str, scheme: Scheme) -> Upstream:
    return Upstream(scheme, path=beside(file, address.path)) if address.path else address


def _faults(declared: Declared, address: Upstream) -> list[Wrong]:
    """Why an address that is right in itself is not right for its service."""
    is_tcp = declared.table.protocol == "tcp"
    if address.path:
        key = ("upstream",)
        wrong = socket_fault(address.path, declared.place(key)[0], is_shared=declared.is_shared(key))
        return [] if wrong is None else [wrong]
    if is_tcp == (address.scheme == "tcp"):
        return []
    right = structs.replace(address, scheme="tcp" if is_tcp else "http").text
    why = f"the service's `protocol` is {'tcp' if is_tcp else 'http'}"
    fix = f'write "{right}"' if is_tcp else f'write "{right}", or add `protocol = "tcp"`'
    return [Wrong(f"`upstream`: {address.scheme}:// does not fit", why=why, fix=fix, code="bad-upstream")]


def _misfits(declared: Declared) -> list[Problem]:
    """Keys that say nothing in this service."""
    table = declared.table
    is_tcp = table.protocol == "tcp" and declared.serves
    found = []
    for name in _OF_TCP if not is_tcp and declared.serves else ():
        if (value := getattr(table, name)) is not UNSET and not _is_default(name, value):
            why = "an http service is reached by its name, at the proxy's own port"
            wrong = Wrong(f"`{name}` is for TCP services", why=why, fix='add `protocol = "tcp"`, or remove it')
            found.append(declared.problem((name,), wrong))
    if is_tcp and table.mount is not UNSET:
        wrong = Wrong("`mount` is for http services", why="TCP has no paths", fix="remove it")
        found.append(declared.problem(("mount",), wrong))
    if is_tcp and table.health is not UNSET and table.health.path is not UNSET:
        wrong = Wrong("`health.path` is for http services", why="TCP has no paths", fix="remove it")
        found.append(declared.problem(("health", "path"), wrong))
    for name, value in _given(table):
        idle = None if _is_default(name, value) else _does_nothing(declared, name)
        if idle is not None:
            why, fix = idle
            wrong = Wrong(f"`{name}` does nothing here", why=why, fix=fix)
            found.append(declared.problem((name,), wrong, "warning"))
    if table.health is not UNSET and table.health.path is UNSET and table.health.status is not UNSET:
        wrong = Wrong("`health.status` does nothing here", why="without a path nothing is asked for", fix="add `path`")
        found.append(declared.problem(("health", "status"), wrong, "warning"))
    if table.health is not UNSET and table.health.path is not UNSET and str(table.upstream).startswith("h2c:"):
        why = "the check speaks HTTP/1.1: an h2c:// service is up once it accepts connections"
        wrong = Wrong("`health.path` does nothing here", why=why, fix="remove it")
        found.append(declared.problem(("health", "path"), wrong, "warning"))
    found += _idle_edits(declared)
    return [structs.replace(problem, code="does-not-apply") for problem in found]


def _idle_edits(declared: Declared) -> list[Problem]:
    """Keys that change fields, and change none in this service."""
    table = declared.table
    found = []
    for name in ("request_headers", "response_headers"):
        if table.protocol == "tcp" and getattr(table, name) is not UNSET:
            wrong = Wrong(f"`{name}` is for http services", why="TCP has no fields", fix="remove it")
            found.append(declared.problem((name,), wrong))
    if table.origin_header == "upstream" and table.host_header != "upstream":
        why = "the service is sent its own name as Host, and Origin and Referer fit that"
        wrong = Wrong("`origin_header` does nothing here", why=why, fix='add `host_header = "upstream"`, or remove it')
        found.append(declared.problem(("origin_header",), wrong, "warning"))
    for index, mount in enumerate(table.mount if table.mount is not UNSET else ()):
        if mount.strip_rewrite is True and mount.strip is not True:
            why = "without `strip` the service sees the paths that browsers see"
            wrong = Wrong("`strip_rewrite` does nothing here", why=why, fix="add `strip = true`, or remove it")
            found.append(declared.problem(("mount", index, "strip_rewrite"), wrong, "warning"))
    return found


# What only says something about what listens, about requests to it, and about its command
_OF_SERVERS = frozenset(
    {
        *("port", "upstream", "hosts", "mount", "protocol", "listen", "listens", "host_header", "response_timeout"),
        *("hold", "cross_site", "exposure", "other_user", "origin_header", "request_headers", "response_headers"),
        *("health", "start", "idle_stop", "address", "scheme", "path", "cross_protocol"),
        *("redirect", "hsts", "alt_svc", "env_names"),
    }
)
_OF_TCP = ("listen", "address", "scheme", "path", "cross_protocol")
_OF_REQUESTS = frozenset({"host_header", "response_timeout", "cross_site", "redirect", "hsts", "alt_svc"})
_OF_CLIENTS = frozenset({"start", "idle_stop", "hold", "cross_protocol"})
_OF_COMMANDS = frozenset(
    {"start", "idle_stop", "listens", "kind", "restart", "stop_signal", "stop_grace", "env_file", "ca_bundle"}
)
_EXPECTED_ANYWAY = {  # values that say what would be so without them
    ("start", "manual"),
    ("kind", "server"),
    ("restart", "on-failure"),
    ("stop_signal", "SIGTERM"),
    ("address", "shared"),
    ("cross_protocol", "refuse"),
}


def _is_default(name: str, value: Any) -> bool:
    return isinstance(value, str) and (name, value) in _EXPECTED_ANYWAY


def _does_nothing(declared: Declared, name: str) -> tuple[str, str] | None:
    """Why a key is idle in this service, and what mends it; None where it acts, or is refused for another reason."""
    table = declared.table
    is_tcp = table.protocol == "tcp"
    if name in _OF_SERVERS and not declared.serves:
        return f"a {table.kind} listens nowhere", "remove it, or `kind`"
    if name in _OF_COMMANDS and table.command is UNSET:
        nothing = {"listens": "look for", "kind": "run"}.get(name, "start or stop")
        return f"without a command there is nothing to {nothing}", "add `command`, or remove it"
    if name in _OF_REQUESTS and is_tcp:
        return "requests are what it goes by, and a TCP service gets connections", "remove it"
    if name in _OF_CLIENTS and is_tcp and table.listen is UNSET and table.address != "own":
        return "no client comes to it through devproxy", 'add `listen = "auto"`, or remove it'
    if name == "idle_stop" and table.start != "on-request":
        return "what was not started by a request would stay down", 'add `start = "on-request"`, or remove it'
    return None


# Unix sockets


LONGEST_SOCKET = 107  # bytes: sun_path in unix(7), without its final NUL


def socket_fault(path: str, file: str, *, is_shared: bool) -> Wrong | None:
    """Why `file` may not name the socket `path`, as it is written there; `is_shared`: it is a project's own file."""
    socket = beside(file, path)
    if is_shared and not _plain(socket).is_relative_to(folder := _plain(file).parent):
        return Wrong(
            f'"unix:{shown(path)}" lies outside of the project',
            why="a project's file comes with a repository, so it names no socket of another program, such as a"
            f" container engine's; its own lie below {shown(str(folder))}",
            fix="move this line to your own devproxy.local.toml or registry.toml, which may name any socket",
            code="socket-outside",
        )
    length = len(socket.encode())
    if length <= LONGEST_SOCKET:
        return None
    why = f"the path of a unix socket has at most {LONGEST_SOCKET} bytes, and this one has {length}"
    return Wrong("the socket's path is too long", why=why, fix="put it into /tmp or /run", code="bad-upstream")


def _plain(path: str) -> PurePath:
    """`path` without `..`; that of the root is the root."""
    plain = PurePath()
    for part in PurePath(path).parts:
        plain = plain.parent if part == ".." else plain / part
    return plain


# Trust


T = TypeVar("T")

TRUST_DIGEST_LENGTH = 64  # hexadecimal digits


def trust_digest(file: str, services: Iterable[Declared]) -> str:
    """SHA-256 over the commands of `services`, declared in `file` (absolute), in hexadecimal digits."""
    from hashlib import sha256  # only where something is trusted: a command must start faster than this loads

    parts = [
        (
            *(one.name, one.table.command, _or(one.table.cwd, "."), sorted(_or(one.table.env, {}).items())),
            *([] if one.table.env_file is UNSET else [_each(one.table.env_file)]),  # older digests are without it
        )
        for one in sorted(services, key=lambda one: one.name)
        if one.table.command is not UNSET
    ]
    return sha256(msgspec.json.encode([file, parts])).hexdigest()


def trust_command(file: str) -> str:
    """What a person types to trust the commands of a project; a local file is linked by way of the one beside it."""
    own = f"{file.removesuffix('.local.toml')}.toml" if file.endswith(".local.toml") else file
    return devproxy_command("link", "--trust", own)


def untrusted_problems(declared: Declared, link: Linked) -> list[Problem]:
    """What to say about a service of a link whose commands are not trusted as they are now."""
    if declared.table.start != "on-request" or declared.table.command is UNSET:
        return []
    what = "have changed since they were trusted" if link.trust else "are not trusted"
    asker = "connection" if declared.table.protocol == "tcp" else "request"
    wrong = Wrong(
        f"no {asker} starts `{declared.id}`: the commands of `{link.project}` {what}",
        why="a file that comes with a repository runs nothing by itself",
        fix=f"read its commands, then: {trust_command(link.file)}",
        code="untrusted",
    )
    return [declared.problem(("start",), wrong, "warning")]


def _or(value: T | msgspec.UnsetType, default: T) -> T:
    return default if value is UNSET else value
