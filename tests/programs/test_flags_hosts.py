"""One entry for Vite that covers every name, a list for Rails, and never a whole top-level domain."""

import pytest

from devproxy.programs.flags import RAILS, VITE, variables


@pytest.mark.parametrize(
    ("names", "vite", "rails"),
    [
        (["web.shop.localhost"], "web.shop.localhost", None),
        (["web.shop.localhost", "shop.localhost"], ".shop.localhost", None),
        (["web.shop.localhost", "web.localhost"], "web.shop.localhost", None),
        (["web.shop.test", "*.shop.test"], ".shop.test", None),
        (["*.shop.internal"], ".shop.internal", ".shop.internal"),
        (["a.internal", "b.localhost"], "a.internal", "a.internal"),
    ],
)
def test_what_is_set(names: list[str], vite: str, rails: str | None) -> None:
    expected = {VITE: vite} if rails is None else {VITE: vite, RAILS: rails}
    assert dict(variables(names)) == expected


def test_without_names_nothing_is_set() -> None:
    assert variables([]) == ()
