"""`devproxy run` inside of the very service that it names: the command, in our place, with the port that is there.

A team checks in `"dev": "devproxy run web -- vite"`, and the command of `web` in its file is `npm run dev`. Whoever has
the lease then is one of our own parents: the service runs already, and we are it.

How it works: a lease tells of its owner and of the process group of its command. It is ours if both are among our
parents (proc_pid_stat(5), field 4). Nothing is taken, nothing supervised: the command is exec'ed (execve(2)).
"""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths
from devproxy.registry.leases import read_leases
from devproxy.registry.model import Lease
from devproxy.run.command import PreparedCommand
from devproxy.run.interpreter import original_environment
from devproxy.storage.process_identity import parent_of
from devproxy.text import devproxy_command, port_number


def own_leases(paths: Paths) -> list[Lease]:
    """The leases of the services that this process is a part of, the innermost first."""
    above = {pid: at for at, pid in enumerate(_parents())}
    found = [lease for lease in read_leases(paths) if lease.pid in above and (lease.group in above or not lease.group)]
    return sorted(found, key=lambda lease: above.get(lease.group, len(above)))


def given_port(lease: Lease) -> int:
    """The port that our parent has given us: where the name leads may be another one by now."""
    return port_number(os.environ.get("PORT", "")) or lease.port


def refuse_endless(lease: Lease, argv: Sequence[str]) -> None:
    """Raises DevproxyError where there is no command but the one that has led here."""
    if argv:
        return
    name = lease.service.partition(".")[0]
    raise DevproxyError(
        f"`{lease.service}` would start itself, time and again",
        why="its own command has led here, and this line names no other",
        fix=f"write what is to run behind `--`: {devproxy_command('run', name, '--', 'COMMAND')}",
        exit_code=Exit.USAGE,
    )


def execute(prepared: PreparedCommand) -> NoReturn:
    """Become the command. Raises DevproxyError where it cannot be started."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # ignored by Python alone
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    environment = {**original_environment(), **prepared.env}
    os.chdir(prepared.cwd)
    try:
        os.execvpe(prepared.argv[0], prepared.argv, environment)  # noqa: S606
    except OSError as error:
        raise DevproxyError(
            f"{prepared.argv[0]} could not be started",
            why=os.strerror(error.errno or 0).lower(),
            fix="see whether it is installed, and spelt so",
        ) from None


def _parents() -> Iterator[int]:
    if sys.platform == "linux":
        pid = os.getppid()
        while pid > 0:
            yield pid
            pid = parent_of(pid)
        return
    import psutil

    yield from (parent.pid for parent in psutil.Process().parents())
