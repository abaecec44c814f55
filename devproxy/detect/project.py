"""One look at a folder: every source, in the order in which they have a say.

Lives here: `survey`, and the look one level down, at parts that stand by themselves (`backend/`, `frontend/`).
Not here: the sources (one file each), what is made of the answer (`render.py`, `cli/init.py`).
"""

import os
import shlex
from collections.abc import Container
from pathlib import Path

import msgspec

from devproxy.detect import compose, node, procfile, python
from devproxy.detect.files import SKIPPED, entries
from devproxy.detect.model import Candidate, Seen, Survey, gather
from devproxy.detect.scripts import wants_own_host

MOST_BELOW = 100


def survey(root: Path, name: str = "") -> Survey:
    """What `root` says about its services. Reads files below it, runs nothing; `name` is the project's, if given."""
    listed = procfile.look(root)
    packages = [node.look(root), python.look(root)]
    packages = [_without_listed(seen, listed) for seen in packages]
    taken = {service.cwd for seen in packages for service in seen.services if service.serves}
    watched = {(service.cwd, service.command) for seen in packages for service in seen.services}
    below = [_without_known(seen, watched) for seen in _below(root, taken)]
    if below:
        packages = [_without_several(seen) for seen in packages]
    found = gather([listed, *packages, *below, compose.look(root)], root.name, name)
    return msgspec.structs.replace(found, services=tuple(_with_own_host(root, service) for service in found.services))


def _with_own_host(root: Path, service: Candidate) -> Candidate:
    """A server that refuses every name but its own address gets that one."""
    command = service.command if isinstance(service.command, str) else shlex.join(service.command or ())
    if not service.serves or not command or not wants_own_host(command, root / service.cwd):
        return service
    return msgspec.structs.replace(service, host_header="upstream")


def _below(root: Path, taken: set[str]) -> list[Seen]:
    """What stands one level down, where nothing at the root speaks for it."""
    folders = [folder for folder in entries(root) if os.path.isdir(folder)]  # noqa: PTH112
    found = []
    for folder in folders[:MOST_BELOW]:
        if folder.name in SKIPPED or folder.name.startswith(".") or folder.name in taken or folder.is_symlink():
            continue
        seen = [look(root, folder) for look in (node.look_below, python.look_below)]
        seen.sort(key=lambda each: not any(service.serves for service in each.services))  # the server has the name
        found += [each for each in seen if each.services or each.remarks]
    return found


def _without_several(seen: Seen) -> Seen:
    """A script at the root that starts several things starts those that were found below."""
    kept = tuple(service for service in seen.services if not service.starts_others)
    several = [service for service in seen.services if service.starts_others]
    remarks = [f"{service.origin} is left out: what it starts was found one by one" for service in several]
    return msgspec.structs.replace(seen, services=kept, remarks=(*seen.remarks, *remarks))


def _without_known(seen: Seen, known: Container[object]) -> Seen:
    """Without what a workspace or the root has said already."""
    kept = tuple(service for service in seen.services if (service.cwd, service.command) not in known)
    return msgspec.structs.replace(seen, services=kept)


def _without_listed(seen: Seen, listed: Seen) -> Seen:
    """A Procfile with a server starts what is at the root already, and any Procfile what it says word for word: it
    would be there twice."""
    commands = {service.command for service in listed.services}
    has_server = any(service.serves for service in listed.services)
    twice = [each for each in seen.services if each.cwd == "." and (has_server or each.command in commands)]
    kept = tuple(service for service in seen.services if service not in twice)
    left_out = [f"{service.origin} is left out: the Procfile has it" for service in twice]
    return Seen(project=seen.project, services=kept, remarks=(*seen.remarks, *left_out))
