"""PostgreSQL for this checkout, on 127.0.0.1 and the port that devproxy gives as PORT. `python db.py`.

Its data is in `data/` beside this file, which git ignores: remove the folder, and the next start makes a new one.
"""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

DATA = Path(__file__).parent / "data"
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))


def program(name: str) -> str:
    """Its path; Debian and Ubuntu keep the server's programs out of PATH."""
    found = shutil.which(name) or (shutil.which(name, path=DEBIAN[-1]) if DEBIAN else None)
    return found or sys.exit(f"there is no {name}: install PostgreSQL (Debian, Ubuntu: apt install postgresql)")


def make() -> None:
    """New data: the one role is whoever starts this, the one database `shop`. Half of it never has the name `data`."""
    new = DATA.with_name("data.new")
    shutil.rmtree(new, ignore_errors=True)
    # `trust`: no password. It listens on loopback alone; whoever has an account on this machine gets in.
    role = pwd.getpwuid(os.geteuid()).pw_name
    quiet = ["--no-instructions", "--no-sync"]
    subprocess.run(
        [program("initdb"), *quiet, f"--pgdata={new}", f"--username={role}", "--auth=trust", "--encoding=UTF8"],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    single = [program("postgres"), "--single", "-D", str(new), "postgres"]
    subprocess.run(single, input=b"CREATE DATABASE shop\n", stdout=subprocess.DEVNULL, check=True)
    new.rename(DATA)


if __name__ == "__main__":
    if not DATA.exists():
        make()
    settings = {"listen_addresses": "127.0.0.1", "port": os.environ["PORT"], "unix_socket_directories": ""}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    postgres = program("postgres")
    os.execv(postgres, [postgres, "-D", str(DATA), *options])  # noqa: S606  (so that a signal reaches it)
