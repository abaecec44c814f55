"""Editing a command's arguments: find what makes a program listen beyond loopback, and put something safe there.

Lives here: the spellings of an option (`--host X`, `--host=X`, `-bX`, a bare `--host`), the shapes of its value (a
host, an address with a port, a URL, a published container port), and what each becomes.
Not here: which program has which option (`catalog/`). Pure.
"""

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from devproxy.addresses import is_loopback_host
from devproxy.programs.catalog.program import Form, Option
from devproxy.text import port_number
from devproxy.urls import url

# A port that only the shell knows: `$PORT`, `${WEB_PORT:-8000}`, cmd's `%PORT%`, `$((PORT + 1))`, `$(cat port)`
_VARIABLE = r"""\$\w*PORT(?!\w)|\$\{\w*PORT(?!\w)[^{}]*\}|%\w*PORT%|\$\([^$]*(?i:port)[^$]*\)"""
_PORT = rf"\d+|{_VARIABLE}"
_ADDRESS = re.compile(rf"(?P<host>\[[^\]]*\]|\$\{{[^{{}}]*\}}|[^:]*):(?P<port>{_PORT})")
_ADDRESS_OR_PORT = re.compile(rf"(?:(?:\[[0-9a-fA-F:]*\]|\$\{{[^{{}}]*\}}|\$?[\w.-]*|%\w+%):)?(?:{_PORT})")
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+]*)://(?P<host>\[[^\]]*\]|[^:/?\[]*)(?::(?P<port>\d+))?(?P<rest>.*)")
_PUBLISH = re.compile(r"(?:(?P<host>\[[^\]]*\]|[^:]*):)?(?:(?P<port>[\d-]*):)?(?P<rest>\d[\d-]*(?:/\w+)?)")
_WILDCARD = re.compile(
    r"(?P<head>(?:[\w.-]+=)?(?:\w+://)?)(?P<host>0\.0\.0\.0|\[::\]|\*|)(?::(?P<port>\d+))(?P<tail>/?)"
)
_WILDCARD_HOST = re.compile(r"(?P<head>(?:[\w.-]+=)?)(?P<host>0\.0\.0\.0|::)")
SAFE = "127.0.0.1"


class OptionEdit(NamedTuple):
    """Replace `args[start:end]` by `tokens`; `port` is the one the old value named, 0 if it named none."""

    start: int
    end: int
    tokens: tuple[str, ...]
    port: int


class OptionUse(NamedTuple):
    """An option found at `args[start:end]`: the tokens and the text before its values, and the values."""

    start: int
    end: int
    head: tuple[str, ...]
    prefix: str
    values: tuple[str, ...]


def loopback_edits(option: Option, args: Sequence[str]) -> Iterator[OptionEdit]:
    """An edit for each place where the option opens the program up."""
    edit = _without_port if option.form == "port" else _made_safe
    yield from (change for use in option_uses(option, args) if (change := edit(option, use)))


def wildcard_edits(args: Sequence[str], port: int) -> list[OptionEdit]:
    """Edits for arguments that are plainly a wildcard address, whatever option they belong to."""
    edits = []
    for index, arg in enumerate(args):
        found = _WILDCARD.fullmatch(arg)
        if found and (found["host"] or port_number(found["port"]) == port or not port):
            text = f"{found['head']}{SAFE}:{found['port']}{found['tail']}"
            edits.append(OptionEdit(index, index + 1, (text,), port_number(found["port"])))
        elif found := _WILDCARD_HOST.fullmatch(arg):
            edits.append(OptionEdit(index, index + 1, (found["head"] + SAFE,), 0))
    return edits


def is_given(options: Iterable[Option], args: Sequence[str]) -> bool:
    """Whether any of the options is on the command line at all."""
    return any(True for option in options for _ in option_uses(option, args))


def option_uses(option: Option, args: Sequence[str]) -> Iterator[OptionUse]:
    """Every place where an option stands among the arguments, in order; none after a `--`."""
    if not option.flags:
        yield from (
            OptionUse(i, i + 1, (), "", (arg,)) for i, arg in enumerate(args) if _ADDRESS_OR_PORT.fullmatch(arg)
        )
        return
    end = args.index("--") if "--" in args else len(args)
    index = 0
    while index < end:
        found = next((one for flag in option.flags if (one := _match(flag, option, args[:end], index))), None)
        if found:
            yield found
        index = found.end if found else index + 1


def edits_for_port(edits: list[OptionEdit], port: int) -> list[OptionEdit]:
    """Those that name the port in question, if any does; else all. Sorted by place."""
    named = [edit for edit in edits if port and edit.port == port]
    return sorted(named or edits)


def apply_edits(args: Sequence[str], edits: Iterable[OptionEdit]) -> tuple[str, ...]:
    """The arguments with all edits done."""
    new = list(args)
    for edit in sorted(edits, reverse=True):
        new[edit.start : edit.end] = edit.tokens
    return tuple(new)


def option_tokens(option: Option, port: int) -> tuple[str, ...]:
    """The option with its safe value, as tokens."""
    value = option.safe.replace("{port}", str(port))
    if not option.flags:
        return (value,)
    *before, last = option.flags[0].split(" ")
    return (*before, last + value) if last.endswith("=") else (*before, last, value)


def insert_tokens(args: Sequence[str], tokens: Sequence[str], words: Collection[str] | None = None) -> tuple[str, ...]:
    """The arguments with `tokens` put in: at the end, but before a `--`, after which nothing is an option.

    With `words` they come right behind the first of them, or else before everything.
    """
    if words is None:
        place = args.index("--") if "--" in args else len(args)
    else:
        place = next((index + 1 for index, arg in enumerate(args) if arg in words), 0)
    return (*args[:place], *tokens, *args[place:])


def shell_text(tokens: Iterable[str]) -> str:
    """Tokens as a shell takes them, for people: `{port}` and wildcards are not quoted more than needed."""
    return " ".join(token if re.fullmatch(r"[\w@%+=:,./*\[\]-]+", token) else shlex.quote(token) for token in tokens)


def _match(flag: str, option: Option, args: Sequence[str], index: int) -> OptionUse | None:
    first, _, second = flag.partition(" ")
    if second:
        found = _match(second, option, args, index + 1) if args[index] == first and index + 1 < len(args) else None
        return found and found._replace(start=index, head=(first, *found.head))
    name = flag.removesuffix("=")
    if args[index] == name:
        return _spaced(name, option, args, index)
    joins = (f"{name}=", name) if re.fullmatch(r"-\w", name) else (f"{name}=",)
    prefix = next((join for join in joins if args[index].startswith(join)), None)
    if prefix is None:
        return None
    return OptionUse(index, index + 1, (), prefix, (args[index].removeprefix(prefix),))


def _spaced(name: str, option: Option, args: Sequence[str], index: int) -> OptionUse:
    """A flag whose value, if it has one, is the next token, or the next several."""
    end = index + 1
    limit = end if option.joined else len(args) if option.many else min(len(args), index + 2)
    while end < limit and not _is_flag(args[end], option):
        end += 1
    return OptionUse(index, end, (name,), "", tuple(args[index + 1 : end]) or ("",))


def _is_flag(arg: str, option: Option) -> bool:
    return arg.startswith("--") if option.many else arg.startswith("-")


def _made_safe(option: Option, use: OptionUse) -> OptionEdit | None:
    make = _MAKERS[option.form]
    new = [make(value, option) for value in use.values]
    if all(one is None for one in new):
        return None
    texts = tuple(dict.fromkeys(one[0] if one else old for one, old in zip(new, use.values, strict=True)))
    return OptionEdit(use.start, use.end, _joined(use, texts), next((one[1] for one in new if one and one[1]), 0))


def _without_port(option: Option, use: OptionUse) -> OptionEdit | None:
    """`-p 3000`, which listens everywhere, as `-b tcp://127.0.0.1:3000`."""
    port = use.values[0]
    if not port.isdecimal():
        return None
    return OptionEdit(use.start, use.end, tuple(option.safe.replace("{port}", port).split()), port_number(port))


def _joined(use: OptionUse, texts: tuple[str, ...]) -> tuple[str, ...]:
    return (*use.head, *(use.prefix + text for text in texts))


def _host(value: str, option: Option) -> tuple[str, int] | None:
    hosts = value.removeprefix("-").split(",")
    if value == "false" or all(is_loopback_host(host.strip()) for host in hosts):
        return None
    return option.safe, 0


def _address(value: str, _: Option) -> tuple[str, int] | None:
    if value.startswith(("unix:", "fd:", "/")) or re.fullmatch(_PORT, value):
        return None
    found = _ADDRESS.fullmatch(value)
    if found is None:
        return None if is_loopback_host(value) else (SAFE, 0)
    if found["host"] and is_loopback_host(found["host"]):
        return None
    port = found["port"]
    return f"{SAFE}:{port}", port_number(port)


def _url(value: str, option: Option) -> tuple[str, int] | None:
    scheme = option.safe.partition("://")[0]
    if value.isdecimal():
        return url(scheme, f"{SAFE}:{value}"), port_number(value)
    urls = [_one_url(one) for one in value.split(";")]
    if all(one is None for one in urls):
        return None
    old = value.split(";")
    text = ";".join(new[0] if new else same for new, same in zip(urls, old, strict=True))
    return text, next((new[1] for new in urls if new), 0)


def _one_url(value: str) -> tuple[str, int] | None:
    found = _URL.fullmatch(value)
    if found is None or found["scheme"] == "unix" or is_loopback_host(found["host"]):
        return None
    port = f":{found['port']}" if found["port"] else ""
    return url(found["scheme"], f"{SAFE}{port}", found["rest"]), port_number(found["port"] or "")


def _publish(value: str, _: Option) -> tuple[str, int] | None:
    """`8080:80`, `0.0.0.0:8080:80/tcp`, `80` (a random port of the host), `8000-8009:8000-8009`."""
    found = _PUBLISH.fullmatch(value)
    if found is None:
        return None
    host, port = found["host"] or "", found["port"] or ""
    if host.isdecimal() or re.fullmatch(r"\d+-\d+", host):  # with one colon only, the part before it is a port
        host, port = "", host
    if host and is_loopback_host(host):
        return None
    return f"{SAFE}:{port}:{found['rest']}", port_number(port)


# `port` is not a value made safe but a flag replaced: `_without_port`.
_MAKERS: dict[Form, Callable[[str, Option], tuple[str, int] | None]] = {
    "host": _host,
    "address": _address,
    "positional": _address,
    "url": _url,
    "publish": _publish,
}
