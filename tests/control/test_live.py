"""The dashboard in a browser: it follows the registry without being loaded again, and nothing on it is refused."""

from pathlib import Path

import pytest

from tests.e2e.browser import page
from tests.e2e.proxy import Devproxy

pytestmark = pytest.mark.e2e


def test_a_change_shows_by_itself_and_the_policy_blocks_nothing(tmp_path: Path) -> None:
    daemon = Devproxy(tmp_path / "home")
    daemon.write("[services.app]\nport = 3000\n")
    said: list[str] = []
    try:
        daemon.start()
        with page() as browser:
            browser.on("console", lambda message: said.append(message.text))
            browser.goto(daemon.url("devproxy.localhost"))
            browser.wait_for_selector("#live:not([hidden]):not(.lost)")
            assert browser.evaluate("getComputedStyle(document.body).maxWidth") != "none"  # the style sheet is in force
            browser.evaluate("window.kept = true")
            daemon.write("[services.app]\nport = 3000\n[services.other]\nport = 3001\n")
            browser.wait_for_selector(f'a[href="http://other.localhost:{daemon.port}/"]')
            daemon.write("[services.app]\nport = 3000\nprot = 1\n")
            browser.wait_for_selector(".problems li.error")
            assert "prot" in browser.inner_text(".problems")
            assert browser.evaluate("window.kept") is True
            daemon.stop()
            browser.wait_for_selector("#live.lost")
            daemon.write("[services.back]\nport = 3000\n")
            daemon.start()
            browser.wait_for_selector(f'a[href="http://back.localhost:{daemon.port}/"]')
            browser.wait_for_selector("#live:not(.lost)")
    finally:
        daemon.kill()
    assert [text for text in said if "Content Security Policy" in text or "Error:" in text] == []
