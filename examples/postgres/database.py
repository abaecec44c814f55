"""What `migrate.py` and `api.py` ask of the database, by `psql`: nothing has to be installed for it."""

import os
import subprocess

URL = os.environ["DATABASE_URL"]
PSQL = ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", URL]


def query(sql: str, **values: str) -> str:
    """What SQL answers; `:'name'` in it is `values["name"]`, quoted. Raises CalledProcessError."""
    given = [f"--set={name}={value}" for name, value in values.items()]
    done = subprocess.run([*PSQL, *given], input=sql, capture_output=True, text=True, check=True)
    return done.stdout.strip()
