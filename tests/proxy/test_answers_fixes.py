"""What mends it that a service does not run, in one line."""

import pytest

from devproxy.proxy import answers
from tests.proxy.values import service

ON_REQUEST = {"start": "on-request", "command": "make serve"}


def test_how_it_is_started() -> None:
    assert answers.start(service(command="npm run dev")) == "start it: devproxy up web"
    assert answers.start(service("web.shop", command=("npm", "run", "a b"))) == "start it: devproxy up web.shop"
    assert answers.start(service()) == "start it, or correct its port: /team/devproxy.toml:7"
    assert answers.start(service(**ON_REQUEST, trusted=True)) == "start it: devproxy up web"


def test_how_it_gets_a_port() -> None:
    assert (
        answers.give_port(service("web.shop")) == "give it one: port = 3000 under [services.web], /team/devproxy.toml:7"
    )
    assert answers.give_port(service("web.shop", command="npm run dev")) == "start it: devproxy up web.shop"


def test_without_up_its_command_is_what_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    assert answers.start(service(command=("npm", "run", "a b"))) == "start it: npm run 'a b'"


@pytest.mark.parametrize("fix", [answers.start, answers.give_port])
def test_one_that_waits_for_trust_says_how_to_trust_it(fix: object) -> None:
    assert callable(fix)
    assert fix(service(**ON_REQUEST)) == (
        "its first request may start it once its commands are trusted: devproxy link --trust /team/devproxy.toml"
    )


def test_a_local_file_is_linked_by_the_one_beside_it_and_a_shell_can_read_the_path() -> None:
    from devproxy.registry.model import Source

    found = service(source=Source("/my team/devproxy.local.toml", 1), **ON_REQUEST)
    assert answers.trust(found).endswith(": devproxy link --trust '/my team/devproxy.toml'")


def test_a_name_that_devproxy_run_alone_has_is_mended_in_its_terminal() -> None:
    found = answers.start(service(leased=True))
    assert "terminal of its devproxy run" in found
    assert "/team/devproxy.toml" not in found
