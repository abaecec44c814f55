"""Unix sockets: which of them a file may name.

Lives here: the longest path, and that a project's file names sockets of its own folder only.
Not here: the spelling of an address (`addresses.py`), connecting (`net/dial.py`).

A project's file comes with a repository. The socket of a container engine or of a keyring is open to its user alone,
and may do all that the user may; registered, it is open to every page and every user that reaches the proxy. Only what
the user wrote, registry.toml or devproxy.local.toml, may therefore name a socket elsewhere. Places are compared as
text, after `..` is taken out (POSIX.1-2017 §4.13 without symlinks): what a symlink leads to is not known here.
"""

from pathlib import PurePath

from devproxy.registry.layers import beside
from devproxy.registry.wrong import Wrong, shown

LONGEST = 107  # bytes: sun_path in unix(7), without its final NUL


def fault(path: str, file: str, *, is_shared: bool) -> Wrong | None:
    """Why `file` may not name the socket `path`, as it is written there; `is_shared`: it is a project's own file."""
    socket = beside(file, path)
    if is_shared and not _plain(socket).is_relative_to(folder := _plain(file).parent):
        return Wrong(
            f'"unix:{shown(path)}" lies outside of the project',
            why="a project's file comes with a repository, so it names no socket of another program, such as a"
            f" container engine's; its own lie below {shown(str(folder))}",
            fix="move this line to your own devproxy.local.toml or registry.toml, which may name any socket",
            code="socket-outside",
        )
    length = len(socket.encode())
    if length <= LONGEST:
        return None
    why = f"the path of a unix socket has at most {LONGEST} bytes, and this one has {length}"
    return Wrong("the socket's path is too long", why=why, fix="put it into /tmp or /run", code="bad-upstream")


def _plain(path: str) -> PurePath:
    """`path` without `..`; that of the root is the root."""
    plain = PurePath()
    for part in PurePath(path).parts:
        plain = plain.parent if part == ".." else plain / part
    return plain
