"""The parsers of single values: durations, sizes, ranges, paths, origins, placeholders, templates.

Lives here: one function a kind of value, text in, value out, `Wrong` where it is none.
Not here: names and hostnames (`hostnames.py`), addresses (`addresses.py`), which key has which kind (`validate.py`).

RFC 6454 §6.2 (origins), RFC 3986 §3.3 and the URL Standard (what a browser never sends in a path).
"""

import re
from collections.abc import Callable
from pathlib import PurePosixPath, PureWindowsPath

from devproxy.problems import Wrong
from devproxy.registry.model import MAIN_CHECKOUT, NO_TIME_LIMIT, Project
from devproxy.text import shown
from devproxy.urls import host_url

# The port that clients of a scheme expect, where programs agree on one (IANA, and the programs' own manuals)
WELL_KNOWN_PORTS = {
    "amqp": 5672,
    "amqps": 5671,
    "cassandra": 9042,
    "clickhouse": 9000,
    "ftp": 21,
    "imap": 143,
    "kafka": 9092,
    "ldap": 389,
    "mariadb": 3306,
    "memcached": 11211,
    "mongodb": 27017,
    "mqtt": 1883,
    "mssql": 1433,
    "mysql": 3306,
    "nats": 4222,
    "pop3": 110,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "rediss": 6379,
    "smtp": 25,
    "ssh": 22,
    "sqlserver": 1433,
    "valkey": 6379,
}
PROJECT_PLACEHOLDERS = ("project", "worktree", "checkout")  # those that are about the project, not a service
HTTP_SCHEMES = frozenset(("http", "https", "ws", "wss"))

LONGEST_DURATION = 24 * 3600.0  # seconds
SMALLEST_SIZE, LARGEST_SIZE = 1024, 16 * 1024 * 1024  # bytes

# texts, which `re` compiles when they are first needed: a command that reads a small registry needs none of them
_DURATION = r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h)"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = "([0-9]{1,9})(KiB|MiB|GiB)"
_LOOSE_SIZE = "(?i:([0-9]{1,9}) ?([kmg])(?:i?b)?)"
_BYTES = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_RANGE = "([0-9]{1,5})-([0-9]{1,5})"
_CODES = "([1-5])(?:xx|([0-9]{2})(?:-([1-5][0-9]{2}))?)"
_ORIGIN = r"([a-z][a-z0-9+.-]*)://([a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?"
_PROJECT_PLACEHOLDER = rf"(?<!\$)\{{({'|'.join(PROJECT_PLACEHOLDERS)})\}}"
_PLACEHOLDER = rf"(?<!\$)\{{(port|{'|'.join(PROJECT_PLACEHOLDERS)}|(?:url|port|host)\.([a-z0-9-]+(?:\.[a-z0-9-]+)?))\}}"
_VARIABLE = "[A-Za-z_][A-Za-z0-9_]*"
_ADDRESS_VARIABLE = (
    "(?i:(?:.*_)?(?:PG)?(?:URL|URI|DSN|HOST|(?:HOST)?ADDR|ADDRESS|PORT|SERVERS?|BROKERS?|ENDPOINT|ORIGIN|API))"
)
_IN_TEMPLATE = r"\{(?:service|project|worktree|tld)\}|[a-z0-9.-]"


def duration(text: str) -> float:
    """Seconds; `3s`, `500ms`, `1.5m`, `1h`, up to a day."""
    match = re.fullmatch(_DURATION, text)
    if match is None:
        raise Wrong(
            f'"{shown(text)}" is not a duration',
            why="a duration is a number and one of ms, s, m, h",
            fix=f'write "{text}s"' if re.fullmatch("[0-9]{1,9}", text) else 'write it as in "500ms", "3s" or "2m"',
        )
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > LONGEST_DURATION:
        raise Wrong(f'"{text}" is longer than a day', fix='write at most "24h"', code="out-of-range")
    return seconds


def some_time(text: str) -> float:
    """A duration that is not zero."""
    seconds = duration(text)
    if seconds <= 0:
        raise Wrong(
            f'"{text}" leaves no time at all', fix='write a duration above zero, such as "1s"', code="out-of-range"
        )
    return seconds


def time_limit(text: str) -> float:
    """A duration that is not zero, or `never`: NO_TIME_LIMIT."""
    return NO_TIME_LIMIT if text == "never" else some_time(text)


def size(text: str) -> int:
    """Bytes; `64KiB`, `1MiB`."""
    match = re.fullmatch(_SIZE, text)
    if match is None:
        loose = re.fullmatch(_LOOSE_SIZE, text)
        raise Wrong(
            f'"{shown(text)}" is not a size',
            why="a size is a whole number and one of KiB, MiB, GiB",
            fix=f'write "{loose[1]}{loose[2].upper()}iB"' if loose else 'write it as in "64KiB" or "1MiB"',
        )
    number = int(match[1]) * _BYTES[match[2]]
    if not SMALLEST_SIZE <= number <= LARGEST_SIZE:
        raise Wrong(f'"{text}" is out of range', fix='write a size from "1KiB" to "16MiB"', code="out-of-range")
    return number


def port_range(text: str) -> tuple[int, int]:
    """First and last port of `first-last`."""
    match = re.fullmatch(_RANGE, text)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise Wrong(
            f'"{shown(text)}" is not a range of ports',
            why="a range is FIRST-LAST, both from 1 to 65535, the lower one first",
            fix='write it as in "20000-29999"',
        )
    return first, last


def status_set(text: str) -> str:
    """The answers that count as healthy, as written: `2xx`, `204`, `200-399`, or several of them with commas."""
    for part in text.split(","):
        match = re.fullmatch(_CODES, part.strip(" "))
        if match is None or (match[3] and match[3] < match[1] + match[2]):
            raise Wrong(
                f'"{shown(text)}" is not a set of status codes',
                why="it is 2xx, 204, 200-399, or several of them with commas; codes go from 100 to 599",
                fix='write it as in "2xx" or "200-399"',
            )
    return text


def mount_path(text: str) -> str:
    """A path prefix, byte for byte as browsers send it, without a slash at its end."""
    why, fix = _fault_of_path(text)
    if not why and text == "/":
        why, fix = "a mount at `/` is the whole host", "add the host to `hosts` instead"
    elif not why and text.endswith("/"):
        why = f"`{shown(text.rstrip('/'))}` matches both `{shown(text.rstrip('/'))}` and everything below it"
        fix = f'write "{shown(text.rstrip("/") or "/")}"'
    elif not why and "?" in text:
        why, fix = "a prefix is compared with the path, and `?` ends the path", "leave out `?` and what follows"
    if why:
        raise Wrong(f'"{shown(text)}" is not a path prefix', why=why, fix=fix)
    return text


def probe_path(text: str) -> str:
    """A path, with a query or without, and with placeholders of the project (`fill_project`)."""
    why, fix = _fault_of_path(re.sub(_PROJECT_PLACEHOLDER, "x", text))
    if why:
        raise Wrong(f'"{shown(text)}" is not a path', why=why, fix=fix)
    return text


def _fault_of_path(text: str) -> tuple[str, str]:
    """Why and fix where `text` is no path that a browser would send, else two empty strings."""
    path = text.partition("?")[0]
    if not text.startswith("/"):
        return "it does not begin with `/`", f'write "/{shown(text)}"'
    if not text.isascii():
        return "characters outside ASCII travel percent-encoded", "write it percent-encoded, as in /caf%C3%A9"
    if re.search(r'[\x00-\x20"#<>\\^`{}\x7f]', text):
        return 'browsers never send control characters, spaces or any of " # < > \\ ^ ` { } in a path', (
            "write such characters percent-encoded, as in %20"
        )
    if {".", ".."} & {re.sub("%2[eE]", ".", part) for part in path.split("/")}:
        return "browsers resolve `.` and `..` before they send a path", "write the path without them"
    if "//" in path:
        return "it has an empty segment", f'write "{shown(re.sub("/+", "/", text))}"'
    return "", ""


def origin(text: str) -> str:
    """An origin as browsers send it in `Origin`: lower-case, without the standard port."""
    match = re.fullmatch(_ORIGIN, text.lower())
    if match is None or (match[3] and not 1 <= int(match[3]) <= 65535):
        bare = re.match("[A-Za-z][A-Za-z0-9+.-]*://[^/?#@]+(?=[/?#])", text)
        raise Wrong(
            f'"{shown(text)}" is not an origin',
            why="an origin is a scheme and a host, with a port or without, and nothing after it",
            fix=f'write "{shown(bare[0].lower())}"'
            if bare and re.fullmatch(_ORIGIN, bare[0].lower())
            else 'write it as in "https://login.example.com"',
        )
    return host_url(match[1], match[2].strip("[]"), int(match[3]) if match[3] else None)


def port_or_log_text(value: int | str) -> int | str:
    """A port (its range is the type's to hold), or a text of a log with one `{port}` in it."""
    if isinstance(value, int) or value.count("{port}") == 1:
        return value
    if value.isdecimal():
        raise Wrong(f'"{shown(value)}" is a port in quotes', fix=f"write it without them: {shown(value)}")
    raise Wrong(
        f'"{shown(value)}" does not say where the port stands',
        why="a text of the log has `{port}` in it, once",
        fix='write it as in "Local: http://localhost:{port}", or write the port as a number',
    )


def url_scheme(text: str) -> str:
    """The scheme of a URL (RFC 3986 §3.1), in lower case."""
    if re.fullmatch("[a-z][a-z0-9+.-]*", text):
        return text
    bare = text.partition(":")[0].lower()
    raise Wrong(
        f'"{shown(text)}" is not the scheme of a URL',
        why="it is what stands before `://`: a lower-case letter, then letters, digits, `+`, `-` and `.`",
        fix=f'write "{bare}"' if re.fullmatch("[a-z][a-z0-9+.-]*", bare) else 'write it as in "postgresql"',
    )


def placeholders(text: str) -> list[tuple[str, str]]:
    """What is to be filled in: (`url`, `port` or `host`; a service's name, empty for our own `{port}`), in order; and
    (`project`, `worktree` or `checkout`, "").

    Every other brace is literal: `${HOME}` and `${port}`, which are a shell's, JSON, `{urls.api}`.
    """
    return [(match[1].partition(".")[0], match[2] or "") for match in re.finditer(_PLACEHOLDER, text)]


def fill(text: str, value: Callable[[str, str], str]) -> str:
    """`text` with `value(kind, name)` in place of each placeholder, as `placeholders` tells them."""
    return re.sub(_PLACEHOLDER, lambda match: value(match[1].partition(".")[0], match[2] or ""), text)


def project_value(kind: str, project: Project | None) -> str:
    """What stands for `{project}`, `{worktree}` and `{checkout}` in the file of a project, "" where nothing does: its
    name, the label of the checkout, and that label or `main`, as the name of a Compose project may have it."""
    if kind == "checkout":
        return project.checkout if project is not None else MAIN_CHECKOUT
    if project is None:
        return ""
    return project.base if kind == "project" else project.label


def fill_project(text: str, project: Project | None) -> str:
    """`text` with the placeholders of the project filled in, and all else as it is."""
    return re.sub(_PROJECT_PLACEHOLDER, lambda match: project_value(match[1], project), text)


def variable_name(text: str) -> str:
    """The name of a variable that may be given a service's address.

    A project's file comes with a repository, and these variables go into a person's shell: what names a command or a
    library there (PROMPT_COMMAND, LD_PRELOAD, CURL_HOME) would run what the file says.
    """
    if not re.fullmatch(_VARIABLE, text):
        raise Wrong(
            f'"{shown(text)}" is not the name of a variable',
            why="shells take letters, digits and underscores, and no digit at the beginning",
            fix='write it as in "DATABASE_URL"',
        )
    if not re.fullmatch(_ADDRESS_VARIABLE, text):
        raise Wrong(
            f"`{shown(text)}` does not say that it holds an address",
            why="a variable such as PROMPT_COMMAND would make a shell run what this file says; so the last word of the"
            " name is URL, URI, DSN, HOST, ADDR, ADDRESS, PORT, SERVER, BROKER, ENDPOINT, ORIGIN or API",
            fix='write it as in "DATABASE_URL" or "PGPORT"',
        )
    return text


def env_file_path(text: str) -> str:
    """The path of a `.env` file below the folder of the file that names it, with placeholders of the project.

    A project's file comes with a repository: what is written for it is a file of variables, and one of its own.
    """
    if "\\" in text:
        raise Wrong(
            f'"{shown(text)}" has a backslash',
            why="on Windows it separates folders, and elsewhere it is a part of a name",
            fix='separate folders by `/`, as in "web/.env"; every system takes that',
        )
    for label in ("", "x"):  # a checkout without a label, and one with
        path = fill_project(text, Project("x", label))
        if PurePosixPath(path).is_absolute() or PureWindowsPath(path).anchor or ".." in path.split("/"):
            raise Wrong(
                f'"{shown(text)}" may lead out of the project',
                why="the file comes with a repository, and has nothing written elsewhere",
                fix='name a file below the project\'s folder, as in ".env.local" or "web/.env"',
            )
        if not is_env_file(path.split("/")[-1]):
            raise Wrong(
                f'"{shown(text)}" is not the name of a .env file',
                why="its name is `.env`, begins with `.env.`, or ends in `.env`",
                fix='write it as in ".env.local"',
            )
    return text


def is_env_file(name: str) -> bool:
    """Whether a file is one of variables, by its name."""
    return name.startswith(".env.") or name.endswith(".env")


def digest(text: str) -> str:
    """A SHA-256 digest as 64 hexadecimal digits."""
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise Wrong(
            f'"{shown(text)}" is not a digest',
            why="it is made by devproxy from the commands of the project's file",
            fix="remove the line, then read the commands and: devproxy link --trust",
        )
    return text


def field_name(text: str) -> str:
    """The name of a field that may be edited. Raises Wrong."""
    from devproxy.http1.edits import is_editable  # only where a file edits fields: a command must start fast

    if not re.fullmatch("[!#$%&'*+.^_`|~0-9A-Za-z-]+", text):
        raise Wrong(
            f'"{shown(text)}" is not the name of a field',
            why="a name is made of letters, digits and hyphens",
            fix="write it as in X-Debug",
        )
    if not is_editable(text.encode()):
        raise Wrong(
            f"`{shown(text)}` cannot be edited",
            why="it frames the message, belongs to the connection, or is set by devproxy itself",
            fix='for Host there is `host_header = "upstream"`' if text.lower() == "host" else "remove it",
        )
    return text


def field_value(text: str) -> str:
    """The value of a field, without what would end its line. Raises Wrong."""
    if any(char != "\t" and (char < " " or char == "\x7f") for char in text):
        raise Wrong(
            f'"{shown(text)}" is not the value of a field',
            why="a control character ends or breaks the line that it stands in",
            fix="write the value on one line, without control characters",
        )
    return text


def host_template(text: str) -> str:
    """A template of hostnames, with `{service}` in it and `.{tld}` at its end."""
    if "{service}" not in text or not text.endswith(".{tld}") or re.sub(_IN_TEMPLATE, "", text):
        raise Wrong(
            f'"{shown(text)}" is not a template of hostnames',
            why="it is made of {service}, {project}, {worktree}, lower-case letters, digits, hyphens and dots, has"
            " {service} in it and ends in .{tld}",
            fix='write it as in "{service}.{project}.{tld}" or "{service}-{project}.{tld}"',
        )
    return text


def plain_path(text: str) -> str:
    """A path of the file system, absolute or relative to the file it stands in."""
    if text.startswith("~"):
        raise Wrong(
            f'"{shown(text)}" begins with `~`, which is not expanded here',
            why="a file that a team shares cannot depend on whose home it is",
            fix="write the path in full, or relative to this file",
        )
    return text
