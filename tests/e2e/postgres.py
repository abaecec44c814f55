"""A real PostgreSQL of the test's own: its data folder, and the command that runs it at a port that devproxy gives.

PostgreSQL refuses to run as root: then it is another user's, which a service has to allow (`other_user`).
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import require
from tests.health.servers import postgres
from tests.waiting import PROGRAM_DEADLINE

_NOBODY = 65534
_INIT = ("-U", "postgres", "-N", "-A", "trust", "--locale=C", "-E", "UTF8")
_SETTINGS = "-c unix_socket_directories= -c listen_addresses=127.0.0.1 -c fsync=off"


@contextmanager
def data_folder() -> Iterator[Path]:
    """A folder for data, which any user may look into: pytest's are for their owner alone."""
    with tempfile.TemporaryDirectory(prefix="devproxy-postgres-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def database(folder: Path, name: str = "data") -> str:
    """TOML of the keys of a service that runs it on data of its own, `name` below a `data_folder`."""
    programs, data = postgres(), folder / name
    data.mkdir()
    as_user = ""
    if os.geteuid() == 0:
        as_user = f"{require.program('setpriv')} --reuid={_NOBODY} --regid={_NOBODY} --clear-groups "
        os.chown(data, _NOBODY, _NOBODY)
    subprocess.run(
        [*as_user.split(), f"{programs}/initdb", "-D", str(data), *_INIT],
        check=True,
        capture_output=True,
        timeout=PROGRAM_DEADLINE,
        cwd="/",
    )
    return (
        f'command = "exec {as_user}{programs}/postgres -D {data} -p {{port}} {_SETTINGS}"\ncwd = "/"\n'
        'protocol = "tcp"\nscheme = "postgresql"\npath = "/postgres"\nother_user = "allow"\n'
    )


def psql(url: str, question: str) -> "subprocess.CompletedProcess[str]":
    """One question, with the answer as plain text."""
    return subprocess.run(
        [require.program("psql"), url, "-X", "-Atc", question],
        env={**os.environ, "PGUSER": "postgres"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_DEADLINE,
    )


def answer(url: str, question: str) -> str:
    """What it answers; fails where it does not."""
    done = psql(url, question)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
