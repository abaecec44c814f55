"""The values that say how a service is."""

import pytest

from devproxy.health.model import Condition, ServiceOwner

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
    assert Condition(state="down", dormant=True).word == "on-request"
