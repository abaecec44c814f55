"""Files → Registry, and again whenever they change: what is in force of each file, and since when one is missing.

Lives here: which files there are (the user registry, the project files it links, the local file beside each), the
last good content of each, and the grace for a file that vanishes for a moment.
Not here: opening files (`storage/files.py`), what they say (`decode.py`), how they go together (`merge.py`), when to
look again (`watch.py`), the files of leases (`leases.py`).

Per file:
- Without an error, its content is in force.
- With one, the last content without is, and what is wrong now is among the registry's problems until it is mended. A
  file that has never been right is in force as far as it is valid.
- Gone, or empty after it held something, it is believed to be so only after `GRACE`: `git checkout` deletes before
  it writes, and an editor that truncates leaves nothing for a moment. `again_in` says when to load again for that.
- Nothing tells when the process of a lease is killed: while there are leases, it is looked at every `LEASE_CHECK`.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from devproxy.paths import Paths, local_file
from devproxy.problems import Problem
from devproxy.registry.decode import Decoded, decode_local, decode_project, decode_user
from devproxy.registry.layers import Linked, beside
from devproxy.registry.leases import read_leases
from devproxy.registry.merge import merge
from devproxy.registry.model import Lease, Project, Registry
from devproxy.registry.schema import LocalFile, ProjectFile, UserFile
from devproxy.storage.files import UnreadableError, decode_text
from devproxy.storage.files import read as read_file
from devproxy.text import devproxy_command

GRACE = 1.0  # seconds
LEASE_CHECK = 5.0  # seconds

T = TypeVar("T")
Clock = Callable[[], float]


def read(paths: Paths, *, leases: tuple[Lease, ...] | None = None) -> Registry:
    """The registry as the files say it right now, for commands that look once; `leases` stand in for those on disk."""
    return Loader(paths).load(leases=leases)


def read_as(paths: Paths, user: Decoded[UserFile]) -> Registry:
    """The registry as it would be with `user` as the user registry: to validate a change before it is written."""
    return Loader(paths).load(user)


class Loader:
    """Loads the registry time and again, and remembers per file what was last in force.

    `files` is every file that people write, existing or not, once `load` was called; `watched` is what may change the
    registry, the folder of leases as well. `again_in` is the time in seconds
    after which `load` is to be called again even if nothing changes, or None. `own_ports` are the proxy's own, which
    no service may have; `without_https` where it has none for https. Not for several threads at once.
    """

    def __init__(self, paths: Paths, *, own_ports: tuple[int, ...] = (), clock: Clock = time.monotonic):
        self.own_ports = own_ports
        self.without_https = False
        self._clock = clock
        self._paths = paths
        self._leases: tuple[Lease, ...] = ()
        self._user = _File(paths.registry, decode_user)
        self._projects: dict[Path, _ProjectFiles] = {}
        self._inputs: list[object] = []
        self._parts: list[object] = []
        self._registry = Registry()

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file.path for file in self._all())

    @property
    def watched(self) -> tuple[Path, ...]:
        return (*self.files, self._paths.leases)

    @property
    def again_in(self) -> float | None:
        waits = [file.again_in for file in self._all() if file.again_in is not None]
        return min([*waits, LEASE_CHECK] if self._leases else waits, default=None)

    def load(self, user: Decoded[UserFile] | None = None, *, leases: tuple[Lease, ...] | None = None) -> Registry:
        """Read every file again; the same object as before if nothing changed.

        `user` stands in for the user registry, `leases` for those on disk.

        Blocks as long as reading takes. Raises nothing: whatever is wrong is among the problems.
        """
        now = self._clock()
        problems: list[Problem] = []
        if user is None:
            self._user.load(now)
            user = self._user.in_force
            problems += self._user.problems
        linked = self._linked(user, now, problems) if user is not None else []
        self._leases = read_leases(self._paths) if leases is None else leases
        return self._merged(user, linked, problems)

    def _linked(self, user: Decoded[UserFile], now: float, problems: list[Problem]) -> list[Linked]:
        """Load what `user` links, forget what it links no more, and add what is wrong to `problems`."""
        links = user.value.projects if user.value is not None else {}
        places = {Project.of(name): place(user.file, link.path) for name, link in links.items()}
        self._projects = {path: self._projects.get(path) or _ProjectFiles(path) for path in places.values()}
        for files in self._projects.values():
            problems += files.load(now)
        for project, path in places.items():
            if self._projects[path].is_missing:
                problems.append(_missing(project, path, user))
        return [
            Linked(project, *self._projects[path].in_force, links[str(project)].trust or "")
            for project, path in places.items()
        ]

    def _merged(self, user: Decoded[UserFile] | None, linked: list[Linked], problems: list[Problem]) -> Registry:
        parts: list[object] = [user, *(part for link in linked for part in (link.shared, link.local))]
        inputs: list[object] = [
            *map(id, parts),
            *((link.project, link.trust) for link in linked),
            *problems,
            self.own_ports,
            self.without_https,
            self._leases,
        ]
        if inputs != self._inputs:
            self._registry = merge(
                user,
                linked,
                self._leases,
                problems=problems,
                own_ports=self.own_ports,
                without_https=self.without_https,
            )
            self._inputs = inputs
            self._parts = parts  # kept alive, or their ids could become others'
        return self._registry

    def _all(self) -> "list[_File[UserFile] | _File[ProjectFile] | _File[LocalFile]]":
        pairs = [(project.shared, project.local) for project in self._projects.values()]
        return [self._user, *(file for pair in pairs for file in pair)]


class _File(Generic[T]):
    """One file between two loads."""

    def __init__(self, path: Path, decode: Callable[[str, str], Decoded[T]]):
        self.path = path
        self.in_force: Decoded[T] | None = None
        self.problems: tuple[Problem, ...] = ()  # of what stands in the file, where that is not in force
        self.again_in: float | None = None
        self.exists = False
        self._decode = decode
        self._is_right = False  # `in_force` has no error of its own
        self._content: bytes | None = None  # what `in_force` and `problems` come from
        self._had_text = False  # the content that was read last, and may have become unreadable since
        self._gone_since: float | None = None

    def load(self, now: float) -> None:
        self.again_in = None
        try:
            content = read_file(self.path)
            if self._is_held(content, now):
                return
            self._gone_since = None
            self.exists = content is not None
            if content is None:
                self.in_force, self.problems, self._is_right = None, (), False
            elif content != self._content:
                self._take(self._decode(decode_text(content, self.path), str(self.path)))
            self._content, self._had_text = content, _has_text(content)
        except UnreadableError as error:
            self.exists, self._content, self._gone_since = True, None, None
            self._keep((error.problem,))

    def _is_held(self, content: bytes | None, now: float) -> bool:
        """Whether the file may be gone, or empty, for a moment only."""
        if _has_text(content) or not self._had_text:
            return False
        if self._gone_since is None:
            self._gone_since = now
        left = self._gone_since + GRACE - now
        self.again_in = left if left > 0 else None
        return left > 0

    def _take(self, decoded: Decoded[T]) -> None:
        is_better = decoded.value is not None and not self._is_right
        if decoded.ok or is_better or self.in_force is None:
            self.in_force, self.problems, self._is_right = decoded, (), decoded.ok
        else:
            self._keep(decoded.problems)

    def _keep(self, problems: tuple[Problem, ...]) -> None:
        """Leave what is in force, and show `problems` instead of those it had."""
        self.problems = problems
        if self.in_force is not None and self.in_force.problems:
            self.in_force = msgspec.structs.replace(self.in_force, problems=())


def _has_text(content: bytes | None) -> bool:
    return content is not None and not content.isspace() and content != b""


class _ProjectFiles:
    """A project file and the local file beside it."""

    def __init__(self, path: Path):
        self.shared = _File(path, decode_project)
        self.local = _File(local_file(path), decode_local)

    def load(self, now: float) -> tuple[Problem, ...]:
        self.shared.load(now)
        self.local.load(now)
        return self.shared.problems + self.local.problems

    @property
    def in_force(self) -> tuple[Decoded[ProjectFile] | None, Decoded[LocalFile] | None]:
        return self.shared.in_force, self.local.in_force

    @property
    def is_missing(self) -> bool:
        return not self.shared.exists


def place(file: str, path: str) -> Path:
    """Where a link in `file` leads to; `~` is the home folder."""
    try:
        return Path(beside(file, str(Path(path).expanduser())))
    except RuntimeError:  # whose home that is, nobody knows
        return Path(beside(file, path))


def _missing(project: Project, path: Path, user: Decoded[UserFile]) -> Problem:
    line, column = user.places.at(("projects", str(project), "path"))
    return Problem(
        code="missing-project-file",
        severity="warning" if project.label else "error",  # worktrees come and go
        file=user.file,
        line=line,
        column=column,
        message=f"the project `{project}` has no file: {path} does not exist",
        why="it was moved or deleted after it was linked",
        fix=f"correct the path, or take the link out: {devproxy_command('unlink', str(project))}",
    )
