"""What a survey finds: services as a project file would declare them, and what was seen and left out.

Lives here: the types, and how names are made unique. Pure.
Not here: looking (`project.py` and one file for each kind of thing that is read), the text of the file (`render.py`).
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from devproxy.registry.hostnames import RESERVED, slug
from devproxy.storage.files import UnreadableError, decode_text, read


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A service: its keys of a `[services.NAME]` table, and where it was seen (`package.json: scripts.dev`)."""

    name: str
    origin: str
    command: str | tuple[str, ...] | None = None
    cwd: str = "."
    port: int | None = None
    protocol: str = "http"
    depends_on: tuple[str, ...] = ()


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one source says; `project` is the name that it gives the whole. `remarks` are for a person."""

    services: tuple[Candidate, ...] = ()
    project: str = ""
    remarks: tuple[str, ...] = ()


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder says, with names that are valid and unique."""

    project: str
    services: tuple[Candidate, ...] = ()
    remarks: tuple[str, ...] = ()


def gather(seen: Iterable[Seen], folder_name: str, name: str = "") -> Survey:
    """All of it together; the first source that has a name for a service or the project wins."""
    seen = list(seen)
    project = name or next((each.project for each in seen if slug(each.project)), folder_name)
    taken: dict[str, Candidate] = {}
    for source in seen:
        names = {service.name: _free(slug(service.name) or "app", taken) for service in source.services}
        for service in source.services:
            depends_on = tuple(names[other] for other in service.depends_on if other in names)
            named = _free(names[service.name], taken)
            taken[named] = msgspec.structs.replace(service, name=named, depends_on=depends_on)
    remarks = tuple(remark for source in seen for remark in source.remarks)
    return Survey(project=_free(slug(project) or "app", ()), services=tuple(taken.values()), remarks=remarks)


def _free(name: str, taken: "dict[str, Candidate] | Sequence[str]") -> str:
    name = name if name != RESERVED else f"{RESERVED}-app"
    free, number = name, 2
    while free in taken:
        free, number = f"{name[:59]}-{number}", number + 1
    return free


# Files and folders below a project's root, as a survey may read them.


DEEPEST = 6
MOST_FOLDERS = 20_000
MOST_STARS = 6  # in a glob: matching is polynomial in them
_NOTHING = re.compile(r"(?!)")
_SKIPPED = frozenset({"node_modules", "dist", "build", "target", "venv", "__pycache__", "vendor"})


def text_of(path: Path) -> str:
    """The text of a file; "" where there is none, or none that can be read."""
    try:
        return decode_text(read(path) or b"", path)
    except UnreadableError:
        return ""


def members(root: Path, patterns: Sequence[str], marker: str) -> list[Path]:
    """The folders below `root` that fit `patterns` (globs with `**`; `!` excludes) and hold a file named `marker`."""
    wanted = [_pattern(pattern) for pattern in patterns if not pattern.startswith("!")]
    unwanted = [_pattern(pattern[1:]) for pattern in patterns if pattern.startswith("!")]
    found = []
    for folder in _folders(root) if wanted else ():
        name = folder.relative_to(root).as_posix()
        fits = any(pattern.fullmatch(name) for pattern in wanted)
        if fits and not any(pattern.fullmatch(name) for pattern in unwanted) and (folder / marker).is_file():
            found.append(folder)
    return sorted(found)


def _folders(root: Path) -> Iterator[Path]:
    """Every folder below `root`, without those that hold no sources."""
    seen = 0
    for folder, names, _ in os.walk(root):
        depth = len(Path(folder).relative_to(root).parts)
        names[:] = sorted(name for name in names if name not in _SKIPPED and not name.startswith("."))
        if depth >= DEEPEST:
            names.clear()
        for name in names:
            seen += 1
            if seen > MOST_FOLDERS:
                return
            yield Path(folder, name)


def _pattern(glob: str) -> re.Pattern[str]:
    """`packages/*`, `apps/**`, `web`: `*` within a name, `**` any number of names."""
    parts = PurePosixPath(glob.removeprefix("./")).parts
    if glob.count("*") > MOST_STARS:
        return _NOTHING
    pieces = []
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            pieces.append(".+" if last else "(?:[^/]+/)*")
        else:
            name = re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
            pieces.append(name if last else name + "/")
    return re.compile("".join(pieces))
