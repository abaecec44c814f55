"""Leases: which services `devproxy run` has running right now, one file for each in `state/leases`.

Lives here: reading them, taking one, changing one, giving one up.
Not here: what a lease means for the registry (`layers.py`, `merge.py`), the processes (`devproxy/run/`).

How it holds together:
- A lease holds as long as its process runs: pid and start time, since a pid alone may be another's by now. A dead one
  is ignored and removed by whoever reads it, and what is left of its command is ended (`endings.py`).
- Taking, changing and removing happen under the lock of the folder, so that of several at once one gets the name, and
  no two get the same port.
- Whoever changes or removes a lease must still hold it: after `--force` the file is the new owner's.
"""

import contextlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec

from devproxy.errors import DevproxyError
from devproxy.paths import Paths, check_private
from devproxy.registry import endings
from devproxy.registry.kinds import LABEL
from devproxy.registry.layers import Lease
from devproxy.storage import locks
from devproxy.storage.process_identity import is_same

_ID = re.compile(rf"{LABEL}(?:\.{LABEL})*")


def read_leases(paths: Paths) -> tuple[Lease, ...]:
    """The leases in force, sorted by service; dead ones are removed on the way. Raises nothing."""
    alive = []
    for file in _files(paths):
        lease = _read(file)
        if lease is not None and is_alive(lease):
            alive.append(lease)
        elif lease is not None:
            _bury(file)
    if _is_private(paths):
        endings.sweep(paths.leases)
    return tuple(alive)


def is_alive(lease: Lease) -> bool:
    """Whether the process that a lease depends on runs."""
    return is_same(lease.pid, lease.started)


def holds(paths: Paths, lease: Lease) -> bool:
    """Whether this very lease is the one in force for its service."""
    return _read(lease_file(paths, lease.service)) == _filed(paths, lease)


def take_lease(paths: Paths, service: str, make: Callable[[tuple[Lease, ...]], Lease], *, force: bool = False) -> Lease:
    """Write the lease that `make` makes, given those of all other services, and return it.

    `make` runs under the lock, so a port that it chooses beside the others' is its own. Raises DevproxyError: somebody
    else runs the service (unless `force`), or the disk does not want to. Blocks while what a killed owner left ends.
    """
    from devproxy.storage.files import update

    made: list[Lease] = []

    def edit(text: str) -> str:
        holder = _decode(text, file)
        if holder is not None and is_alive(holder) and not force:
            raise _taken(holder)
        others = (_read(other) for other in _files(paths) if other != file)
        made.append(make(tuple(lease for lease in others if lease is not None and is_alive(lease))))
        return _encode(made[-1])

    file = lease_file(paths, service)
    _bury(file)
    settle(paths, service)
    update(file, edit)
    return _filed(paths, made[-1])


def settle(paths: Paths, service: str) -> None:
    """Return once nothing is left of a killed `run` or `up` of `service`. Blocks for some seconds at most."""
    if _is_private(paths):
        endings.settle(paths.leases, service)


def replace_lease(paths: Paths, old: Lease, new: Lease) -> bool:
    """Put `new` in the place of `old`; False, and nothing is written, if `old` is not in force any more."""
    from devproxy.storage.files import update

    replaced: list[bool] = []

    def edit(text: str) -> str:
        replaced.append(_decode(text, file) == _filed(paths, old))
        return _encode(new) if replaced[-1] else text

    file = lease_file(paths, old.service)
    if not file.exists():
        return False
    update(file, edit)
    return replaced[-1]


def remove_lease(paths: Paths, lease: Lease) -> bool:
    """Give a lease up; False if it is not in force any more (it is left alone then)."""
    file = lease_file(paths, lease.service)
    return _remove(file, lambda found: found == _filed(paths, lease))


def lease_file(paths: Paths, service: str) -> Path:
    return paths.leases / f"{service}.toml"


def _files(paths: Paths) -> list[Path]:
    if not _is_private(paths):
        return []
    try:
        return sorted(file for file in paths.leases.iterdir() if file.suffix == ".toml" and _ID.fullmatch(file.stem))
    except OSError:
        return []


def _is_private(paths: Paths) -> bool:
    """Whether nobody else can have put a lease there: it says whom we connect to, and whom we end."""
    try:
        check_private(paths.leases)
    except (OSError, DevproxyError):
        return False
    return True


def _read(file: Path) -> Lease | None:
    """The lease in a file; None where there is none, or nothing that we wrote."""
    try:
        return _decode(file.read_text("utf-8"), file)
    except (OSError, UnicodeDecodeError):
        return None


def _decode(text: str, file: Path) -> Lease | None:
    try:
        lease = msgspec.convert(tomllib.loads(text), Lease)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError):
        return None
    is_sound = lease.service == file.stem and 0 < lease.port < 65536
    return msgspec.structs.replace(lease, file=str(file)) if is_sound else None


def _encode(lease: Lease) -> str:
    import tomli_w

    facts = msgspec.to_builtins(lease)
    return tomli_w.dumps({key: value for key, value in facts.items() if key != "file" and value not in ("", 0, [])})


def _filed(paths: Paths, lease: Lease) -> Lease:
    return msgspec.structs.replace(lease, file=str(lease_file(paths, lease.service)))


def _bury(file: Path) -> None:
    """Remove a lease if it is dead, and end what may be left of its command."""
    if not file.parent.is_dir():
        return
    with contextlib.suppress(OSError, DevproxyError), locks.exclusive(file):
        found = _read(file)
        if found is not None and not is_alive(found):
            endings.begin(file, found)


def _remove(file: Path, wanted: Callable[[Lease], bool]) -> bool:
    if not file.parent.is_dir():
        return False
    with locks.exclusive(file):
        found = _read(file)
        if found is None or not wanted(found):
            return False
        file.unlink(missing_ok=True)
        return True


def _taken(holder: Lease) -> DevproxyError:
    where = f", started in {holder.checkout}" if holder.checkout else ""
    return DevproxyError(
        f"`{holder.service}` is running already",
        why=f"process {holder.pid} has the name{where}, with port {holder.port}",
        fix="end that one, or take the name over with --force",
    )
