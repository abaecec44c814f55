"""A service's command as it is started: placeholders, the flags of its framework, environment, folder.

Lives here: `prepare`, and the variables for certificates (`with_certificates`).
Not here: the scripts that `npm run` and its kin lead to (`detect/scripts.py`), starting it (`session.py`), which flags
a framework needs (`programs/flags.py`).

A string runs in a shell and a list is exec'ed, as in the registry. The project's own environment (`environment.py`)
and the service's `env_file` lie under what is set here, and what its own `env` says wins over everything. A port that
stands in the command of a file gives way to the one that the service was given, so that two checkouts of it run side by
side.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import structs

from devproxy.detect.files import is_file
from devproxy.detect.scripts import package_scripts
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths
from devproxy.programs.flags import AdaptedCommand, adapt, hostname_variables
from devproxy.programs.recognize import starts_java
from devproxy.registry.conflicts import NO_PROJECT, find
from devproxy.registry.model import Registry, Service
from devproxy.registry.values import PROJECT_PLACEHOLDERS, fill, project_value
from devproxy.run.environment import ProjectEnvironment, project_environment
from devproxy.storage.dotenv import parse_dotenv
from devproxy.storage.files import UnreadableError, decode_text, read
from devproxy.text import devproxy_command, quote, safe
from devproxy.urls import Ports, client_place, service_url

HOST = "127.0.0.1"
SHELL = ("cmd", "/d", "/s", "/c") if sys.platform == "win32" else ("sh", "-c")


class PreparedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What to start: `argv` is exec'ed (a shell's text is `sh -c text`), `env` is laid over the own environment.

    `port` is the one the command will listen on: the one that was given, unless the command names another itself.
    `notes` are for a person. `cwd` is absolute.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: str
    port: int
    notes: list[str] = []


def prepare(
    service: Service,
    *,
    port: int,
    registry: Registry,
    ports: Ports,
    argv: Sequence[str] | None = None,
) -> PreparedCommand:
    """The command of `service`, or `argv` in its place (run in the current folder), to listen on `port`.

    The registry's command listens there even if it names another port; one typed by a person is left as it is.
    `ports` are those that URLs bear. Reads `package.json`. Raises
    DevproxyError: there is no command, no such folder, or a placeholder that cannot be filled in.
    """
    cwd = service.cwd if argv is None else str(Path.cwd())
    _check_folder(service, cwd)
    url = service_url(service, ports)

    def filled(text: str, own: int) -> str:
        return fill(text, _placeholder_values(service, own, registry, ports))

    words = [filled(word, port) for word in _command(service, argv)]
    if not service.serves:
        adapted = AdaptedCommand(argv=tuple(words), port=port)
    elif isinstance(service.listens, int):  # its program knows its port: nothing is added that says another
        adapted = AdaptedCommand(argv=tuple(words), env=hostname_variables(service.hosts), port=port)
    else:
        adapted = adapt(words, port, service.hosts, url=url, scripts=package_scripts(Path(cwd)), insist=argv is None)
    found = project_environment(Path(cwd), service.source.file, os.environ)
    ours = dict(adapted.env)
    if service.serves:
        ours = {"PORT": str(adapted.port), "HOST": HOST, "DEVPROXY_URL": url, **ours}
    from_files, file_notes = _from_files(service, ours)
    env = found.variables | from_files | ours
    env |= {name: filled(text, adapted.port) for name, text in service.env}
    notes = [*_notes(adapted, service), *_environment_notes(found), *file_notes]
    return PreparedCommand(
        argv=list(adapted.argv), env=env, cwd=cwd, port=adapted.port, notes=[safe(note) for note in notes]
    )


def with_certificates(prepared: PreparedCommand, service: Service, paths: Paths, ports: Ports) -> PreparedCommand:
    """With the variables by which its programs trust our certificates, where there are any to be trusted (`ca_bundle`,
    `tls/bundle.py`). Blocks (disk)."""
    if not service.ca_bundle or ports.https is None:
        return prepared
    from devproxy.tls.bundle import trust_variables

    environment = {**os.environ, **prepared.env}
    try:
        added = trust_variables(paths, environment, jvm=starts_java(prepared.argv))
    except DevproxyError as error:
        note = safe(f"it is not told to trust devproxy's certificates: {error.what}: {error.why}")
        return structs.replace(prepared, notes=[*prepared.notes, note])
    return structs.replace(prepared, env=prepared.env | added)


def _command(service: Service, argv: Sequence[str] | None) -> tuple[str, ...]:
    command = argv if argv else service.command
    if not command:
        named = devproxy_command("run", service.name, "--", "COMMAND")
        raise DevproxyError(
            f"`{service.id}` has no command",
            why="nothing says how to start it",
            fix=f'give it `command = "…"` in its file, or name one here: {named}',
            where=service.source.where,
            exit_code=Exit.USAGE,
        )
    return (*SHELL, command) if isinstance(command, str) else tuple(command)


def _check_folder(service: Service, cwd: str) -> None:
    if not os.path.isdir(cwd):  # noqa: PTH112  (pathlib raises where a name is too long)
        raise DevproxyError(
            f"the folder of `{service.id}` is not there: {cwd}",
            why="its command runs in it (`cwd`)",
            fix="make the folder, or correct `cwd`",
            where=service.source.where,
        )


def _placeholder_values(asker: Service, port: int, registry: Registry, ports: Ports) -> Callable[[str, str], str]:
    """What stands for a placeholder: `port` of our own, `url`, `port` or `host` of another service, something of the
    project. Of a TCP service that the proxy listens for, it is that address, which stays; only its own `{port}` is the
    one that its command is to listen on."""
    services = {service.id: service for service in registry.services} | {asker.id: asker}

    def value(kind: str, name: str) -> str:
        if kind in PROJECT_PLACEHOLDERS:
            if kind == "project" and asker.project is None:
                raise _unfilled(asker, kind, name, NO_PROJECT.why, NO_PROJECT.fix)
            return project_value(kind, asker.project)
        identity = find(name, asker, services) if name else asker.id
        if identity is None:
            raise _unfilled(asker, kind, name, "no service is called so", "devproxy ls shows the services there are")
        other = services[identity]
        if kind == "url":
            found = service_url(other, ports)
        elif kind == "host":
            found = other.listen.hosts[0] if other.listen is not None else next(iter(other.hosts), "")
        else:
            found = str((port if other.id == asker.id else client_place(other)[1]) or "")
        if found:
            return found
        raise _without_value(asker, kind, name, other)

    return value


def _without_value(asker: Service, kind: str, name: str, other: Service) -> DevproxyError:
    """Why a placeholder of `other`, which its text calls `name`, has nothing to stand for it."""
    if not other.serves:
        why, fix = f"`{other.id}` is a {other.kind}, which listens nowhere", "remove the placeholder"
    elif kind == "port":
        why, fix = f"`{other.id}` does not run, and its file gives it no port", devproxy_command("run", other.id)
        if other.command and other.id not in asker.depends_on:
            fix = f'write `depends_on = ["{name}"]` for `{asker.id}`, so that devproxy up starts it before, or {fix}'
    else:
        why, fix = f"`{other.id}` has no hostname of its own", "devproxy check says who holds it"
    return _unfilled(asker, kind, name, why, fix)


def _unfilled(asker: Service, kind: str, name: str, why: str, fix: str) -> DevproxyError:
    where = asker.source.where
    placeholder = f"{kind}.{name}" if name else kind
    return DevproxyError(f"`{{{placeholder}}}` cannot be filled in", why=why, fix=fix, where=where)


def _notes(adapted: AdaptedCommand, service: Service) -> Iterator[str]:
    if adapted.note:
        yield adapted.note
    if adapted.own_host and service.host_header != "upstream":
        yield (
            f"{adapted.program} refuses requests for a name that is not its own address: "
            f'write `host_header = "upstream"` for `{service.id}`'
        )


def _environment_notes(found: ProjectEnvironment) -> Iterator[str]:
    if found.found:
        yield f"with the project's own {' and '.join(found.found)}"
    yield from found.refused


def _from_files(service: Service, ours: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The variables of `env_file`, a later file over an earlier one, and what to say of lines that are none.

    `${PORT}` in them is the port that is given. No value is ever in a message.
    """
    found: dict[str, str] = {}
    notes: list[str] = []
    for file in service.env_file:
        try:
            content = read(path := Path(file))
            text = None if content is None else decode_text(content, path)
        except UnreadableError as error:
            problem = error.problem
            raise DevproxyError(
                f"`{service.id}`: {problem.where}: {problem.message}",
                why="its variables are for the command (`env_file`)",
                fix="name a plain file in UTF-8 that is yours to read; or take it out of `env_file`",
                where=service.source.where,
            ) from None
        if text is None:
            raise _no_env_file(service, path)
        parsed = parse_dotenv(text, {**os.environ, **found, **ours})
        found |= parsed.values
        notes += [f"{file}:{line}: left out: this is no `NAME=value`" for line in parsed.bad_lines]
    return found, notes


def _no_env_file(service: Service, path: Path) -> DevproxyError:
    samples = (f"{path}{end}" for end in (".example", ".sample", ".template", ".dist"))
    sample = next((Path(one) for one in samples if is_file(Path(one))), None)
    make = (
        f"cp {quote(sample)} {quote(path)}, and fill it in" if sample is not None else f"make the file: {quote(path)}"
    )
    return DevproxyError(
        f"`{service.id}`: there is no {path}",
        why="its variables are for the command (`env_file`)",
        fix=f"{make}; or take it out of `env_file`",
        where=service.source.where,
    )
