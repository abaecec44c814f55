"""What a killed `devproxy run` or `up` left running: asked to end, waited for, killed in the end.

Lives here: `state/leases/<service>.<group>.ending`, the lease of a process that is gone while its command's process
group is not.
Not here: leases in force (`leases.py`), what a supervisor that lives does at the same time (`run/supervisor.py`).

How: whoever reads a dead lease makes it such a file and sends SIGTERM, so that it happens once. The name is free from
then on. Whoever reads leases two seconds later sends SIGKILL; whoever needs the port (`take_lease`) waits for it. A
process group's number may be another's by now: it is ours while its leader is the process that the lease tells of, or
while somebody is in it who was there before the file was written. POSIX; who is in a group is told by Linux alone,
elsewhere its leader counts.
"""

import contextlib
import os
import signal
import sys
import time
import tomllib
from pathlib import Path

import msgspec

from devproxy.registry.layers import Lease
from devproxy.storage.process_identity import in_group, is_same, start_time

GRACE = 2.0  # seconds between SIGTERM and SIGKILL
_KILLED = 5.0  # seconds that the system may need after SIGKILL
_LOOK = 0.02
_SUFFIX = ".ending"


def begin(file: Path, lease: Lease) -> None:
    """The lease in `file` is dead: remove it, and ask what is left of its command to end."""
    # Only while the leader is the process that we started can its number not be another group's.
    if sys.platform == "win32" or lease.group <= 1 or not is_same(lease.group, lease.group_started):
        file.unlink(missing_ok=True)
        return
    ending = file.with_name(f"{lease.service}.{lease.group}{_SUFFIX}")
    file.replace(ending)
    os.utime(ending)
    with contextlib.suppress(OSError):
        os.killpg(lease.group, signal.SIGTERM)
        os.killpg(lease.group, signal.SIGCONT)


def sweep(folder: Path) -> None:
    """Forget what has ended, and kill what had its time. Does not wait."""
    for file in _files(folder):
        if not _left(file) or _kill(file):
            file.unlink(missing_ok=True)


def settle(folder: Path, service: str) -> None:
    """Return once nothing is left of `service`: at most some seconds, if it does not end when it is asked to."""
    for file in _files(folder):
        if file.name.removesuffix(_SUFFIX).rpartition(".")[0] != service:
            continue
        until = time.monotonic() + GRACE + _KILLED
        while _left(file) and time.monotonic() < until:
            _kill(file)
            time.sleep(_LOOK)
        file.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == _SUFFIX)
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
    if start_time(lease.group) is not None and not is_same(lease.group, lease.group_started):
        return 0
    started = (start_time(pid) for pid in in_group(lease.group))
    return lease.group if any(when is not None and when <= written + 1.0 for when in started) else 0  # whole seconds
