"""Leases: which services `devproxy run` has running right now, one file for each in `state/leases`.

Reading them, taking one, changing one, giving one up, and ending what a killed owner left running:
- A lease holds as long as its process runs: pid and start time, since a pid alone may be another's by now. A dead one
  is ignored and removed by whoever reads it, and what is left of its command is ended.
- Taking, changing and removing happen under the lock of the folder, so that of several at once one gets the name, and
  no two get the same port.
- Whoever changes or removes a lease must still hold it: after `--force` the file is the new owner's.

Endings. Whoever reads a dead lease makes its file one that ends in `.ending` and sends SIGTERM, so that it happens
once. The name is free from then on. Whoever reads leases two seconds later sends SIGKILL; whoever needs the port
(`take_lease`) waits for it. A process group's number may be another's by now: it is ours while its leader is the
process that the lease tells of, or while somebody is in it who was there before the file was written. POSIX; who is in
a group is told by Linux alone, elsewhere its leader counts.

Not here: what a lease means for the registry (`layers.py`, `merge.py`), the processes (`devproxy/run/`).
"""

import contextlib
import os
import re
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec

from devproxy.errors import DevproxyError
from devproxy.paths import ENDING, Paths, check_private, ending_file
from devproxy.registry.hostnames import LABEL
from devproxy.registry.model import Lease
from devproxy.storage import locks
from devproxy.storage.process_identity import in_group, is_another, is_same, start_time

_ID = rf"{LABEL}(?:\.{LABEL})*"


def read_leases(paths: Paths) -> tuple[Lease, ...]:
    """The leases in force, sorted by service; dead ones are removed on the way. Raises nothing."""
    alive = []
    for file in _files(paths):
        lease = _read(file)
        if lease is not None and is_alive(lease):
            alive.append(lease)
        elif lease is not None:
            _reap(file)
    if _is_private(paths):
        sweep_endings(paths.leases)
    return tuple(alive)


def is_alive(lease: Lease) -> bool:
    """Whether the process that a lease depends on runs."""
    return is_same(lease.pid, lease.started)


def holds(paths: Paths, lease: Lease) -> bool:
    """Whether this very lease is the one in force for its service."""
    return _read(paths.lease(lease.service)) == _filed(paths, lease)


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

    file = paths.lease(service)
    _reap(file)
    settle(paths, service)
    update(file, edit)
    return _filed(paths, made[-1])


def settle(paths: Paths, service: str) -> None:
    """Return once nothing is left of a killed `run` or `up` of `service`. Blocks for some seconds at most."""
    if _is_private(paths):
        settle_endings(paths.leases, service)


def replace_lease(paths: Paths, old: Lease, new: Lease) -> bool:
    """Put `new` in the place of `old`; False, and nothing is written, if `old` is not in force any more."""
    from devproxy.storage.files import update

    replaced: list[bool] = []

    def edit(text: str) -> str:
        replaced.append(_decode(text, file) == _filed(paths, old))
        return _encode(new) if replaced[-1] else text

    file = paths.lease(old.service)
    if not file.exists():
        return False
    update(file, edit)
    return replaced[-1]


def remove_lease(paths: Paths, lease: Lease) -> bool:
    """Give a lease up; False if it is not in force any more (it is left alone then)."""
    file = paths.lease(lease.service)
    return _remove(file, lambda found: found == _filed(paths, lease))


def _files(paths: Paths) -> list[Path]:
    if not _is_private(paths):
        return []
    try:
        files = [file for file in paths.leases.iterdir() if file.suffix == ".toml"]
        return sorted(file for file in files if re.fullmatch(_ID, file.stem))
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
    is_sound = lease.service == file.stem and 0 <= lease.port < 65536
    return msgspec.structs.replace(lease, file=str(file)) if is_sound else None


def _encode(lease: Lease) -> str:
    import tomli_w

    facts = msgspec.to_builtins(lease)
    return tomli_w.dumps({key: value for key, value in facts.items() if key != "file" and value not in ("", 0, [])})


def _filed(paths: Paths, lease: Lease) -> Lease:
    return msgspec.structs.replace(lease, file=str(paths.lease(lease.service)))


def _reap(file: Path) -> None:
    """Remove a lease if it is dead, and end what may be left of its command."""
    if not file.parent.is_dir():
        return
    with contextlib.suppress(OSError, DevproxyError), locks.exclusive(file):
        found = _read(file)
        if found is not None and not is_alive(found):
            begin_ending(file, found)


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
        why=f"process {holder.pid} has the name{where}{f', with port {holder.port}' if holder.port else ''}",
        fix="end that one, or take the name over with --force",
    )


# What a killed `devproxy run` or `up` left running: asked to end, waited for, killed in the end


GRACE = 2.0  # seconds between SIGTERM and SIGKILL

_KILLED = 5.0  # seconds that the system may need after SIGKILL

_LOOK = 0.02


def begin_ending(file: Path, lease: Lease) -> None:
    """The lease in `file` is dead: remove it, and ask what is left of its command to end."""
    # Only while the leader is the process that we started can its number not be another group's.
    if sys.platform == "win32" or lease.group <= 1 or not is_same(lease.group, lease.group_started):
        file.unlink(missing_ok=True)
        return
    import signal  # only where something has to end: commands that read start faster without

    ending = ending_file(file, lease.group)
    file.replace(ending)
    os.utime(ending)
    with contextlib.suppress(OSError):
        os.killpg(lease.group, signal.SIGTERM)
        os.killpg(lease.group, signal.SIGCONT)


def sweep_endings(folder: Path) -> None:
    """Forget what has ended, and kill what had its time. Does not wait."""
    for file in _ending_files(folder):
        if not _left(file) or _kill(file):
            file.unlink(missing_ok=True)


def settle_endings(folder: Path, service: str) -> None:
    """Return once nothing is left of `service`: at most some seconds, if it does not end when it is asked to."""
    for file in _ending_files(folder):
        if file.name.removesuffix(ENDING).rpartition(".")[0] != service:
            continue
        until = time.monotonic() + GRACE + _KILLED
        while _left(file) and time.monotonic() < until:
            _kill(file)
            time.sleep(_LOOK)
        file.unlink(missing_ok=True)


def _ending_files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ENDING)
    except OSError:
        return []


def _kill(file: Path) -> bool:
    """SIGKILL to what is left, if its time is over; whether it was."""
    try:
        if abs(time.time() - file.stat().st_mtime) < GRACE:
            return False
    except OSError:
        return True
    if group := _left(file):
        import signal

        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)  # whoever has joined it since as well
    return True


def _left(file: Path) -> int:
    """The process group, if it is ours still; else 0."""
    try:
        lease = msgspec.convert(tomllib.loads(file.read_text("utf-8")), Lease)
        written = file.stat().st_mtime
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError):
        return 0
    if is_another(lease.group, lease.group_started):
        return 0
    started = (start_time(pid) for pid in in_group(lease.group))
    return lease.group if any(when is not None and when <= written + 1.0 for when in started) else 0  # whole seconds
