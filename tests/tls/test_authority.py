"""Local certificate authorities: what is made, kept, refused and replaced."""

import datetime as dt
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from devproxy.errors import DevproxyError, Exit
from devproxy.storage import files
from devproxy.tls.authority import MOST_LEAVES, Authority, AuthorityStore, announcement
from tests import require
from tests.waiting import DEADLINE

NOW = dt.datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
LONG = ".".join([*["a" * 63] * 3, "shop", "localhost"])  # 206 characters


def made(folder: Path, *tlds: str, now: dt.datetime = NOW) -> Authority:
    """The newest authority."""
    return AuthorityStore(folder).ensure(tlds or ("localhost",), now)[-1]


def certificate(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def leaf_of(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates(file.read_bytes())[0]


# What stands in the certificates


@pytest.mark.parametrize(("file", "path_length"), [("root.pem", 1), ("intermediate.pem", 0)])
def test_both_ca_certificates_are_limited_to_our_names_and_loopback(
    tmp_path: Path, file: str, path_length: int
) -> None:
    authority = made(tmp_path / "ca", "localhost", "test")
    ca = certificate((authority.folder / file).read_bytes())
    constraints = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.excluded_subtrees is None
    assert [str(name.value) for name in constraints.value.permitted_subtrees or ()] == [
        *("localhost", "test"),
        *("127.0.0.0/8", "::1/128"),
    ]
    basic = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, path_length)
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature) == (True, True, False)
    assert 3650 * DAY <= ca.not_valid_after_utc - ca.not_valid_before_utc < 3660 * DAY
    assert ca.not_valid_before_utc <= NOW - 7 * DAY


def test_what_the_key_on_the_disk_signs_is_for_servers_alone(tmp_path: Path) -> None:
    ca = certificate((made(tmp_path / "ca").folder / "intermediate.pem").read_bytes())
    usage = ca.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


@pytest.mark.parametrize("hostname", ["web.shop.localhost", "fix-ui.web.shop.localhost", "my_app.localhost", LONG])
def test_a_leaf_has_one_name_and_nothing_that_is_not_needed(tmp_path: Path, hostname: str) -> None:
    authority = made(tmp_path / "ca")
    file = authority.issue(hostname, NOW)
    leaf, intermediate = x509.load_pem_x509_certificates(file.read_bytes())
    assert list(leaf.subject) == []
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical  # RFC 5280 §4.2.1.6, since there is no subject
    assert list(names.value) == [x509.DNSName(hostname)]
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < 397 * DAY  # its last second counts
    assert leaf.not_valid_before_utc <= NOW - 7 * DAY
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    root = certificate(authority.root_pem)
    for one, issuer in ((leaf, intermediate), (intermediate, root), (root, root)):
        one.verify_directly_issued_by(issuer)
        theirs = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        ours = one.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        assert ours.key_identifier == theirs.digest


def test_a_name_in_a_list_of_authorities_tells_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    monkeypatch.setattr("socket.gethostname", lambda: "a-machine")
    root = certificate(made(tmp_path / "ca", "localhost", "test").root_pem)
    subject = root.subject.rfc4514_string()
    assert "devproxy" in subject
    assert "grace@a-machine" in subject
    assert "localhost\\, test" in subject


def test_names_that_are_too_long_for_a_subject_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "u" * 100)
    monkeypatch.setattr("socket.gethostname", lambda: "ü" * 100)
    authority = made(tmp_path / "ca", *(f"{'t' * 60}{number}" for number in range(5)))
    assert len(authority.tlds) == 6
    assert all(len(str(part.value).encode()) <= 64 for part in certificate(authority.root_pem).subject)


# What is kept


def test_no_key_of_the_root_is_ever_on_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    authority = made(folder)
    authority.issue("web.shop.localhost", NOW)
    root = certificate(authority.root_pem).public_key()
    keys = [
        load_pem_private_key(content, None) for content in files_below(folder).values() if b"PRIVATE KEY" in content
    ]
    assert len(keys) == 2  # the intermediate's, and that of the leaf
    assert all(key.public_key() != root for key in keys)


def test_everything_is_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "ca"
    old = os.umask(0)
    try:
        made(folder).issue("web.shop.localhost", NOW)
    finally:
        os.umask(old)
    for one in (folder.parent, folder, *folder.rglob("*")):
        assert stat.S_IMODE(one.stat().st_mode) == (0o700 if one.is_dir() else 0o600), one


def test_what_is_there_is_used_again(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    first = made(folder).issue("web.shop.localhost", NOW)
    before = files_below(folder)
    assert made(folder).issue("web.shop.localhost", NOW + DAY) == first
    assert files_below(folder) == before


def test_a_new_tld_gets_an_authority_of_its_own(tmp_path: Path) -> None:
    store = AuthorityStore(tmp_path / "ca")
    (first,) = store.ensure(("localhost",), NOW)
    authorities = store.ensure(("localhost", "test"), NOW + DAY)
    assert [one.tlds for one in authorities] == [("localhost",), ("test",)]
    assert store.ensure(("test", "localhost"), NOW + DAY) == authorities
    assert store.ensure(("sub.test",), NOW + DAY) == authorities  # what is below it needs no other one
    chosen = store.choose(authorities, "web.test", NOW + DAY)
    assert chosen is not None
    assert chosen.tlds == ("test",)
    assert store.choose(authorities, "web.localhost", NOW + DAY) is first
    assert store.choose(authorities, "web.example.com", NOW + DAY) is None
    assert [root.current for root in store.roots(NOW + DAY)] == [True, True]


@pytest.mark.parametrize("hostname", ["example.com", "localhost.example.com", "evillocalhost", "192.168.1.5", ""])
def test_nothing_is_signed_outside_of_our_names(tmp_path: Path, hostname: str) -> None:
    authority = made(tmp_path / "ca")
    with pytest.raises(DevproxyError, match="no certificate can be made"):
        authority.issue(hostname, NOW)


@pytest.mark.parametrize("hostname", ["../x.localhost", "*.localhost", "A.localhost", "a..localhost", "a\n.localhost"])
def test_nothing_is_signed_that_is_no_hostname(tmp_path: Path, hostname: str) -> None:
    authority = made(tmp_path / "ca")
    before = files_below(tmp_path)
    with pytest.raises(DevproxyError, match="no certificate can be made"):
        authority.issue(hostname, NOW)
    assert files_below(tmp_path) == before


def test_the_names_below_a_wildcard_do_not_fill_the_disk(tmp_path: Path) -> None:
    authority = made(tmp_path / "ca")
    leaves = authority.folder / "leaves"
    for number in range(MOST_LEAVES):
        (leaves / f"n{number}.localhost.pem").touch()
        os.utime(leaves / f"n{number}.localhost.pem", (number, number))
    file = authority.issue("web.localhost", NOW)
    left = {one.name for one in leaves.iterdir()}
    assert len(left) == MOST_LEAVES // 2 + 1
    assert {file.name, f"n{MOST_LEAVES - 1}.localhost.pem"} <= left


# Times


def test_a_leaf_is_renewed_before_it_ends_and_not_long_before(tmp_path: Path) -> None:
    authority = made(tmp_path / "ca")
    ends = leaf_of(authority.issue("web.localhost", NOW)).not_valid_after_utc
    assert leaf_of(authority.issue("web.localhost", ends - 60 * DAY)).not_valid_after_utc == ends
    assert leaf_of(authority.issue("web.localhost", ends - 30 * DAY)).not_valid_after_utc > ends


def test_a_leaf_of_a_clock_that_was_wrong_is_made_again(tmp_path: Path) -> None:
    authority = made(tmp_path / "ca")
    authority.issue("web.localhost", NOW + 300 * DAY)
    assert leaf_of(authority.issue("web.localhost", NOW)).not_valid_before_utc <= NOW


def test_a_leaf_never_outlives_its_authority(tmp_path: Path) -> None:
    authority = made(tmp_path / "ca")
    last = authority.not_after - dt.timedelta(minutes=1)
    file = authority.issue("web.localhost", last)
    assert leaf_of(file).not_valid_after_utc == authority.not_after
    content = file.read_bytes()
    assert authority.issue("web.localhost", last).read_bytes() == content  # it cannot be renewed any more


def test_a_successor_is_made_in_time_and_used_once_it_is_trusted(tmp_path: Path) -> None:
    trusted: set[str] = set()
    told: list[str] = []
    store = AuthorityStore(tmp_path / "ca", trusted.__contains__, lambda *made: told.append(announcement(*made)))
    (old,) = store.ensure(("localhost",), NOW)
    trusted.add(old.fingerprint)
    early = old.not_after - 200 * DAY
    assert store.ensure(("localhost",), early) == (old,)
    first = "a local CA for localhost was made: `devproxy trust` has browsers and programs accept it"
    assert told == [first]

    late = old.not_after - 100 * DAY
    _, new = both = store.ensure(("localhost",), late)
    assert store.ensure(("localhost",), late + DAY) == both
    ends = old.not_after.date().isoformat()
    assert told[1:] == [f"{first}; until then, the one before it is used, which ends on {ends}"]
    assert [root.current for root in store.roots(late)] == [False, True]
    assert store.choose(both, "web.localhost", late) is old  # nobody would believe the new one
    assert store.choose(both, "web.localhost", old.not_after) is new
    trusted.add(new.fingerprint)
    assert store.choose(both, "web.localhost", late) is new
    assert store.ensure(("localhost",), old.not_after) == (new,)
    assert len(store.roots(old.not_after)) == 2  # so that `untrust` can still remove it


def test_where_none_is_trusted_the_newest_is_used(tmp_path: Path) -> None:
    store = AuthorityStore(tmp_path / "ca")
    (old,) = store.ensure(("localhost",), NOW)
    late = old.not_after - DAY
    both = store.ensure(("localhost",), late)
    assert store.choose(both, "web.localhost", late) is both[1]


def test_an_authority_from_the_future_is_not_used(tmp_path: Path) -> None:
    store = AuthorityStore(tmp_path / "ca")
    store.ensure(("localhost",), NOW + 365 * DAY)
    (one,) = store.ensure(("localhost",), NOW)
    assert one.is_valid(NOW)
    assert store.ensure(("localhost",), NOW - 20 * DAY) == (one,)  # a clock that is a little behind


# Several at once


_RACER = """
import datetime as dt, sys
from pathlib import Path
from devproxy.tls.authority import AuthorityStore
store = AuthorityStore(Path(sys.argv[1]), on_made=lambda one, _: print("made", one.fingerprint))
now = dt.datetime.fromisoformat(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for one in store.ensure(("localhost", "test"), now):
    one.issue("web.shop.localhost", now)
    print(one.fingerprint)
"""


def test_processes_that_race_make_one_authority(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", _RACER, str(tmp_path / "ca"), NOW.isoformat()]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=DEADLINE) for racer in racers]
    assert [error for _, error in said] == [""] * 4
    lines = [line for output, _ in said for line in output.splitlines()]
    (made_once,) = [line.removeprefix("made ") for line in lines if line.startswith("made ")]
    assert lines.count(made_once) == 4
    assert [one.name for one in (tmp_path / "ca").iterdir()] == [made_once[:16]]


def test_what_a_killed_process_left_is_no_authority(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    (folder / ".new-17").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    (folder / ".new-17" / "root.pem").write_text("half")
    authority = made(folder)
    assert [one.name for one in folder.iterdir()] == [authority.folder.name]


# Damage, and other users

DAMAGES = {
    "missing": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-100]),
    "garbage": lambda file: file.write_bytes(b"\x00\xff" * 500),
    "one bit": lambda file: file.write_bytes(file.read_bytes()[:150] + b"A" + file.read_bytes()[151:]),
    "another": lambda file: shutil.copy(
        made(file.parent.parent.parent / "other", now=NOW - DAY).folder / file.name, file
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["root.pem", "intermediate.pem", "intermediate.key"])
def test_damage_is_told_with_a_way_out(tmp_path: Path, name: str, damage: str) -> None:
    folder = tmp_path / "ca"
    broken = made(folder).folder
    DAMAGES[damage](broken / name)
    with pytest.raises(DevproxyError, match="is damaged") as caught:
        made(folder).issue("web.localhost", NOW)
    assert caught.value.why
    assert f"rm -r {broken}" in caught.value.fix
    shutil.rmtree(broken)
    assert made(folder).issue("web.localhost", NOW).exists()


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "garbage", "another"])
def test_a_damaged_leaf_is_made_again(tmp_path: Path, damage: str) -> None:
    authority = made(tmp_path / "ca")
    file = authority.issue("web.localhost", NOW)
    if damage == "another":
        shutil.copy(authority.issue("api.localhost", NOW), file)
    else:
        DAMAGES[damage](file)
    assert authority.issue("web.localhost", NOW) == file
    names = leaf_of(file).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName("web.localhost")]


def test_a_leaf_that_others_could_read_or_put_there_is_made_again(tmp_path: Path) -> None:
    authority = made(tmp_path / "ca")
    file = authority.issue("web.localhost", NOW)
    first = leaf_of(file)
    file.chmod(0o644)
    assert leaf_of(authority.issue("web.localhost", NOW)) != first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    elsewhere = tmp_path / "elsewhere.pem"
    file.rename(elsewhere)
    kept = elsewhere.read_bytes()
    file.symlink_to(elsewhere)
    authority.issue("web.localhost", NOW)
    assert not file.is_symlink()
    assert elsewhere.read_bytes() == kept


@pytest.mark.parametrize("place", ["", "authority", "authority/intermediate.key"])
@pytest.mark.parametrize("mode", [0o040, 0o004, 0o020])
def test_a_key_that_others_could_read_or_replace_is_refused(tmp_path: Path, place: str, mode: int) -> None:
    folder = tmp_path / "ca"
    file = folder / place.replace("authority", made(folder).folder.name)
    file.chmod(file.stat().st_mode | mode)
    with pytest.raises(DevproxyError, match="is not private") as caught:
        made(folder).issue("web.localhost", NOW)
    assert caught.value.exit_code == Exit.REFUSED
    assert f"others have rights to it (mode {file.stat().st_mode & 0o7777:o})" in caught.value.why
    assert f"rm -r {folder}" in caught.value.fix
    assert file.stat().st_mode & mode  # it is not mended in silence


@pytest.mark.parametrize("place", ["", "authority", "authority/intermediate.key"])
def test_a_key_of_another_user_is_refused(tmp_path: Path, place: str) -> None:
    require.root()
    folder = tmp_path / "ca"
    file = folder / place.replace("authority", made(folder).folder.name)
    os.chown(file, 65533, 65533)
    with pytest.raises(DevproxyError, match="is not private") as caught:
        made(folder).issue("web.localhost", NOW)
    assert "belongs to user 65533" in caught.value.why


@pytest.mark.parametrize("place", ["", "authority", "authority/intermediate.key"])
def test_a_symlink_in_the_place_of_a_key_is_refused(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "ca"
    file = folder / place.replace("authority", made(folder).folder.name)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DevproxyError, match="is not private") as caught:
        made(folder).issue("web.localhost", NOW)
    assert "symlink" in caught.value.why


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(DevproxyError) as caught:
        made(tmp_path / "state" / "ca")
    assert caught.value.why
    assert caught.value.fix


# A file that can be made again (`storage/files.py`)


def test_a_disposable_file_replaces_what_stands_there(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"kept")
    link.symlink_to(target)
    files.write_disposable(link, b"new")
    assert (link.read_bytes(), target.read_bytes()) == (b"new", b"kept")
    assert not link.is_symlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "target"]
    with pytest.raises(DevproxyError, match="could not be written"):
        files.write_disposable(tmp_path / "no" / "folder", b"new")
