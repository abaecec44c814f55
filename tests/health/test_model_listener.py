"""How a listener reads."""

import pytest

from devproxy.health.model import Listener, Process


@pytest.mark.parametrize(
    ("listener", "where"),
    [
        (Listener(address="0.0.0.0", port=80, family="ipv4"), "0.0.0.0:80"),
        (Listener(address="::", port=80, family="ipv6"), "[::]:80"),
        (Listener(address="fe80::1", port=80, family="ipv6", device="eth0"), "[fe80::1%eth0]:80"),
    ],
)
def test_where(listener: Listener, where: str) -> None:
    assert listener.where == where


def test_command_is_as_a_shell_takes_it() -> None:
    process = Process(pids=(7, 8), argv=("sh", "-c", "vite --host"))
    listener = Listener(address="::1", port=80, family="ipv6", process=process)
    assert (listener.pid, listener.command) == (7, "sh -c 'vite --host'")


def test_what_is_not_known_is_none() -> None:
    listener = Listener(address="::1", port=80, family="ipv6", process=Process(gap="another user's"))
    assert (listener.pid, listener.command, listener.user) == (None, None, None)
