"""Every key that is accepted acts, or is warned about: no key passes in silence and does nothing.

A key that is new in the schema has to be put into the table here: where it acts, and where it is said not to.
"""

import pytest

from devproxy.problems import Problem
from devproxy.registry.decode import decode_user
from devproxy.registry.keys import keys
from devproxy.registry.merge import merge
from devproxy.registry.schema import ServiceTable
from tests.registry.merging import USER

WAYS = {
    "plain": "port = 3000\n",
    "command": 'command = "serve"\n',
    "tcp": 'port = 3000\nprotocol = "tcp"\n',
    "tcp command": 'command = "serve"\nprotocol = "tcp"\n',
    "forwarded": 'port = 3000\nprotocol = "tcp"\nlisten = "auto"\n',
    "forwarded command": 'command = "serve"\nprotocol = "tcp"\nlisten = "auto"\n',
}
HTTP = {"plain", "command"}
REQUESTS = set(WAYS) - HTTP  # what goes by requests is idle there
CLIENTS = {"tcp", "tcp command"}  # and what is about clients there
COMMANDS = {"plain", "tcp", "forwarded"}  # and what is about a command there
# Key → a value, and where it is idle or out of place. The others act everywhere.
IDLE: dict[str, tuple[str, set[str]]] = {
    "listen": ("5432", HTTP),
    "address": ('"own"', HTTP),
    "scheme": ('"postgresql"', HTTP),
    "path": ('"/shop"', HTTP),
    "cross_protocol": ('"allow"', HTTP | CLIENTS),
    "host_header": ('"upstream"', REQUESTS),
    "response_timeout": ('"5s"', REQUESTS),
    "hold": ('"5s"', CLIENTS),
    "cross_site": ('"allow"', REQUESTS),
    "redirect": ("true", REQUESTS),
    "hsts": ('"pass"', REQUESTS),
    "alt_svc": ('"pass"', REQUESTS),
    "start": ('"on-request"', CLIENTS | COMMANDS),
    "idle_stop": ('"5m"', set(WAYS)),  # without `start`
    "restart": ('"never"', COMMANDS),
    "listens": ("3001", COMMANDS),
    "env_file": ('".env"', COMMANDS),
    "ca_bundle": ("false", COMMANDS),
    "stop_signal": ('"SIGINT"', COMMANDS),
    "stop_grace": ('"5s"', COMMANDS),
    "origin_header": ('"upstream"', set(WAYS)),  # without `host_header`
    "request_headers": ('{ set = { X-A = "1" } }', REQUESTS),
    "response_headers": ('{ set = { X-A = "1" } }', REQUESTS),
    "mount": ('[{ host = "a.localhost", path = "/b" }]', REQUESTS),
    "health": ('{ status = "204" }', set(WAYS)),  # without `path`
}
ACTING = {
    "kind",
    "port",
    "upstream",
    "hosts",
    "protocol",
    "exposure",
    "other_user",
    "command",
    "cwd",
    "env",
    "env_names",
    "depends_on",
}


def test_the_table_knows_every_key() -> None:
    assert set(keys(ServiceTable)) == IDLE.keys() | ACTING


def problems(text: str) -> list[Problem]:
    return [one for one in merge(decode_user(text, USER)).problems if one.code == "does-not-apply"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", IDLE)
def test_one_that_does_nothing_is_told(name: str, way: str) -> None:
    value, idle = IDLE[name]
    base = WAYS[way].replace("port = 3000\n", "") if name in {"upstream", "listens"} else WAYS[way]
    base = base.replace('listen = "auto"\n', "") if name == "listen" else base
    base += "listen = 5432\n" if name == "address" and way in CLIENTS else ""
    base = base.replace('"auto"', "5432") if name == "address" else base
    assert problems(f"[services.a]\n{base}") == []
    found = problems(f"[services.a]\n{base}{name} = {value}\n")
    assert bool(found) == (way in idle), found
    assert all(f"`{name}" in one.message and one.fix for one in found)


def test_a_check_by_http_1_1_of_a_service_that_speaks_http_2_alone() -> None:
    service = '[services.a]\nupstream = "{}://127.0.0.1:50051"\nhealth = {{ path = "/up" }}\n'
    (found,) = problems(service.format("h2c"))
    assert (found.severity, found.message) == ("warning", "`health.path` does nothing here")
    assert problems(service.format("https")) == []


@pytest.mark.parametrize(
    "lines", ["redirect = true", 'url_scheme = "https"', "[services.a]\nport = 3000\nredirect = true"]
)
@pytest.mark.parametrize(
    ("https", "without", "code"),
    [('"off"', False, "does-not-apply"), ('"off"', True, "does-not-apply"), ("7443", True, "no-https")],
)
def test_what_leads_to_https_is_told_where_there_is_none(lines: str, https: str, without: bool, code: str) -> None:
    user = decode_user(f"[proxy]\nhttps = {https}\n{lines}\n", USER)
    (found,) = merge(user, without_https=without).problems
    assert (found.code, found.severity, found.line) == (code, "warning", 3 + lines.count("\n"))
    assert merge(decode_user(f"[proxy]\nhttps = 7443\n{lines}\n", USER)).problems == ()


def test_a_service_that_is_not_redirected_leads_nowhere() -> None:
    text = '[proxy]\nhttps = "off"\n[services.a]\nport = 3000\nredirect = false\n'
    assert merge(decode_user(text, USER), without_https=True).problems == ()


def test_of_what_listens_nowhere_no_key_about_listening_passes_in_silence() -> None:
    worker = '[services.a]\ncommand = "serve"\nkind = "worker"\n'
    assert problems(worker) == []
    for name in ("hold", "cross_site", "listens", "response_timeout"):
        assert [one.why for one in problems(f"{worker}{name} = {IDLE[name][0]}\n")] == ["a worker listens nowhere"]
    assert [one.message for one in problems('[services.a]\nport = 3000\nkind = "worker"\n')]
