"""The values of health: how a condition, an owner, a listener reads."""

import pytest

from devproxy.health.model import Condition, Listener, Process, ServiceOwner

VITE = ServiceOwner("Vite", "/shop", "anna")


@pytest.mark.parametrize(
    "other",
    [
        VITE,
        ServiceOwner("Vite", "/shop"),
        ServiceOwner("Vite", "", "anna"),
        ServiceOwner("Vite"),
        ServiceOwner("", "/shop", "anna"),
    ],
    ids=["equal", "no user", "no folder", "program alone", "no program"],
)
def test_what_is_not_known_does_not_count(other: ServiceOwner) -> None:
    assert VITE.is_same(other)
    assert other.is_same(VITE)


@pytest.mark.parametrize(
    "other", [ServiceOwner("Next.js", "/shop", "anna"), ServiceOwner("Vite", "/blog"), ServiceOwner("Vite", "", "bob")]
)
def test_what_is_known_does(other: ServiceOwner) -> None:
    assert not VITE.is_same(other)
    assert not other.is_same(VITE)


@pytest.mark.parametrize(
    ("owner", "text"),
    [(VITE, "Vite in /shop (anna)"), (ServiceOwner("Vite"), "Vite"), (ServiceOwner("", "/x"), "a process in /x")],
)
def test_as_a_person_reads_it(owner: ServiceOwner, text: str) -> None:
    assert owner.text == text


def test_what_is_dormant_is_not_shown_as_down() -> None:
    assert Condition(state="down").word == "down"
    assert Condition(state="stopped").word == "stopped"
    assert Condition(state="stopped", dormant=True).word == "on-request"
    assert Condition(state="failed", dormant=True).word == "failed"


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
