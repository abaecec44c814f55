"""Brings the database up to date: each file of `migrations/` once, in order. `python migrate.py`."""

from pathlib import Path

import database

if __name__ == "__main__":
    database.query("CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY)")
    done = set(database.query("SELECT name FROM migrations").splitlines())
    for file in sorted((Path(__file__).parent / "migrations").glob("*.sql")):
        if file.name not in done:
            record = "INSERT INTO migrations VALUES (:'name');"
            database.query(f"BEGIN;\n{file.read_text('utf-8')}\n{record}\nCOMMIT;", name=file.name)
            print(f"migrated: {file.name}", flush=True)
