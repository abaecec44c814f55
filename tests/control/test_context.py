"""What the pages may see of the daemon."""

import dataclasses

import msgspec

from devproxy.registry.model import ProxySettings
from tests.control.sample import Pages


def test_our_names_follow_the_top_level_domains() -> None:
    pages = Pages()
    view = pages.view()
    assert view.hosts() == {"devproxy.localhost"}
    pages.registry = msgspec.structs.replace(pages.registry, settings=ProxySettings(tlds=("localhost", "test")))
    assert view.hosts() == {"devproxy.localhost", "devproxy.test"}


def test_status_is_json_and_says_where_everything_is() -> None:
    status = msgspec.json.decode(msgspec.json.encode(Pages().view().status()))
    assert (status["config"], status["state"]) == ("/c", "/s")
    assert status["https"] is None
    assert status["last_event"] == 0


def test_answers_are_counted_by_class() -> None:
    counted = {"": {404: 2}, "web": {200: 3, 204: 1, 502: 1, 0: 4}}
    found = dataclasses.replace(Pages().view(), answers=lambda: counted).status()
    assert found["answers"] == {"2xx": 4, "4xx": 2, "5xx": 1, "cut": 4}
