"""`registry/edit.py`: trust of a link, in every layout that a person may have given it."""

import tomllib

import pytest

from devproxy.errors import DevproxyError
from devproxy.registry.edit import trust_project

OLD, NEW = "0" * 64, "1" * 64


@pytest.mark.parametrize(
    "text",
    [
        '[projects.shop] # mine\npath = "/a" # where\n',
        '[projects.shop]\npath = "/a"',
        '[projects.shop]\r\npath = "/a"\r\n',
        f'[projects.shop]\ntrust = "{OLD}" # what\n# between\npath = "/a"\n\n[projects.b]\npath = "/b"\n',
        f'[projects.shop]\npath = "/a"\ntrust = "{OLD}"',
        '[projects]\nshop.path = "/a"\n',
        '[projects]\nshop = { path = "/a" }\n',
        'projects = { shop = { path = "/a" }, b = { path = "/b" } }\n',
        'projects.shop.path = "/a"\n[services.web]\nport = 1\n',
        "[projects.'shop']\n\npath = '/a'\n\n# next\n[services.web]\nport = 1\n",
    ],
)
def test_it_is_written_and_taken_out_and_nothing_else_changes(text: str) -> None:
    trusted = trust_project(text, "shop", NEW)
    expected = tomllib.loads(text)
    expected["projects"]["shop"]["trust"] = NEW
    assert tomllib.loads(trusted) == expected
    assert trust_project(trusted, "shop", NEW) == trusted
    for remark in ("# mine", "# where", "# between", "# next"):
        assert (remark in text) == (remark in trusted)
    plain = trust_project(trusted, "shop", "")
    del expected["projects"]["shop"]["trust"]
    assert tomllib.loads(plain) == expected
    assert trust_project(plain, "shop", "") == plain


def test_what_is_not_toml_is_left_alone() -> None:
    with pytest.raises(DevproxyError, match="not valid TOML"):
        trust_project("[projects.shop", "shop", NEW)
