"""The plans for every kind of store, on systems that this is not; and stores that stand-ins play."""

import base64
from pathlib import Path

import pytest

from devproxy.errors import DevproxyError
from devproxy.tls import java_keystore, pem
from devproxy.tls.nss import nickname
from devproxy.tls.trust_stores import (
    ANCHORS,
    KINDS,
    Anchor,
    AnchorFolder,
    HeldRoot,
    RemoveDatabase,
    RemoveFile,
    RunTool,
    TrustStore,
    WriteFile,
    anchor_file,
    is_anchor_of,
    is_owner,
    trust_plan,
    untrust_plan,
)
from devproxy.tls.trusting import Search, perform, survey
from tests.tls.stores import Place, commands, new_root

ONE, TWO = new_root(), new_root(["localhost", "test"])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def look(place: Place, platform: str, *kinds: str) -> list[TrustStore]:
    return survey(Search(place.machine(platform), {ONE.fingerprint, TWO.fingerprint}, kinds=kinds))


def held(store: TrustStore) -> set[str]:
    return {one.fingerprint for one in store.held if one.counts}


# The anchors of Linux distributions


@pytest.mark.parametrize("anchors", ANCHORS, ids=lambda anchors: anchors.distributions)
def test_a_distributions_anchors(place: Place, anchors: AnchorFolder) -> None:
    """The program that makes the bundle is played by one that joins the files; everything else is done."""
    folder = place.folder(anchors.folder)
    if anchors.sign:
        (place.root / anchors.sign).parent.mkdir(exist_ok=True)
        (place.root / anchors.sign).touch()
    bundle = place.root / anchors.bundle
    bundle.parent.mkdir(parents=True, exist_ok=True)
    public = new_root().pem
    (folder / "own.crt").write_bytes(public)
    program = place.program(anchors.update[0], f'echo "$@" >> {place.bin}/said\ncat {folder}/* > {bundle}')
    (store,) = look(place, "linux")
    assert (store.kind, store.place, store.tool) == ("system", folder, str(program))
    plan = trust_plan(store, [ONE, TWO])
    files = [folder / anchor_file("me", one.fingerprint) for one in (ONE, TWO)]
    assert [step.path for step in plan.steps if isinstance(step, WriteFile)] == files
    assert commands(plan) == [(str(program), *anchors.update[1:])]
    perform(plan)
    (store,) = look(place, "linux")
    assert held(store) == {ONE.fingerprint, TWO.fingerprint}
    assert trust_plan(store, [ONE, TWO]).steps == ()
    assert files[0].stat().st_mode & 0o777 == 0o644
    removal = untrust_plan(store)
    assert [step.path for step in removal.steps if isinstance(step, RemoveFile)] == sorted(files)
    assert commands(removal) == [(str(program), *anchors.after_removal[1:])]
    perform(removal)
    assert (sorted(folder.iterdir()), bundle.read_bytes()) == ([folder / "own.crt"], public)
    assert untrust_plan(look(place, "linux")[0]).steps == ()


def debian(place: Place) -> Path:
    folder = place.folder("usr/local/share/ca-certificates")
    (place.root / "etc/ssl/certs").mkdir(parents=True)
    bundle = place.root / "etc/ssl/certs/ca-certificates.crt"
    place.program("update-ca-certificates", f"find {folder} -type f -exec cat {{}} + > {bundle}")
    return folder


def test_a_file_that_is_in_no_bundle_yet_does_not_count(place: Place) -> None:
    folder = debian(place)
    (folder / anchor_file("me", ONE.fingerprint)).write_bytes(ONE.pem)
    (store,) = look(place, "linux")
    assert [one.counts for one in store.held] == [False]
    plan = trust_plan(store, [ONE])
    assert [type(step) for step in plan.steps] == [RunTool]  # the file is there: only the bundle is made
    perform(plan)
    assert held(look(place, "linux")[0]) == {ONE.fingerprint}


def test_nothing_but_our_own_roots_is_taken_for_ours(place: Place) -> None:
    """Somebody else's, one whose name lies about what is in it, and what is no certificate."""
    folder = debian(place)
    (folder / anchor_file("you", ONE.fingerprint)).write_bytes(ONE.pem)
    (folder / anchor_file("me", ONE.fingerprint)).write_bytes(TWO.pem)
    (folder / anchor_file("me", TWO.fingerprint)).write_bytes(b"nothing")
    (folder / "devproxy.crt").write_bytes(ONE.pem)
    (store,) = look(place, "linux")
    assert store.held == ()
    assert untrust_plan(store).steps == ()


def test_a_root_of_an_earlier_ca_goes_too(place: Place) -> None:
    """By its name alone: the CA is gone, and nothing was written down."""
    folder = debian(place)
    older = new_root()
    (folder / anchor_file("me", older.fingerprint)).write_bytes(older.pem)
    (store,) = look(place, "linux")
    perform(untrust_plan(store))
    assert list(folder.iterdir()) == []


def test_debians_hooks_are_told_what_is_gone(place: Place) -> None:
    folder = debian(place)
    hooks = place.folder("etc/ca-certificates/update.d")
    hook = hooks / "jks-keystore"
    hook.write_text(f"#!/bin/sh\ncat > {place.bin}/told\n")
    hook.chmod(0o755)
    (hooks / "README").write_text("not a program")
    name = anchor_file("me", ONE.fingerprint)
    (folder / name).write_bytes(ONE.pem)
    (store,) = look(place, "linux")
    perform(untrust_plan(store))
    assert (place.bin / "told").read_text() == f"-/etc/ssl/certs/{Path(name).stem}.pem\n"


@pytest.mark.parametrize(
    ("installer", "fix"), [("apt-get", "ca-certificates"), ("apk", "apk add ca-certificates"), ("", "by hand")]
)
def test_a_system_that_is_not_known_is_told(place: Place, installer: str, fix: str) -> None:
    if installer:
        place.program(installer)
    (store,) = look(place, "linux", "system")
    assert store.fault is not None
    assert fix in store.fault.fix
    assert trust_plan(store, [ONE]).steps == ()


def test_a_failing_program_is_told_with_what_it_says(place: Place) -> None:
    debian(place)
    place.program("update-ca-certificates", "echo the disk is full >&2; exit 3")
    (store,) = look(place, "linux")
    with pytest.raises(DevproxyError, match="system") as caught:
        perform(trust_plan(store, [ONE]))
    assert "ended with 3: the disk is full" in caught.value.why


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("me", True), ("me.too_2", True), ("", False), ("../me", False), ("-x", False), ("a" * 65, False)],
)
def test_whose_a_root_may_be(name: str, is_one: bool) -> None:
    assert is_owner(name) is is_one
    if is_one:
        assert is_anchor_of(anchor_file(name, ONE.fingerprint), name, ONE.fingerprint)
        assert not is_anchor_of(anchor_file(name, ONE.fingerprint), f"{name}x", ONE.fingerprint)


# NSS


def test_a_new_database_is_made_and_goes_again() -> None:
    store = TrustStore("chrome", Path("/h/.pki/nssdb"), "/bin/certutil", is_new=True, is_made=True)
    made, *rest = commands(trust_plan(store, [ONE]))
    assert made == ("/bin/certutil", "-N", "-d", "sql:/h/.pki/nssdb", "--empty-password")
    assert [argv[1] for argv in rest] == ["-A"]
    there = store._replace(is_new=False, held=(HeldRoot(ONE.fingerprint, nickname(ONE.fingerprint)),))
    removal = untrust_plan(there)
    assert removal.steps[-1] == RemoveDatabase(Path("/h/.pki/nssdb"))
    assert not any(isinstance(step, RemoveDatabase) for step in untrust_plan(there._replace(is_made=False)).steps)


@pytest.mark.parametrize(
    ("installer", "package"),
    [
        ("apt-get", "libnss3-tools"),
        ("dnf", "nss-tools"),
        ("pacman", "nss"),
        ("zypper", "mozilla-nss-tools"),
        ("apk", "nss-tools"),
    ],
)
def test_a_missing_certutil_is_told_with_its_package(place: Place, installer: str, package: str) -> None:
    place.program(installer)
    profile = place.home / ".mozilla/firefox/a.default"
    profile.mkdir(parents=True)
    (profile / "cert9.db").touch()
    (store,) = look(place, "linux", "firefox")
    assert store.fault is not None
    assert (installer in store.fault.fix, package in store.fault.fix) == (True, True)


def test_no_browser_no_database(place: Place) -> None:
    assert [store.kind for store in look(place, "linux")] == ["system"]
    place.program("google-chrome")
    place.program("certutil")
    assert [(store.kind, store.is_new) for store in look(place, "linux")][1:] == [("chrome", True)]


# macOS

SECURITY = """
case $1 in
find-certificate) cat "$KEYCHAIN"/*.pem 2>/dev/null || true ;;
add-trusted-cert) for last; do :; done; cp "$last" "$KEYCHAIN/$$.pem"; [ ! -e "$KEYCHAIN/cancelled" ] ;;
delete-certificate) echo "$@" >> "$KEYCHAIN/deleted"; rm -f "$KEYCHAIN"/*.pem ;;
esac
"""


@pytest.fixture
def keychain(place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = place.root / "keychain"
    folder.mkdir()
    monkeypatch.setenv("KEYCHAIN", str(folder))
    place.program("security", SECURITY)
    return folder


def test_the_login_keychain(place: Place, keychain: Path) -> None:
    (store,) = look(place, "darwin")
    login = str(place.home / "Library/Keychains/login.keychain-db")
    (argv,) = commands(trust_plan(store, [ONE]))
    assert argv[1:-1] == ("add-trusted-cert", "-r", "trustRoot", "-p", "ssl", "-p", "basic", "-k", login)
    perform(trust_plan(store, [ONE]))
    (store,) = look(place, "darwin")
    assert held(store) == {ONE.fingerprint}
    assert trust_plan(store, [ONE]).steps == ()
    perform(untrust_plan(store))
    assert (keychain / "deleted").read_text() == f"delete-certificate -Z {pem.sha1(ONE.der)} -t {login}\n"
    assert look(place, "darwin")[0].held == ()


def test_who_cancels_macos_question_has_nothing_in_the_keychain(place: Place, keychain: Path) -> None:
    (keychain / "cancelled").touch()
    (store,) = look(place, "darwin")
    with pytest.raises(DevproxyError, match="keychain"):
        perform(trust_plan(store, [ONE]))
    assert list(keychain.glob("*.pem")) == []


def test_somebody_elses_certificate_in_the_keychain_is_not_ours(place: Place, keychain: Path) -> None:
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "devproxy root of the company")])
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=9))
    (keychain / "theirs.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    older = new_root()
    (keychain / "older.pem").write_bytes(older.pem)
    assert held(look(place, "darwin")[0]) == {older.fingerprint}


# Windows, and below WSL


def test_the_current_users_store_of_windows(place: Place) -> None:
    listing = base64.b64encode(ONE.der).decode()
    place.program(
        "powershell.exe", f'case "$*" in *ReadOnly*) echo {listing};; *) echo "$*" >> {place.bin}/said;; esac'
    )
    (store,) = look(place, "win32")
    assert held(store) == {ONE.fingerprint}
    ((*words, script),) = commands(trust_plan(store, [ONE, TWO]))
    assert words[1:] == ["-NoProfile", "-NonInteractive", "-Command"]
    assert base64.b64encode(TWO.der).decode() in script
    assert base64.b64encode(ONE.der).decode() not in script
    ((*_, removal),) = commands(untrust_plan(store))
    assert f"'FindByThumbprint','{pem.sha1(ONE.der)}'" in removal
    for one in (script, removal):
        assert not set('"\\`') & set(one), "what a shell on the way would change"
    perform(trust_plan(store, [TWO]))
    assert "$s.Add(" in (place.bin / "said").read_text()


@pytest.mark.parametrize("kernel", ["5.15.167.4-microsoft-standard-WSL2", "4.4.0-19041-Microsoft", "6.1.0-25-amd64"])
def test_wsl_has_both_sides(place: Place, kernel: str) -> None:
    debian(place)
    place.folder("proc/sys/kernel").joinpath("osrelease").write_text(f"{kernel}\n")
    shell = place.folder("mnt/c/Windows/System32/WindowsPowerShell/v1.0") / "powershell.exe"
    shell.write_text("#!/bin/sh\n")
    shell.chmod(0o755)
    kinds = [store.kind for store in look(place, "linux")]
    assert kinds == (["system", "windows"] if "icrosoft" in kernel else ["system"])


def test_wsl_without_windows_programs_is_told(place: Place) -> None:
    place.folder("proc/sys/kernel").joinpath("osrelease").write_text("microsoft\n")
    (store,) = look(place, "linux", "windows")
    assert store.fault is not None
    assert "interop" in store.fault.fix


# Java


def test_a_keystore_for_java(place: Place) -> None:
    public = new_root()
    (place.bin / "public.pem").write_bytes(public.pem)
    keytool = place.program("keytool", f'[ "$1" = -list ] && cat {place.bin}/public.pem')
    (store,) = look(place, "linux", "java")
    assert (store.place, store.tool) == (place.state / java_keystore.NAME, str(keytool))
    perform(trust_plan(store, [ONE]))
    keystore = Path(store.place).read_bytes()
    assert set(java_keystore.fingerprints(keystore)) == {ONE.fingerprint, public.fingerprint}
    (store,) = look(place, "linux", "java")
    assert held(store) == {ONE.fingerprint}
    perform(trust_plan(store, [ONE, TWO]))  # it is written whole
    (store,) = look(place, "linux", "java")
    assert held(store) == {ONE.fingerprint, TWO.fingerprint}
    perform(untrust_plan(store))
    assert not Path(store.place).exists()


def test_a_damaged_keystore_is_written_again(place: Place) -> None:
    place.program("java")
    (place.state / java_keystore.NAME).write_bytes(b"damaged")
    (store,) = look(place, "linux", "java")
    assert held(store) == set()
    perform(trust_plan(store, [ONE]))
    assert held(look(place, "linux", "java")[0]) == {ONE.fingerprint}


# All of them


def test_a_store_that_cannot_be_used_has_no_steps() -> None:
    from devproxy.tls.trust_stores import StoreFault

    for kind in KINDS:
        store = TrustStore(kind, Path("/x"), fault=StoreFault("why"), held=(HeldRoot("a", "b"),))
        assert trust_plan(store, [ONE]).steps == untrust_plan(store).steps == ()


@pytest.mark.parametrize(
    "junk", [b"", b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n", ONE.pem + TWO.pem]
)
def test_what_is_not_one_certificate_has_no_fingerprint(junk: bytes) -> None:
    assert pem.fingerprint(junk) == ""


def test_pem_and_back() -> None:
    anchor = Anchor(b"# a comment\n" + ONE.pem + TWO.pem, "")
    assert pem.certificates(anchor.pem) == [ONE.der, TWO.der]
    assert pem.encode(ONE.der) == ONE.pem
