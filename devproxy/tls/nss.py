"""NSS, the library that Chromium and Firefox keep their certificates with on Linux: what its files and tool say.

Lives here: where databases are, the profiles that `profiles.ini` names, what `certutil` prints, and what its errors
mean. All pure: bytes and text in, values out.

- Chromium reads one database a user. Since version 146 it is in `$XDG_DATA_HOME/pki/nssdb`; a folder `~/.pki/nssdb`
  still goes before it, and is all that older versions know.
- Firefox has one a profile. Since version 147 the profiles are in `$XDG_CONFIG_HOME/mozilla/firefox`, unless
  `~/.mozilla/firefox` is there. Packages of snap and flatpak have a home of their own.
- `certutil -L` prints a nickname and three groups of trust flags: `C` in the first is an authority for TLS servers.

Not here: running `certutil` (`trusting.py`), the steps that it takes (`trust_stores.py`).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

DATABASE: Final = "cert9.db"
TRUST: Final = "C,,"  # an authority for TLS servers, and for nothing else

# Every program that is a Chromium, by what it is called.
CHROMIUMS: Final = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "google-chrome-beta"),
    *("microsoft-edge", "microsoft-edge-stable", "brave-browser", "brave", "vivaldi", "opera"),
)
_CHROMIUM_PACKAGES: Final = (
    *("snap/chromium/current/.pki/nssdb", "snap/chromium/current/.local/share/pki/nssdb"),
    *(".var/app/org.chromium.Chromium/.pki/nssdb", ".var/app/org.chromium.Chromium/data/pki/nssdb"),
    *(".var/app/com.google.Chrome/.pki/nssdb", ".var/app/com.google.Chrome/data/pki/nssdb"),
)
_FIREFOX_PACKAGES: Final = (
    *("snap/firefox/common/.mozilla/firefox", "snap/firefox/common/.config/mozilla/firefox"),
    "snap/firefox/current/.config/mozilla/firefox",
    *(".var/app/org.mozilla.firefox/.mozilla/firefox", ".var/app/org.mozilla.firefox/config/mozilla/firefox"),
)

_SECTION: Final = re.compile(r"\[(.*)\]")
_PROFILE: Final = re.compile(r"profile\d+", re.IGNORECASE)
_LISTED: Final = re.compile(r"(?P<nickname>\S.*?)\s+(?P<trust>[A-Za-z]*,[A-Za-z]*,[A-Za-z]*)\s*")
_NICKNAME: Final = re.compile("devproxy root ([0-9a-f]{16})")


class NssDatabase(NamedTuple):
    """A folder with a database; `is_new` where there is none yet and one is to be made."""

    folder: Path
    is_new: bool = False


class NssEntry(NamedTuple):
    """A line of `certutil -L`."""

    nickname: str
    is_authority: bool


def chromium_folders(home: Path, variables: Mapping[str, str]) -> list[Path]:
    """Where Chromium may keep its database, the place that goes before the others first."""
    own = _xdg(home, variables, "XDG_DATA_HOME", ".local/share")
    places = [home / ".pki/nssdb", *(base / "pki/nssdb" for base in own), *(home / one for one in _CHROMIUM_PACKAGES)]
    return list(dict.fromkeys(places))


def firefox_folders(home: Path, variables: Mapping[str, str]) -> list[Path]:
    """Where Firefox may keep its `profiles.ini`."""
    own = _xdg(home, variables, "XDG_CONFIG_HOME", ".config")
    bases = [
        home / ".mozilla/firefox",
        *(base / "mozilla/firefox" for base in own),
        *(home / one for one in _FIREFOX_PACKAGES),
    ]
    return list(dict.fromkeys(bases))


def _xdg(home: Path, variables: Mapping[str, str], name: str, default: str) -> Iterator[Path]:
    """What a program that was started from a shell is told, and what one from the desktop may not be."""
    if (told := Path(variables.get(name, ""))).is_absolute():
        yield told
    yield home / default


def profiles(ini: bytes, folder: Path) -> list[Path]:
    """The folder of each profile that a `profiles.ini` in `folder` names. Whatever is no profile is passed over; bytes
    that are not UTF-8 stay what they are in a path."""
    found: dict[Path, None] = {}
    for values in _sections(ini.decode("utf-8-sig", "surrogateescape")):
        path = values.get("path", "")
        if path and "\0" not in path:
            # Joined to an absolute path, a folder goes away: what IsRelative says is what the path looks like.
            found[folder / path if values.get("isrelative", "1") != "0" else Path(path)] = None
    return [path for path in found if path.is_absolute()]


def _sections(text: str) -> Iterator[dict[str, str]]:
    """The keys, in lower case, of each section that is a profile."""
    values: dict[str, str] | None = None
    for line in re.split(r"\r\n|\r|\n", text):
        section = _SECTION.fullmatch(line.strip())
        if section is not None:
            if values is not None:
                yield values
            values = {} if _PROFILE.fullmatch(section[1].strip()) else None
            continue
        key, equals, value = line.partition("=")
        if values is not None and equals:
            values.setdefault(key.strip().lower(), value.strip())
    if values is not None:
        yield values


def nickname(fingerprint: str) -> str:
    """What a root of ours is called in a database."""
    return f"devproxy root {fingerprint[:16]}"


def named_fingerprint(entry: str) -> str:
    """The beginning of the fingerprint that a nickname of ours bears; "" where it is none."""
    found = _NICKNAME.fullmatch(entry)
    return found[1] if found else ""


def listed(output: str) -> list[NssEntry]:
    """What `certutil -L` has printed."""
    lines = (_LISTED.fullmatch(line) for line in output.splitlines())
    return [NssEntry(line["nickname"], "C" in line["trust"].partition(",")[0]) for line in lines if line]


def needs_password(said: str) -> bool:
    """Whether `certutil` has failed because the database has a password, which it was not given."""
    return "SEC_ERROR_BAD_PASSWORD" in said or "could not authenticate" in said


class NssFault(NamedTuple):
    """What an error of `certutil`'s means, and what is to be done."""

    why: str
    fix: str


def fault(said: str, program: str) -> NssFault:
    """What `certutil` means by what it said of the database of `program`."""
    if needs_password(said):
        return NssFault(
            "the database has a password, and none or a wrong one was given",
            f"run it in a terminal, where certutil asks for it: the primary password of {program}",
        )
    if "SEC_ERROR_READ_ONLY" in said:
        return NssFault("the database is read-only", "see whose it is, and whether its disk may be written")
    if "SEC_ERROR_BAD_DATABASE" in said or "CKR_GENERAL_ERROR" in said:
        return NssFault("the database is damaged, or another program has locked it", f"close {program} and try again")
    return NssFault(_last_line(said) or "certutil has failed", f"close {program} and try again")


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].removeprefix("certutil: ") if lines else ""
