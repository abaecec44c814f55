"""`devproxy trust` and `untrust` on databases of real NSS, in a home of the test's own. No test here names the system's
store: that is this machine's (`tests/e2e/test_trust.py` has one of its own)."""

import json
import sqlite3
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from devproxy.cli.errors import INTERRUPTED
from devproxy.errors import Exit
from devproxy.paths import Paths
from devproxy.tls.trust_record import is_trusted
from tests import require
from tests.cli.command import Home, Result
from tests.e2e.own_etc import PROGRAM
from tests.e2e.run import OnTerminal
from tests.other_user import UID
from tests.tls.stores import new_root
from tests.waiting import wait_until

FIREFOX = ("--store", "firefox")
BOTH = ("--store", "chrome", "--store", "firefox")
PASSWORD = "correct horse"


class Browsers:
    """A person's home with databases of NSS, and `devproxy` for that person."""

    def __init__(self, home: Home):
        self.home = home
        self.user = home.folder / "user"
        self.user.mkdir()
        self.certutil = require.program("certutil")
        self.paths = Paths(home.folder / "config", home.state)

    def environment(self, **extra: str) -> dict[str, str]:
        return {"HOME": str(self.user), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", **extra}

    def devproxy(self, *argv: str, **extra: str) -> Result:
        assert {"--store", "--help", "--stdin-for"} & set(argv), "the system's store is this machine's"
        done = self.home.run(*argv, cwd=None, stdin="", **self.environment(**extra))
        assert "Traceback" not in done.err
        assert "Warning" not in done.err
        return done

    def as_user(self, *argv: str, foreign: Path, mode: int = 0o700) -> Result:
        """devproxy as a user without rights, who owns all of this but the folder `foreign`, which is root's."""
        subprocess.run(["chown", "-R", f"{UID}:{UID}", str(self.home.folder)], check=True)
        subprocess.run(["chown", "-R", "0:0", str(foreign)], check=True)
        foreign.chmod(mode)
        user = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"]
        env = {**self.home.environment(), **self.environment()}
        trial = [*user, sys.executable, "-c", "import devproxy.cli.app, msgspec"]
        if subprocess.run(trial, env=env, cwd=self.user, capture_output=True, check=False).returncode:
            require.missing("a Python that other users may run")
        words = [*user, *PROGRAM, *argv]
        done = subprocess.run(words, env=env, cwd=self.user, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def database(self, path: str, password: str = "") -> Path:
        folder = self.user / path
        folder.mkdir(parents=True)
        file = self.user / "password"
        file.write_text(password)
        given = ["-f", str(file)] if password else ["--empty-password"]
        self.tool("-N", *given, folder=folder)
        return folder

    def firefox(self, *names: str, base: str = ".mozilla/firefox") -> list[Path]:
        """Profiles, and the profiles.ini that names them."""
        made = [self.database(f"{base}/{name}") for name in names]
        sections = (f"[Profile{number}]\nIsRelative=1\nPath={name}\n" for number, name in enumerate(names))
        (self.user / base / "profiles.ini").write_text("\n".join(sections))
        return made

    def tool(self, *argv: str, folder: Path, stdin: bytes = b"") -> str:
        words = [self.certutil, argv[0], "-d", f"sql:{folder}", *argv[1:]]
        return subprocess.run(words, input=stdin, capture_output=True, check=True).stdout.decode()

    def listing(self, folder: Path) -> list[str]:
        """Each certificate, with its trust."""
        return sorted(line for line in self.tool("-L", folder=folder).splitlines()[4:] if line)

    def rows(self, *argv: str) -> list[dict[str, Any]]:
        stores: list[dict[str, Any]] = json.loads(self.devproxy(*argv, "--json").out)["stores"]
        return stores


@pytest.fixture
def browsers(home: Home) -> Browsers:
    return Browsers(home)


@pytest.fixture
def shared() -> Iterator[Browsers]:
    """In a folder that other users may enter, for `as_user`."""
    require.root()
    require.program("setpriv")
    with tempfile.TemporaryDirectory(prefix="devproxy-trust-") as folder:
        Path(folder).chmod(0o755)
        home = Home(Path(folder, "home"))
        home.folder.mkdir(mode=0o700)
        yield Browsers(home)


def test_every_profile_is_trusted_and_left_as_it_was(browsers: Browsers) -> None:
    """In each place that Firefox may have, named or in a group beside those that are; another CA is left alone."""
    places = (
        *(".mozilla/firefox", ".config/mozilla/firefox", "snap/firefox/common/.mozilla/firefox"),
        *(".var/app/org.mozilla.firefox/.mozilla/firefox", ".var/app/org.mozilla.firefox/config/mozilla/firefox"),
    )
    profiles = [profile for base in places for profile in browsers.firefox("a.default", base=base)]
    profiles.append(browsers.database(f"{places[0]}/b.of-a-group"))
    profiles.append(browsers.database("elsewhere/caf\xe9"))
    ini = browsers.user / places[0] / "profiles.ini"
    ini.write_text(ini.read_text() + f"\n[Profile7]\nIsRelative=0\nPath={profiles[-1]}\n")
    other = new_root()
    for profile in profiles:
        browsers.tool("-A", "-n", "devproxy's friend", "-t", "CT,C,", folder=profile, stdin=other.pem)
    before = [browsers.listing(profile) for profile in profiles]
    done = browsers.devproxy("trust", *FIREFOX)
    assert done.code == Exit.GOOD, done.err
    for profile, had in zip(profiles, before, strict=True):
        (new,) = set(browsers.listing(profile)) - set(had)
        assert new.startswith("devproxy root ")
        assert new.endswith("C,,  ")
    assert is_trusted(browsers.paths, ["localhost"])
    assert browsers.devproxy("trust", "--check", *FIREFOX).code == Exit.GOOD
    again = browsers.devproxy("trust", *FIREFOX)
    assert (again.code, "certutil" in again.out) == (Exit.GOOD, False)
    done = browsers.devproxy("untrust", *FIREFOX)
    assert done.code == Exit.GOOD, done.err
    assert [browsers.listing(profile) for profile in profiles] == before
    assert not is_trusted(browsers.paths, ["localhost"])
    assert "nothing to do" in browsers.devproxy("untrust", *FIREFOX).out


def test_a_dry_run_does_nothing(browsers: Browsers) -> None:
    (profile,) = browsers.firefox("a")
    for command in ("trust", "untrust"):
        done = browsers.devproxy(command, "--dry-run", "--store", "firefox", "--store", "chrome")
        assert done.code == Exit.GOOD, done.err
    done = browsers.devproxy("trust", "--dry-run", "--store", "firefox", "--store", "chrome")
    assert "make a local CA for *.localhost" in done.out
    assert f"firefox: ~/{profile.relative_to(browsers.user)}\n  certutil: add it\n" in done.out
    assert not browsers.paths.authorities.exists()
    assert browsers.listing(profile) == []
    assert not (browsers.user / ".pki").exists()


def test_a_dry_run_says_what_it_cannot_do_and_that_there_is_nothing_to_do(browsers: Browsers) -> None:
    assert "there is no store of this kind" in browsers.devproxy("trust", "--dry-run", *FIREFOX).err
    browsers.firefox("a")
    assert browsers.devproxy("trust", *FIREFOX).code == Exit.GOOD
    for way in ((), ("--dry-run",)):
        assert "nothing to do: every store has it" in browsers.devproxy("trust", *way, *FIREFOX).out
    tools = browsers.home.folder / "bin"
    tools.mkdir()
    for command in ("trust", "untrust"):
        done = browsers.devproxy(command, "--dry-run", *FIREFOX, PATH=str(tools))
        if "certutil" not in done.err:
            require.missing("a certutil that is only in PATH")
        assert (done.code, "fix: " in done.err) == (Exit.GOOD, True)
    assert browsers.devproxy("untrust", *FIREFOX).code == Exit.GOOD


def test_a_database_for_chromium_is_made_and_taken_away(browsers: Browsers) -> None:
    assert browsers.devproxy("trust", "--store", "chrome").code == Exit.GOOD
    folder = browsers.user / ".pki/nssdb"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(browsers.listing(folder)) == 1
    assert browsers.devproxy("trust", "--store", "chrome").code == Exit.GOOD  # which must not forget who has made it
    assert browsers.devproxy("untrust", *BOTH).code == Exit.GOOD
    assert not (browsers.user / ".pki").exists()


def test_a_database_that_somebody_has_used_stays(browsers: Browsers) -> None:
    assert browsers.devproxy("trust", "--store", "chrome").code == Exit.GOOD
    folder = browsers.user / ".pki/nssdb"
    browsers.tool("-A", "-n", "mine", "-t", "CT,C,", folder=folder, stdin=new_root().pem)
    assert browsers.devproxy("untrust", *BOTH).code == Exit.GOOD
    assert [line.split()[0] for line in browsers.listing(folder)] == ["mine"]


def test_one_failing_store_does_not_stop_the_next(browsers: Browsers) -> None:
    """A damaged one, and one that another program has locked; the others are trusted, and the exit code is 1."""
    damaged, locked, good = browsers.firefox("a", "b", "c")
    (damaged / "cert9.db").write_bytes(b"nothing that SQLite knows" * 100)
    with locking(locked):
        done = browsers.devproxy("trust", *FIREFOX)
    assert done.code == Exit.BAD_NEWS
    assert len(browsers.listing(good)) == 1
    for folder in (damaged, locked):
        assert str(folder) in done.err
    assert "damaged, or another program has locked it" in done.err
    assert "fix: close Firefox and try again" in done.err
    assert is_trusted(browsers.paths, ["localhost"])
    states = {Path(row["place"]).name: row["state"] for row in browsers.rows("trust", "--check", *FIREFOX)}
    assert states == {"a": "unusable", "b": "missing", "c": "trusted"}
    assert browsers.devproxy("trust", "--check", *FIREFOX).code == Exit.BAD_NEWS
    assert browsers.devproxy("untrust", *BOTH).code == Exit.GOOD  # nothing of ours is in what cannot be read
    assert browsers.listing(good) == []


@contextmanager
def locking(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / "cert9.db", isolation_level=None)) as database:
        database.execute("begin exclusive")
        yield


def test_a_primary_password_without_a_terminal(browsers: Browsers) -> None:
    """certutil adds the certificate before it fails to trust it: that must not stay."""
    profile = browsers.database(".mozilla/firefox/a", PASSWORD)
    (browsers.user / ".mozilla/firefox/profiles.ini").write_text("[Profile0]\nPath=a\n")
    done = browsers.devproxy("trust", *FIREFOX)
    assert done.code == Exit.BAD_NEWS
    assert "the primary password of Firefox" in done.err
    assert browsers.listing(profile) == []


@pytest.mark.parametrize("typed", [PASSWORD, "wrong"])
def test_a_primary_password_is_asked_for_on_a_terminal(browsers: Browsers, typed: str) -> None:
    profile = browsers.database(".mozilla/firefox/a", PASSWORD)
    (browsers.user / ".mozilla/firefox/profiles.ini").write_text("[Profile0]\nPath=a\n")
    env = {**browsers.home.environment(), **browsers.environment()}
    argv = [*PROGRAM, "trust", "--store", "chrome", *FIREFOX]
    terminal = OnTerminal(argv, cwd=browsers.home.folder, env=env)
    try:
        terminal.wait_seen("has a password, which certutil asks for")
        terminal.wait_seen("Enter Password or Pin")
        wait_until(lambda: not termios.tcgetattr(terminal.master)[3] & termios.ECHO, "certutil to read a password")
        terminal.type(f"{typed}\r")
        is_right = typed == PASSWORD
        if not is_right:  # certutil asks again and again
            terminal.wait_seen("Enter Password or Pin")
            terminal.type("\x03")
        assert terminal.wait() == (Exit.GOOD if is_right else INTERRUPTED)
    finally:
        terminal.close()
    assert [line.endswith("C,,  ") for line in browsers.listing(profile)] == ([True] if is_right else [])
    assert len(browsers.listing(browsers.user / ".pki/nssdb")) == 1
    # taking it out needs no password
    assert browsers.devproxy("untrust", *BOTH).code == Exit.GOOD
    assert browsers.listing(profile) == []
    assert not (browsers.user / ".pki").exists()


def test_a_read_only_database(shared: Browsers) -> None:
    (profile,) = shared.firefox("a")
    for file in profile.iterdir():
        file.chmod(0o644)
    done = shared.as_user("trust", *FIREFOX, foreign=profile, mode=0o755)
    assert done.code == Exit.BAD_NEWS, done.err
    assert "the database is read-only" in done.err
    assert shared.listing(profile) == []


def test_profiles_that_cannot_be_looked_at_are_passed_over(shared: Browsers) -> None:
    """In another user's folder, on a disk that is not there, and a file where a folder should be."""
    (good,) = shared.firefox("a")
    locked = shared.database("locked/b")
    (shared.user / "file").touch()
    ini = shared.user / ".mozilla/firefox/profiles.ini"
    others = (locked, shared.user / "gone", shared.user / "file")
    sections = (f"[Profile{number}]\nIsRelative=0\nPath={path}\n" for number, path in enumerate(others, 1))
    ini.write_text(ini.read_text() + "\n" + "\n".join(sections))
    done = shared.as_user("trust", *FIREFOX, foreign=locked.parent)
    assert done.code == Exit.GOOD, done.err
    assert [len(shared.listing(profile)) for profile in (good, locked)] == [1, 0]


def test_a_missing_certutil_is_told(browsers: Browsers) -> None:
    browsers.firefox("a")
    tools = browsers.home.folder / "bin"
    tools.mkdir()
    done = browsers.devproxy("trust", *FIREFOX, PATH=str(tools))
    if "certutil" not in done.err:
        require.missing("a certutil that is only in PATH")
    assert done.code == Exit.BAD_NEWS
    assert "is not installed" in done.err


def test_what_a_store_holds_is_not_forgotten_while_it_cannot_be_looked_at(browsers: Browsers) -> None:
    (profile,) = browsers.firefox("a")
    assert browsers.devproxy("trust", *FIREFOX).code == Exit.GOOD
    tools = browsers.home.folder / "bin"
    tools.mkdir()
    if browsers.devproxy("trust", *FIREFOX, PATH=str(tools)).code == Exit.GOOD:
        require.missing("a certutil that is only in PATH")
    assert is_trusted(browsers.paths, ["localhost"])
    done = browsers.devproxy("untrust", *FIREFOX, PATH=str(tools))
    assert (done.code, "is not installed" in done.err) == (Exit.BAD_NEWS, True)
    assert browsers.devproxy("untrust", *FIREFOX).code == Exit.GOOD
    assert browsers.listing(profile) == []


@pytest.mark.parametrize("is_there", [True, False])
def test_a_ca_whose_key_others_may_have_read_or_that_has_none_is_not_trusted(
    browsers: Browsers, is_there: bool
) -> None:
    (profile,) = browsers.firefox("a")
    assert browsers.devproxy("trust", *BOTH).code == Exit.GOOD
    assert browsers.devproxy("untrust", *BOTH).code == Exit.GOOD
    (key,) = browsers.paths.authorities.glob("*/intermediate.key")
    key.chmod(0o640) if is_there else key.unlink()
    for way in ((), ("--check",), ("--dry-run",)):
        done = browsers.devproxy("trust", *way, *FIREFOX)
        assert (done.code, done.out) == (Exit.REFUSED if is_there else Exit.BAD_NEWS, "")
        assert ("is not private" if is_there else "is missing") in done.err
    assert browsers.listing(profile) == []


def test_roots_of_earlier_cas_go_too(browsers: Browsers) -> None:
    """Known by the record where the CA is gone, by the nickname where all is gone, and where somebody has imported our
    root by hand; a nickname that lies is not believed."""
    (profile,) = browsers.firefox("a")
    assert browsers.devproxy("trust", *FIREFOX).code == Exit.GOOD
    (folder,) = (entry for entry in browsers.paths.authorities.iterdir() if entry.is_dir())
    folder.rename(browsers.home.folder / "away")
    older, liar, by_hand = new_root(), new_root(), new_root()
    name = f"devproxy root {older.fingerprint[:16]}"
    browsers.tool("-A", "-n", name, "-t", "C,,", folder=profile, stdin=older.pem)
    browsers.tool("-A", "-n", f"devproxy root {'0' * 16}", "-t", "C,,", folder=profile, stdin=liar.pem)
    browsers.tool("-A", "-n", "by hand", "-t", "C,,", folder=profile, stdin=by_hand.pem)
    assert browsers.devproxy("trust", *FIREFOX).code == Exit.GOOD
    assert len(browsers.listing(profile)) == 5
    assert browsers.devproxy("untrust", *BOTH).code == Exit.GOOD
    names = [line.split("  ")[0] for line in browsers.listing(profile)]
    assert names == ["by hand", f"devproxy root {'0' * 16}"]


def test_a_tld_that_is_added_later_needs_trust_again(browsers: Browsers) -> None:
    (profile,) = browsers.firefox("a")
    assert browsers.devproxy("trust", *FIREFOX).code == Exit.GOOD
    browsers.home.write('[proxy]\ntlds = ["localhost", "test"]\n')
    assert not is_trusted(browsers.paths, ["localhost", "test"])
    done = browsers.devproxy("trust", "--check", *FIREFOX)
    assert done.code == Exit.BAD_NEWS
    assert "no CA is for *.test yet: devproxy trust" in done.err
    done = browsers.devproxy("trust", *FIREFOX)
    assert done.code == Exit.GOOD, done.err
    assert "has a CA of its own" in done.err
    assert is_trusted(browsers.paths, ["localhost", "test"])
    assert len(browsers.listing(profile)) == 2
    assert browsers.devproxy("untrust", *BOTH).code == Exit.GOOD
    assert browsers.listing(profile) == []


def test_delete_takes_the_ca_away(browsers: Browsers) -> None:
    (profile,) = browsers.firefox("a")
    assert browsers.devproxy("trust", *FIREFOX).code == Exit.GOOD
    first = json.loads(browsers.paths.trusted.read_text())["roots"]
    done = browsers.devproxy("untrust", "--delete", "--store", "chrome")
    assert (done.code, "still trusted by: firefox" in done.err) == (Exit.BAD_NEWS, True)
    assert browsers.paths.authorities.exists()
    assert browsers.devproxy("untrust", "--delete", *BOTH).code == Exit.GOOD
    assert not browsers.paths.authorities.exists()
    assert browsers.listing(profile) == []
    assert browsers.devproxy("trust", *FIREFOX).code == Exit.GOOD
    assert json.loads(browsers.paths.trusted.read_text())["roots"] != first


def test_a_ca_that_a_store_may_still_trust_is_not_deleted(browsers: Browsers) -> None:
    (profile,) = browsers.firefox("a")
    assert browsers.devproxy("trust", *FIREFOX).code == Exit.GOOD
    with locking(profile):
        done = browsers.devproxy("untrust", "--delete", *BOTH)
    assert done.code == Exit.BAD_NEWS
    assert "still trusted by: firefox" in done.err
    assert is_trusted(browsers.paths, ["localhost"])
    assert browsers.devproxy("untrust", "--delete", *BOTH).code == Exit.GOOD
    assert browsers.listing(profile) == []


def test_a_damaged_ca_does_not_keep_its_root_in_the_stores(browsers: Browsers) -> None:
    (profile,) = browsers.firefox("a")
    assert browsers.devproxy("trust", *FIREFOX).code == Exit.GOOD
    (folder,) = (entry for entry in browsers.paths.authorities.iterdir() if entry.is_dir())
    (folder / "root.pem").write_text("damaged")
    assert browsers.devproxy("trust", *FIREFOX).code == Exit.BAD_NEWS
    assert browsers.devproxy("untrust", *BOTH).code == Exit.GOOD
    assert browsers.listing(profile) == []


def test_json(browsers: Browsers) -> None:
    (profile,) = browsers.firefox("a")
    done = browsers.devproxy("trust", "--json", *FIREFOX)
    assert done.code == Exit.GOOD
    shown = json.loads(done.out)
    (root,) = shown["roots"]
    assert Path(root["file"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert (root["tlds"], root["current"], shown["without_root"]) == (["localhost"], True, [])
    (store,) = shown["stores"]
    assert (store["kind"], store["place"], store["state"], store["error"]) == ("firefox", str(profile), "trusted", None)
    assert [held["fingerprint"] for held in store["held"]] == [root["fingerprint"]]
    assert store["steps"] == ["certutil: add it"]
    (store,) = json.loads(browsers.devproxy("untrust", "--json", *FIREFOX).out)["stores"]
    assert store["steps"] == ["certutil: remove it"]


@pytest.mark.parametrize(
    "argv",
    [
        ("trust", "--store", "nothing"),
        ("trust", "--store", "keychain"),
        ("untrust", "--store", "windows", "--store", "keychain"),
        ("trust", "--check", "--dry-run", *FIREFOX),
        ("trust", "--stdin-for", "me"),
        ("trust", "--stdin-for", "../me"),
        ("untrust", "--stdin-for", "me"),
    ],
)
def test_wrong_usage(browsers: Browsers, argv: tuple[str, ...]) -> None:
    done = browsers.devproxy(*argv)
    assert done.code == Exit.USAGE, done.err
    assert not browsers.paths.authorities.exists()


@pytest.mark.parametrize("columns", ["80"])
def test_what_is_said_fits_a_narrow_terminal(browsers: Browsers, columns: str) -> None:
    browsers.firefox("abcd1234.default-release")
    for argv in (("trust", "--help"), ("untrust", "--help"), ("trust", *FIREFOX), ("trust", "--check", *FIREFOX)):
        done = browsers.devproxy(*argv, COLUMNS=columns)
        assert [line for line in done.out.splitlines() if len(line) > 80] == []


def test_root_by_sudo_has_no_ca_of_its_own(browsers: Browsers) -> None:
    require.root()
    done = browsers.devproxy("trust", *FIREFOX, SUDO_UID=str(UID))
    assert done.code == Exit.REFUSED
    assert "without sudo" in done.err
    assert not browsers.paths.authorities.exists()
    assert [entry.name for entry in browsers.home.folder.iterdir()] == ["user"]
