"""`registry/resolve.py`: trust is given to commands as they stand, and to nothing else."""

import pytest

from devproxy.registry.decode import decode_user
from devproxy.registry.layers import of_project
from devproxy.registry.merge import merge
from devproxy.registry.resolve import TRUST_DIGEST_LENGTH, trust_digest
from tests.registry.merging import SHOP, USER, linked, services

FILE = """\
project = "shop"
[services.web]
command = "npm run dev"
cwd = "web"
env = { A = "1", B = "2" }
start = "on-request"
[services.api]
command = ["npm", "start"]
[services.db]
port = 5432
protocol = "tcp"
"""


def of(text: str, local: str | None = None, file: str = SHOP) -> str:
    return trust_digest(file, of_project(linked(text, local)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("npm run dev", "npm run dev; curl evil"),
        ('["npm", "start"]', '"npm start"'),
        ('cwd = "web"', 'cwd = "wed"'),
        ('A = "1"', 'A = "2"'),
        ('B = "2"', 'LD_PRELOAD = "./evil.so"'),
        ('cwd = "web"', 'cwd = "web"\nenv_file = ".env"'),
        ("[services.api]", "[services.app]"),
        ("port = 5432", 'port = 5432\ncommand = "x"'),
        ('command = ["npm", "start"]\n', ""),
    ],
)
def test_a_change_of_what_is_run_asks_again(old: str, new: str) -> None:
    changed = FILE.replace(old, new)
    assert changed != FILE
    assert of(changed) != of(FILE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("port = 5432", "port = 5433"),
        ('A = "1", B = "2"', 'B = "2", A = "1"'),
        ('start = "on-request"\n', ""),
        ("[services.db]", "# a remark\n[services.db]"),
        ('cwd = "web"', 'cwd = "web"\nport = 3000'),
    ],
)
def test_any_other_change_does_not(old: str, new: str) -> None:
    assert of(FILE.replace(old, new)) == of(FILE)


def test_a_file_of_variables_is_the_same_however_it_is_written() -> None:
    one, listed, other = (FILE.replace("cwd", f"env_file = {text}\ncwd") for text in ('".env"', '[".env"]', '"b"'))
    assert of(one) == of(listed)
    assert of(one) != of(other)


def test_the_local_file_and_the_place_count_too() -> None:
    assert of(FILE, '[services.web]\ncommand = "mine"\n') != of(FILE)
    assert of(FILE, "[services.web]\nport = 1\n") == of(FILE)
    assert of(FILE, file="/elsewhere/devproxy.toml") != of(FILE)
    assert len(of(FILE)) == TRUST_DIGEST_LENGTH


def test_who_is_trusted() -> None:
    user = decode_user('[services.app]\ncommand = "mine"\n', USER)
    registry = merge(user, [linked(FILE)])
    assert {name: one.trusted for name, one in services(registry).items()} == {
        "app": True,
        "api.shop": False,
        "db.shop": False,
        "web.shop": False,
    }
    assert [problem.code for problem in registry.problems] == ["untrusted"]
    trusted = merge(user, [linked(FILE, trusted=True)])
    assert all(one.trusted for one in trusted.services)
    assert trusted.problems == ()


def test_a_file_that_is_not_linked_is_not_asked_for_trust() -> None:
    assert merge(None, [linked(FILE)]).problems == ()
