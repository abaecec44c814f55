"""The demo's services, by themselves."""

import urllib.request

import pytest

from devproxy.cli.demo import sample_service
from tests.waiting import DEADLINE


def test_a_sample_says_who_it_is() -> None:
    with sample_service("web") as sample:
        url = f"http://127.0.0.1:{sample.port}/"
        with urllib.request.urlopen(url, timeout=DEADLINE) as response:
            assert response.read().decode() == sample.answer(f"127.0.0.1:{sample.port}") + "\n"
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=DEADLINE)
