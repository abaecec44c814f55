"""What NSS's files and its tool say."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.tls.nss import (
    NssEntry,
    chromium_folders,
    fault,
    firefox_folders,
    listed,
    named_fingerprint,
    nickname,
    profiles,
)

BASE = Path("/home/me/.mozilla/firefox")


@pytest.mark.parametrize(
    ("ini", "found"),
    [
        (b"[Profile0]\nName=default\nIsRelative=1\nPath=abc.default\n", ["abc.default"]),
        (
            b"[Profile0]\nIsRelative=0\nPath=/data/ff\n[Profile1]\nIsRelative=1\nPath=Profiles/x\n",
            ["/data/ff", "Profiles/x"],
        ),
        (b"\xef\xbb\xbf[Profile0]\r\nIsRelative=1\r\nPath=a b\r\n", ["a b"]),
        (b"[profile0]\npath=a\n", ["a"]),
        (b"[Profile0]\n Path = a = b \n", ["a = b"]),
        (b"[Profile0]\nPath=a\n\n[Profile1]\nPath=a\n", ["a"]),
        (b"[Profile0]\nName=x\n[General]\nPath=no\n[Install4F96D1932A9F858E]\nDefault=a\nPath=no\n", []),
        (b"[Profile0]\nIsRelative=0\nPath=relative\n", []),
        (b"[Profile0]\nPath=a\x00b\n[Profile1]\nPath=\n", []),
        (b"Path=a\n", []),
        (b"", []),
        (b"\x00\xff\xfe", []),
    ],
)
def test_profiles_that_are_named(ini: bytes, found: list[str]) -> None:
    assert profiles(ini, BASE) == [BASE / path for path in found]


def test_a_path_that_is_not_utf_8_stays_the_same_bytes() -> None:
    (path,) = profiles(b"[Profile0]\nIsRelative=1\nPath=caf\xe9.default\n", BASE)
    assert os.fsencode(path) == os.fsencode(BASE) + b"/caf\xe9.default"


@given(st.binary())
def test_whatever_stands_there_profiles_are_absolute_paths(ini: bytes) -> None:
    found = profiles(b"[Profile0]\n" + ini, BASE)
    assert all(path.is_absolute() and b"\0" not in os.fsencode(path) for path in found)


@given(
    st.lists(
        st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1).filter(str.strip), unique_by=str.strip
    )
)
def test_every_profile_is_found(names: list[str]) -> None:
    ini = "".join(f"[Profile{number}]\nName=x\nIsRelative=1\nPath={name}\n\n" for number, name in enumerate(names))
    assert profiles(ini.encode(), BASE) == list(dict.fromkeys(BASE / name.strip() for name in names))


def test_what_certutil_lists() -> None:
    output = """
Certificate Nickname                                         Trust Attributes
                                                             SSL,S/MIME,JAR/XPI

devproxy root 0123456789abcdef                               C,,
my own CA, of "home"                                         CT,C,C
no trust                                                     ,,
a name that is longer than the column is wide, as there may be some u,u,u
"""
    assert listed(output) == [
        NssEntry("devproxy root 0123456789abcdef", True),
        NssEntry('my own CA, of "home"', True),
        NssEntry("no trust", False),
        NssEntry("a name that is longer than the column is wide, as there may be some", False),
    ]


@given(st.text())
def test_only_a_nickname_of_ours_bears_a_fingerprint(text: str) -> None:
    assert named_fingerprint(text) == ""
    assert named_fingerprint(nickname("0123456789abcdef" * 4)) == "0123456789abcdef"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("certutil: could not authenticate to token X.: SEC_ERROR_BAD_PASSWORD: wrong.", ("password", "terminal")),
        ("certutil: function failed: SEC_ERROR_READ_ONLY: read-only database.", ("read-only", "")),
        ("certutil: function failed: SEC_ERROR_BAD_DATABASE: bad database.", ("damaged", "close Firefox")),
        ("certutil: a failure nobody knows", ("a failure nobody knows", "close Firefox")),
        ("", ("certutil has failed", "close Firefox")),
    ],
)
def test_what_an_error_means(said: str, words: tuple[str, str]) -> None:
    found = fault(said, "Firefox")
    assert words[0] in found.why
    assert words[1] in found.fix


def test_where_databases_are() -> None:
    home = Path("/home/me")
    chromium = chromium_folders(home, {"XDG_DATA_HOME": "/data"})
    assert chromium[:3] == [home / ".pki/nssdb", Path("/data/pki/nssdb"), home / ".local/share/pki/nssdb"]
    assert home / "snap/chromium/current/.pki/nssdb" in chromium
    firefox = firefox_folders(home, {"XDG_CONFIG_HOME": "not/absolute"})
    assert firefox[:2] == [home / ".mozilla/firefox", home / ".config/mozilla/firefox"]
    assert home / "snap/firefox/common/.mozilla/firefox" in firefox
    assert home / ".var/app/org.mozilla.firefox/config/mozilla/firefox" in firefox
    assert home / ".var/app/org.mozilla.firefox/.mozilla/firefox" in firefox
