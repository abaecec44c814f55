"""For every test: no proof of exposure by connecting, unless the test is on a machine of its own (a namespace); ports
that are held until it ends; at the end, what was skipped for want of what, and nothing left running."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests import ports, require
from tests.leftovers import Leftovers

# Before anything of devproxy's runs, and inherited by whatever a test starts.
os.environ["DEVPROXY_NO_PROOF"] = "1"
# Ignored where a script has started the suite with `&`, and ignored then by every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # ignored where nohup has started it, likewise
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
# A property holds or does not, however slow the machine is at the moment.
# What decides whether a change lands says the same of the same code; every other run looks for new examples.
settings.register_profile(
    "suite",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("DEVPROXY_NO_SKIP")),
)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # a worker of xdist has the mark already, and ends before the look
        config.pluginmanager.register(Leftovers(config), "leftovers")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    require.summarise(terminalreporter)


@pytest.fixture(autouse=True)
def _ports() -> Iterator[None]:
    """Set up before every other fixture, so that what they started has ended when the ports are let go."""
    yield
    ports.release()
