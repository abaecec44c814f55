"""A headless Chromium, driven by Playwright.

Lives here: how it is found and started. It is the one that the system has: nothing is ever downloaded.
Not here: what a test does with the page.

Chromium resolves `*.localhost` to loopback by itself, as the Fetch standard's secure contexts want it.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from tests.require import module, program
from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from playwright.sync_api import Page

Launch: TypeAlias = Callable[..., "Page"]

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def page(*rules: str, believes: bool = False) -> Iterator["Page"]:
    """A page in a browser of its own; `rules` are for `--host-resolver-rules` (`MAP evil.test 127.0.0.1`). With
    `believes` it takes any certificate: whether ours is taken is `test_trust.py`'s."""
    executable = program("chromium", "chromium-browser", "google-chrome")
    module("playwright.sync_api")
    from playwright.sync_api import sync_playwright

    flags = [*_FLAGS, *([f"--host-resolver-rules={','.join(rules)}"] if rules else [])]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags, env=dict(environment))
        try:
            context = browser.new_context(ignore_https_errors=believes)
            context.set_default_timeout(DEADLINE * 1000)
            yield context.new_page()
        finally:
            browser.close()
