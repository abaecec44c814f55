"""Compose files as Compose reads them: several, merged into one, with their variables filled in.

Lives here: which files there are (`COMPOSE_FILE`, an override beside the first, `include`), `extends`, the tags
`!reset` and `!override`, and `${NAME:-default}` by the environment and the `.env` beside the file, for what is included
by its own `.env` or `env_file` below those (the Compose Specification, "Merge", "Include", "Extend", "Interpolation").
Not here: what a service publishes (`compose.py`), YAML (`storage/yaml.py`).

Only files below the project's root are read. What cannot be followed is a remark with its place, and the rest counts.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from devproxy.detect.files import is_file, text_of
from devproxy.storage.dotenv import parse_dotenv
from devproxy.storage.yaml import Value, YamlDocument, YamlError, parse_document
from devproxy.text import shown

FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_OVERRIDES = tuple(f"{stem}.override.{end}" for stem in ("compose", "docker-compose") for end in ("yml", "yaml"))
LONGEST = 500  # characters of a value
MOST_FILES = 30
DEEPEST = 8  # files that include files, services that extend services, defaults in defaults
_REFERENCE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-?+])|(?=\})))")


class Place(NamedTuple):
    """Where something stands: `compose.yaml:3:5`."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Part(NamedTuple):
    """A value of a service: with its variables filled in, as it is written, and where its text stands.

    `keys`: where the values of a mapping stand.
    """

    value: Value
    raw: Value
    place: Place
    keys: dict[str, Place]


class ComposeService(NamedTuple):
    """A service after merging: what counts here of it."""

    name: str
    place: Place
    ports: list[Part]
    profiles: list[str]
    depends_on: list[str]
    image: Part | None
    network_mode: Part | None
    container_name: Part | None

    @property
    def is_on_host(self) -> bool:
        """Whether it has this machine's network for its own: `ports` say nothing then."""
        return self.network_mode is not None and self.network_mode.value == "host"


class ComposeVolume(NamedTuple):
    """A volume with a name; whether that is the same for every Compose project."""

    name: str
    place: Place
    is_shared: bool


class ComposeProject(NamedTuple):
    """All of it: the services and volumes by name, the profiles that are switched on, what variables there are, and
    remarks for a person."""

    services: dict[str, ComposeService]
    volumes: dict[str, ComposeVolume]
    profiles: frozenset[str]
    variables: Mapping[str, str]
    remarks: list[str]


def load(root: Path) -> ComposeProject | None:
    """The project that `docker compose` would see in `root`; None where there is no file."""
    variables = {**parse_dotenv(text_of(root / ".env"), os.environ).values, **os.environ}
    named = variables.get("COMPOSE_FILE", "")
    files = [file for file in named.split(variables.get("COMPOSE_PATH_SEPARATOR") or os.pathsep) if file]
    if not files:
        first = next((name for name in FILES if is_file(root / name)), None)
        if first is None:
            return None
        files = [first, *[name for name in _OVERRIDES if is_file(root / name)][:1]]
    loader = _Loader(root, variables)
    merged: dict[str, ComposeService] = {}
    for file in files:
        merged = loader.merged(merged, loader.services(file, 0))
    profiles = frozenset(name.strip() for name in variables.get("COMPOSE_PROFILES", "").split(","))
    return ComposeProject(merged, loader.volumes, profiles, variables, loader.remarks)


class _Loader:
    """The files below one root, each read once."""

    def __init__(self, root: Path, variables: Mapping[str, str]):
        self.remarks: list[str] = []
        self.volumes: dict[str, ComposeVolume] = {}
        self._root = root
        self._variables = variables
        self._included_variables: dict[str, Mapping[str, str]] = {}  # by file, where it has some of its own
        self._documents: dict[str, YamlDocument | None] = {}
        self._removed: set[str] = set()
        self._included_already: set[str] = set()

    def services(self, file: str, depth: int) -> dict[str, ComposeService]:
        """The services of a file, with those of the files that it includes."""
        document = self._document(file)
        table = document.value if document is not None else ""
        if document is None or not isinstance(table, dict):
            return {}
        found: dict[str, ComposeService] = {}
        for index, entry in enumerate(_list(table.get("include"))):
            place = Place(file, *document.place("include", index))
            entry_services: dict[str, ComposeService] = {}
            for inner in self._included(entry, place, depth):  # several of one entry lie over each other, as with -f
                entry_services = self.merged(entry_services, self.services(inner, depth + 1))
            found |= entry_services
        volumes = table.get("volumes")
        for name, volume in volumes.items() if isinstance(volumes, dict) else ():
            is_shared = isinstance(volume, dict) and (volume.get("external") == "true" or "name" in volume)
            self.volumes[name] = ComposeVolume(name, Place(file, *document.written("volumes", name)), is_shared)
        services = table.get("services")
        for name in services if isinstance(services, dict) else ():
            if document.tags.get(("services", name)) == "!reset":
                found.pop(name, None)
                self._removed.add(name)
                continue
            service = self._service(file, name, 0)
            if service is not None:
                found[name] = service
        return found

    def merged(self, base: dict[str, ComposeService], over: dict[str, ComposeService]) -> dict[str, ComposeService]:
        """A file laid over those before it: ports are added to, unless a tag says otherwise."""
        found = {name: service for name, service in base.items() if name not in self._removed or name in over}
        for name, service in over.items():
            found[name] = self._over(found[name], service) if name in found else service
        return found

    def _over(self, base: ComposeService, over: ComposeService) -> ComposeService:
        document = self._documents.get(over.place.file)
        tag = document.tags.get(("services", over.name, "ports"), "") if document is not None else ""
        ports = over.ports if tag in {"!override", "!reset"} else [*base.ports, *over.ports]
        return base._replace(
            ports=ports,
            profiles=[*base.profiles, *over.profiles],
            depends_on=[*base.depends_on, *over.depends_on],
            image=over.image or base.image,
            network_mode=over.network_mode or base.network_mode,
            container_name=over.container_name or base.container_name,
        )

    def _service(self, file: str, name: str, depth: int) -> ComposeService | None:
        document = self._document(file)
        services = document.value.get("services") if document and isinstance(document.value, dict) else None
        table = services.get(name) if isinstance(services, dict) else None
        if document is None or not isinstance(table, dict):
            return None
        path = ("services", name)
        tag = document.tags.get((*path, "ports"))
        entries = [] if tag == "!reset" else _list(table.get("ports"))
        ports = [
            self._part(document, file, *path, "ports", index, value=entry)
            for index, entry in enumerate(entries)
            if document.tags.get((*path, "ports", index)) != "!reset"
        ]
        single = {
            key: self._part(document, file, *path, key, value=value)
            for key in ("image", "network_mode", "container_name")
            if isinstance(value := table.get(key), str) and value and document.tags.get((*path, key)) != "!reset"
        }
        own = ComposeService(
            name,
            Place(file, *document.place(*path)),
            ports,
            [text for text in _list(table.get("profiles")) if isinstance(text, str)],
            [str(other) for other in _names(table.get("depends_on"))],
            *(single.get(key) for key in ("image", "network_mode", "container_name")),
        )
        if "extends" not in table:
            return own
        base = self._extended(table["extends"], file, Place(file, *document.place(*path, "extends")), depth)
        return own if base is None else self._over(base._replace(name=name, place=own.place), own)

    def _extended(self, entry: Value, file: str, place: Place, depth: int) -> ComposeService | None:
        table = entry if isinstance(entry, dict) else {"service": entry}
        name, other = table.get("service"), table.get("file")
        where = _beside(file, self._text(other, place)) if isinstance(other, str) and other else file
        if not isinstance(name, str) or depth >= DEEPEST or not self._may_read(where, place, "extends"):
            return None
        if where not in self._documents and file in self._included_variables:
            self._included_variables[where] = self._included_variables[file]
        base = self._service(where, name, depth + 1)
        if base is None:
            self.remarks.append(f"{place}: `extends`: there is no service `{shown(name)}` in {shown(where)}")
        return base

    def _included(self, entry: Value, place: Place, depth: int) -> list[str]:
        """The files of an entry of `include`: a path, or a table with one or several."""
        paths = _list(entry.get("path")) if isinstance(entry, dict) else [entry]
        found = []
        for path in paths:
            file = _beside(place.file, self._text(path, place)) if isinstance(path, str) else ""
            if (
                file
                and file not in self._included_already
                and depth < DEEPEST
                and self._may_read(file, place, "include")
            ):
                self._included_already.add(file)  # once: files may include each other
                found.append(file)
        variables = self._variables_of(entry, place, found)
        self._included_variables |= dict.fromkeys(found, variables)
        return found

    def _variables_of(self, entry: Value, place: Place, files: Sequence[str]) -> Mapping[str, str]:
        """What variables the files of an entry of `include` see: those of its own `.env`, or `env_file`, lie under
        those of whoever includes them."""
        above = self._included_variables.get(place.file, self._variables)
        table = entry if isinstance(entry, dict) else {}
        folder = table.get("project_directory")
        if isinstance(folder, str) and folder:
            folder = _beside(place.file, self._text(folder, place))
        elif files:
            folder = os.path.dirname(files[0])  # noqa: PTH120
        texts = (one for one in _list(table.get("env_file")) if isinstance(one, str))
        named = [_beside(place.file, self._text(text, place)) for text in texts]
        own: dict[str, str] = {}
        for file in named or [_beside(f"{folder}/", ".env")]:
            if file.startswith(("/", "..")):
                self.remarks.append(f"{place}: `env_file`: {shown(file)} is left out: it is not a file of this project")
                continue
            own |= parse_dotenv(text_of(self._root / file), {**own, **above}).values
        return {**own, **above}

    def _may_read(self, file: str, place: Place, key: str) -> bool:
        if file in self._documents:
            return True
        if file.startswith(("/", "..")) or "://" in file or ":" in file or len(self._documents) >= MOST_FILES:
            self.remarks.append(f"{place}: `{key}`: {shown(file)} is left out: it is not a file of this project")
            return False
        if not is_file(self._root / file):
            self.remarks.append(f"{place}: `{key}`: there is no {shown(file)}")
            return False
        return True

    def _document(self, file: str) -> YamlDocument | None:
        if file not in self._documents:
            try:
                self._documents[file] = parse_document(text_of(self._root / file), file)
            except YamlError as error:
                self.remarks.append(f"{error.where}: the file is left out: {error.what}")
                self._documents[file] = None
        return self._documents[file]

    def _part(self, document: YamlDocument, file: str, *path: str | int, value: Value) -> Part:
        place = Place(file, *document.written(*path))
        keys = {key: Place(file, *document.written(*path, key)) for key in value} if isinstance(value, dict) else {}
        return Part(self._filled(value, place), value, place, keys)

    def _filled(self, entry: Value, place: Place) -> Value:
        if isinstance(entry, dict):
            return {key: self._text(value, place) if isinstance(value, str) else value for key, value in entry.items()}
        return self._text(entry, place) if isinstance(entry, str) else entry

    def _text(self, text: str, place: Place) -> str:
        if len(text) > LONGEST:  # before anything looks at it: no port, no file is so long
            return ""
        filled, missing = fill(text, self._included_variables.get(place.file, self._variables))
        self.remarks += [
            f"{place}: `{name}` has no value: neither the environment, .env nor a default gives it one"
            for name in missing
        ]
        return filled


def references(text: str) -> list[str]:
    """The names of the variables that a text refers to, those in defaults too, in order. Pure."""
    return list(dict.fromkeys(match[2] or match[3] for match in _REFERENCE.finditer(text) if not match[1]))


def fill(text: str, variables: Mapping[str, str], depth: int = 0) -> tuple[str, list[str]]:
    """A text with its references filled in, and the names that have no value. Pure."""
    parts: list[str] = []
    missing: list[str] = []
    at = 0
    while found := _REFERENCE.search(text, at):
        parts.append(text[at : found.start()])
        at = found.end()
        name, operator, inner = found[2] or found[3], found[4] or "", ""
        if found[1]:
            parts.append("$")
            continue
        if found[3]:
            end = _end(text, at)
            if end is None or depth >= DEEPEST:
                return "".join([*parts, text[found.start() :]]), missing
            inner, at = text[at:end], end + 1
        value = variables.get(name)
        is_set = value is not None and not (operator.startswith(":") and not value)
        if operator.endswith("+"):
            chosen = inner if is_set else ""
        elif is_set:
            parts.append(value or "")
            continue
        elif operator.endswith("-"):
            chosen = inner
        else:
            missing.append(name)
            continue
        filled, more = fill(chosen, variables, depth + 1)
        parts.append(filled)
        missing += more
    return "".join([*parts, text[at:]]), missing


def split(text: str) -> list[str]:
    """A text at its colons, but for those within `${…}` and `[…]`. Pure."""
    parts = [""]
    at = 0
    while at < len(text):
        step = 1
        if text.startswith("${", at):
            end = _end(text, at + 2)
            step = (len(text) if end is None else end + 1) - at
        elif text[at] == "[":
            step = (text.find("]", at) + 1 or len(text)) - at
        if text[at] == ":":
            parts.append("")
        else:
            parts[-1] += text[at : at + step]
        at += step
    return parts


def _end(text: str, start: int) -> int | None:
    """The bracket that ends a reference whose inside begins at `start`."""
    depth = 0
    for at in range(start, len(text)):
        if text.startswith("${", at):
            depth += 1
        elif text[at] == "}":
            if not depth:
                return at
            depth -= 1
    return None


def _beside(file: str, other: str) -> str:
    """A path as a file names it, as one below the root; what leads out of it begins with `..` or `/`."""
    return os.path.normpath(os.path.join(os.path.dirname(file), other)).replace(os.sep, "/")  # noqa: PTH118, PTH120


def _list(value: Value | None) -> list[Value]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) and value else []


def _names(value: Value | None) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list | dict) else []
