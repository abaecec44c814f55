"""One table of a file → its type, or every problem in it.

How it works: the fast way is each key that is there, by msgspec, and then the parsers of `CHECKS`, which say what a
type cannot. Once that fails, the slow way is key by key, so that every problem is reported and names its key and place.
A parser takes one value and raises Wrong; `EACH` wraps one that is for the elements of a list. What a parser returns is
ignored here and used in `resolve.py`, so that both agree.
Not here: which tables a file has (`decode.py`), the parsers (`values.py`, `hostnames.py`, `addresses.py`), the
sentences (`messages.py`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, TypeVar

import msgspec

from devproxy.problems import Problem, Severity, Wrong, refuse_unseen
from devproxy.registry import messages, schema
from devproxy.registry.addresses import upstream
from devproxy.registry.hostnames import host, host_pattern, service_name, tld
from devproxy.registry.keys import Key, entry_of, is_text, item_of, keys, table_of
from devproxy.registry.toml import Path, Places
from devproxy.registry.values import (
    digest,
    duration,
    field_name,
    field_value,
    host_template,
    mount_path,
    origin,
    plain_path,
    port_or_log_text,
    port_range,
    probe_path,
    size,
    some_time,
    status_set,
    time_limit,
    url_scheme,
    variable_name,
)
from devproxy.text import plural, shown

# Ports that no browser opens: https://fetch.spec.whatwg.org/#port-blocking
# fmt: off
BLOCKED_PORTS = frozenset((
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190,
    5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
))
# fmt: on


class EACH(msgspec.Struct, frozen=True):
    """A parser for the elements of a list; a value that is no list passes."""

    parse: Callable[[Any], object]


class EITHER(EACH, frozen=True):
    """The same for a value that is one string, or a list of them."""


def browser_port(port: int) -> int:
    """A port that browsers open. Raises Wrong."""
    if port in BLOCKED_PORTS:
        raise Wrong(
            f"browsers refuse to open port {port}",
            why="it is on the Fetch standard's list of blocked ports",
            fix="choose another port, or leave the key out",
            code="blocked-port",
        )
    return port


def browser_port_or_off(port: int | str) -> int | str:
    """A port that browsers open, or `off`. Raises Wrong."""
    return port if isinstance(port, str) else browser_port(port)


class PAIRS(msgspec.Struct, frozen=True):
    """The parsers for the names and the values of a table with keys of the writer's choice."""

    name: Callable[[str], object]
    value: Callable[[str], object]


_HEADERS = PAIRS(field_name, field_value)

CHECKS: dict[type[msgspec.Struct], dict[str, Callable[[Any], object] | EACH | PAIRS]] = {
    schema.ServiceTable: {
        "upstream": upstream,
        "hosts": EACH(host_pattern),
        "scheme": url_scheme,
        "path": probe_path,
        "listens": port_or_log_text,
        "response_timeout": time_limit,
        "hold": duration,
        "cross_site": EACH(origin),
        "cwd": plain_path,
        "env_file": EITHER(plain_path),
        "depends_on": EACH(service_name),
        "idle_stop": some_time,
        "stop_grace": duration,
    },
    schema.MountTable: {"host": host, "path": mount_path},
    schema.HeadersTable: {"set": _HEADERS, "add": _HEADERS, "remove": EACH(field_name)},
    schema.EnvNamesTable: {"url": variable_name, "host": variable_name, "port": variable_name},
    schema.HealthTable: {
        "path": probe_path,
        "status": status_set,
        "interval": some_time,
        "timeout": some_time,
    },
    schema.ProxyTable: {
        "http": browser_port,
        "https": browser_port_or_off,
        "tlds": EACH(tld),
        "host_template": host_template,
        "hold": duration,
        "response_timeout": time_limit,
        "header_timeout": some_time,
        "idle_timeout": some_time,
        "grace": duration,
        "max_header": size,
        "max_response_header": size,
        "cross_site": EACH(origin),
        "ports": port_range,
        "listen_ports": port_range,
    },
    schema.LinkTable: {"trust": digest},
}


MOST = 500  # problems of a file that are told one by one

S = TypeVar("S", bound=msgspec.Struct)
ValueParser: TypeAlias = Callable[[Any], object] | EACH | PAIRS | None

_WITH_BREAKS = ("command", "env.")  # scripts may have several lines


class Findings:
    """The problems of one file, as they are found."""

    def __init__(self, file: str, places: Places):
        self.file = file
        self.places = places
        self.errors = 0
        self._problems: list[Problem] = []
        self._seen = 0

    @property
    def full(self) -> bool:
        """Whether there are so many that further ones are only counted."""
        return self._seen >= MOST

    def wrong(self, path: Path, wrong: Wrong, *, severity: Severity = "error") -> None:
        self.errors += severity == "error"
        self._seen += 1
        if self._seen > MOST:
            return
        line, column = self.places.at(path)
        self._problems.append(
            Problem(
                code=wrong.code,
                message=wrong.what,
                file=self.file,
                line=line,
                column=column,
                why=wrong.why,
                fix=wrong.fix,
                severity=severity,
                service=str(path[1]) if path[:1] == ("services",) and len(path) > 1 else "",
            )
        )

    def in_order(self) -> tuple[Problem, ...]:
        """As they stand in the file; those beyond `MOST` as one that counts them."""
        told = sorted(self._problems, key=lambda problem: (problem.line, problem.column))
        if self._seen > MOST:
            message = f"there are {plural(self._seen - MOST, 'more problem')} like these"
            told.append(Problem(code="too-many", message=message, file=self.file))
        return tuple(told)


class Tables:
    """Reads tables; what is wrong goes to `findings`. `suspect`: the text may hold characters that nobody sees."""

    def __init__(self, findings: Findings, *, suspect: bool):
        self.findings = findings
        self.suspect = suspect

    def read(self, kind: type[S], data: dict[str, Any], path: Path, *, lenient: bool = False) -> S | None:
        """The table at `path`; None if it has an error, unless `lenient`, when only the keys in error are left out."""
        if not (self.suspect and _has_unseen(data)):
            try:
                value = _converted(kind, data)
                _check(kind, data)
            except (msgspec.ValidationError, Wrong):
                pass
            else:
                return value
        before = self.findings.errors
        good = self._examine(kind, data, path, "")
        if self.findings.errors > before and not lenient:
            return None
        try:
            return msgspec.convert(good, kind)
        except msgspec.ValidationError as error:  # a rule of a type that `_examine` does not know
            self.findings.wrong(path, Wrong(str(error)))
            return None

    def misfit(self, kind: type[msgspec.Struct], name: str, value: Any) -> None:
        """Report that the value of a key at the top of the file has the wrong type."""
        self.findings.wrong((name,), messages.misfit(name, value, keys(kind)[name]))

    def _examine(self, kind: type[msgspec.Struct], data: dict[str, Any], path: Path, prefix: str) -> dict[str, Any]:
        """Report everything that is wrong with a table; the keys in which nothing is."""
        good: dict[str, Any] = {}
        if self.findings.full:
            self.findings.wrong(path, Wrong("there is something wrong with this table"))
            return good
        known, checks = keys(kind), CHECKS[kind]
        for name, value in data.items():
            before = self.findings.errors
            if name not in known:
                self.findings.wrong((*path, name), messages.unknown_key(name, known))
            else:
                self._value(known[name], checks.get(name), value, (*path, name), prefix + name)
            if self.findings.errors == before:
                good[name] = value
        for key in known.values():
            if key.required and key.name not in data:
                self.findings.wrong(path, messages.missing(prefix + key.name, key))
        return good

    def _value(self, key: Key, check: ValueParser, value: Any, path: Path, label: str) -> None:
        """Report what is wrong with one value: of a key, or of an element of a list."""
        table, item, entry = table_of(key.type), item_of(key.type), entry_of(key.type)
        before = self.findings.errors
        if table is not None and isinstance(value, dict):
            self._examine(table, value, path, label + ".")
        elif entry is not None and isinstance(value, dict):
            parse_name, parse_inner = (check.name, check.value) if isinstance(check, PAIRS) else (_variable, None)
            for name, inner in value.items():
                self._try((*path, name), label, partial(parse_name, name))
                seen = shown(name)
                named = msgspec.structs.replace(entry, name=seen)
                self._value(named, parse_inner, inner, (*path, name), f"{label}.{seen}")
        elif item is not None and isinstance(value, list):
            parse = check.parse if isinstance(check, EACH) else None
            for index, inner in enumerate(value):
                self._value(item, parse, inner, (*path, index), f"{label}[{index}]")
        elif (
            isinstance(value, str)
            and is_text(key.type)
            and (isinstance(check, EITHER) or not isinstance(check, EACH | PAIRS))
        ):
            parser = check.parse if isinstance(check, EITHER) else check
            self._try(path, label, partial(_text, value, parser, label))
        if self.findings.errors == before:
            self._fits(key, check, value, path, label)

    def _fits(self, key: Key, check: ValueParser, value: Any, path: Path, label: str) -> None:
        try:
            msgspec.convert(value, key.type)
        except msgspec.ValidationError:
            self.findings.wrong(path, messages.misfit(label, value, key))
            return
        if isinstance(value, int) and check is not None and not isinstance(check, EACH | PAIRS):
            self._try(path, label, partial(check, value))

    def _try(self, path: Path, label: str, parse: Callable[[], object]) -> None:
        try:
            parse()
        except Wrong as wrong:
            self.findings.wrong(path, Wrong(f"`{label}`: {wrong.what}", why=wrong.why, fix=wrong.fix, code=wrong.code))


def _converted(kind: type[S], data: dict[str, Any]) -> S:
    """What msgspec.convert makes of a table, which asks for the types of all its keys: here those that are there do."""
    try:
        return kind(**{name: msgspec.convert(value, schema.type_of(kind, name)) for name, value in data.items()})
    except (KeyError, TypeError) as error:  # a key that the table does not have, or one that it must have is missing
        raise msgspec.ValidationError(str(error)) from None


def _check(kind: type[msgspec.Struct], data: dict[str, Any]) -> None:
    """Run the parsers of a table whose types are right. Raises Wrong at the first fault."""
    checks = CHECKS[kind]
    for name, value in data.items():
        check = checks.get(name)
        if isinstance(check, EACH):
            for item in value if isinstance(value, list) else (value,) if isinstance(check, EITHER) else ():
                check.parse(item)
        elif isinstance(check, PAIRS):
            for field, text in value.items():
                check.name(field)
                check.value(text)
        elif check is not None:
            check(value)
        elif name == "mount":
            for table in value:
                _check(schema.MountTable, table)
        elif name in _INNER:
            _check(_INNER[name], value)


_INNER: dict[str, type[msgspec.Struct]] = {
    "env_names": schema.EnvNamesTable,
    "health": schema.HealthTable,
    "request_headers": schema.HeadersTable,
    "response_headers": schema.HeadersTable,
}


def _text(text: str, check: Callable[[Any], object] | None, label: str) -> None:
    refuse_unseen(text, breaks=label.startswith(_WITH_BREAKS))
    if check is not None:
        check(text)


def _variable(name: str) -> None:
    refuse_unseen(name)
    if not name or "=" in name:
        raise Wrong(
            f'"{shown(name)}" is not the name of a variable',
            why="a name is not empty and has no `=` in it",
            fix="write it as in API_URL",
        )


def _has_unseen(value: Any) -> bool:
    """Whether some string below `value` has a character that nobody sees, or a tab or line end."""
    if isinstance(value, str):
        try:
            refuse_unseen(value)
        except Wrong:
            return True
        return False
    if isinstance(value, dict):
        return any(_has_unseen(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(_has_unseen, value))
