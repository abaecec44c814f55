"""What the end-to-end tests share: a devproxy of their own, what they need from npm, and a browser.

Lives here: fixtures alone. What they are made of is in the modules beside this file.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e import browser as browsers
from tests.e2e import node
from tests.e2e.proxy import Devproxy


@pytest.fixture
def devproxy(tmp_path: Path) -> Iterator[Devproxy]:
    """One that is not started yet: the test writes the registry first."""
    proxy = Devproxy(tmp_path / "home")
    yield proxy
    if proxy.program is not None:
        proxy.kill()
    # pytest shows this beside a failure.
    print(f"--- {proxy.log}\n{proxy.output()[-8000:]}")


@pytest.fixture
def serve(devproxy: Devproxy) -> Callable[[str], Devproxy]:
    """Start devproxy with these services (TOML), and return it ready."""

    def start(services: str) -> Devproxy:
        devproxy.write(services)
        return devproxy.start()

    return start


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder of the pinned npm packages, installed once per checkout."""
    return node.installed()


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[browsers.Launch]:
    """A function that opens a page in a headless Chromium of its own: `chromium("MAP evil.test 127.0.0.1")`."""
    with ExitStack() as stack:
        yield lambda *rules: stack.enter_context(browsers.page(*rules))
