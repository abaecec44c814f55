"""`devproxy trust` and `untrust` on the real stores of this machine, as real programs read them: in a mount and network
namespace of the test's own, so that nothing of this machine's is touched."""

import datetime as dt
import hashlib
import ipaddress
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devproxy.errors import Exit
from devproxy.tls.authority import AuthorityStore
from tests import require
from tests.e2e.believers import (
    CHROMIUM,
    OF_THE_SYSTEM,
    Machine,
    believes,
    firefox_believes,
    nss_believes,
    who_believes,
)
from tests.e2e.own_etc import PROGRAM, OwnEtc, own_etc, sudo_stand_in
from tests.e2e.processes import APPS, running
from tests.e2e.run import OnTerminal
from tests.other_user import UID
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

OURS, BY_HAND, FOREIGN, ADDRESS = "web.localhost", "hand.localhost", "example.com", "192.168.1.5"
HOSTS = f"127.0.0.1 localhost {OURS} {BY_HAND} {FOREIGN}\n"
COPIED = ("/usr/local/share/ca-certificates", "/var/lib/dpkg", "/var/lib/ca-certificates-java")


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """With a copy of the folders that the test's parameter names."""
    also = [path for path in getattr(request, "param", ()) if Path(path).is_dir()]
    with own_etc(also=also, addresses=[ADDRESS]) as etc:
        etc.write(HOSTS.encode())
        if not any("dpkg" in path for path in also):  # which Java's hook writes to
            shutil.rmtree(etc.etc / "ca-certificates/update.d", ignore_errors=True)
        home = etc.folder / "user"
        home.mkdir()
        yield Machine(etc, home, etc.folder / "server.log")


@pytest.fixture
def served(machine: Machine) -> Iterator[Machine]:
    """With a server whose certificates our intermediate has signed: for names that it is for, and for others.

    What it signs is signed in the same way whatever the name, so only the name can be why it is refused.
    """
    store = AuthorityStore(machine.etc.home.state / "ca")
    (authority,) = store.ensure(["localhost"], dt.datetime.now(dt.UTC))
    files = {OURS: authority.issue(OURS, dt.datetime.now(dt.UTC))}
    for name in (BY_HAND, FOREIGN, ADDRESS):
        files[name] = machine.etc.folder / f"{name}.pem"
        files[name].write_bytes(sign(authority.folder, name))
    argv = [sys.executable, str(APPS / "tls_server.py"), *(f"{name}={file}" for name, file in files.items())]
    with running(machine.etc.command(argv), machine.log, cwd=machine.etc.folder) as program:
        program.wait_output("ready")
        yield machine


def sign(authority: Path, name: str) -> bytes:
    """A key and a certificate for any name, by whoever has stolen the intermediate's key."""
    issuer_pem = (authority / "intermediate.pem").read_bytes()
    issuer = x509.load_pem_x509_certificate(issuer_pem)
    issuer_key = load_pem_private_key((authority / "intermediate.key").read_bytes(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    is_address = name == ADDRESS
    names = [x509.IPAddress(ipaddress.ip_address(name)) if is_address else x509.DNSName(name)]
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(issuer.subject, x509.Name([]), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM) + issuer_pem


def state(etc: OwnEtc) -> dict[str, str]:
    """Every file and link of the system's store as it is, but for Java's keystore: each time it is another one."""
    found = {}
    for root in (etc.etc / "ssl", etc.etc / "ca-certificates", etc.folder / "usr-local-share-ca-certificates"):
        for file in sorted(root.rglob("*")):
            if file.is_symlink():
                found[str(file)] = str(file.readlink())
            elif file.is_file() and file.name != "cacerts":
                found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def java_names(machine: Machine) -> str:
    keytool = require.program("keytool")
    return machine.run(keytool, "-list", "-cacerts", "-storepass", "changeit").out


@pytest.mark.slow
@pytest.mark.parametrize("machine", [COPIED], indirect=True, ids=["system"])
def test_programs_that_read_the_systems_store(served: Machine) -> None:
    every = set(OF_THE_SYSTEM)
    assert served.run("update-ca-certificates").code == 0
    before = state(served.etc)
    assert who_believes(served, OURS) == set()
    done = served.devproxy("trust", "--store", "system")
    assert (done.code, done.err.count("Traceback")) == (Exit.GOOD, 0), done.err
    assert who_believes(served, OURS) == every
    assert who_believes(served, BY_HAND) == every
    assert who_believes(served, FOREIGN) == set()
    assert who_believes(served, ADDRESS) == set()
    assert "devproxy" in java_names(served)
    done = served.devproxy("untrust")
    assert (done.code, done.err.count("Traceback")) == (Exit.GOOD, 0), done.err
    assert who_believes(served, OURS) == set()
    assert state(served.etc) == before
    assert "devproxy" not in java_names(served)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["none", "old", "new"])
def test_chromium(served: Machine, place: str) -> None:
    """Its database is where it has made it, or it has none yet, or there is a folder of an older version's."""
    folders = {"old": served.home / ".pki/nssdb", "new": served.home / ".local/share/pki/nssdb"}
    if place == "old":
        folders["old"].mkdir(parents=True)
    if place != "none":
        assert not believes(served, CHROMIUM, OURS)
        assert [file.parent for file in served.home.rglob("cert9.db")] == [folders[place]]
    done = served.devproxy("trust", "--store", "chrome")
    assert done.code == Exit.GOOD, done.err
    assert believes(served, CHROMIUM, OURS)
    if place == "new":
        assert believes(served, CHROMIUM, BY_HAND)
        assert not believes(served, CHROMIUM, FOREIGN)
        assert not believes(served, CHROMIUM, ADDRESS)
    assert served.devproxy("untrust").code == Exit.GOOD
    assert not believes(served, CHROMIUM, OURS)


@pytest.mark.slow
def test_firefox(served: Machine) -> None:
    assert not firefox_believes(served, OURS)
    (profile,) = served.firefox_profiles()
    assert not nss_believes(served, profile, OURS)
    done = served.devproxy("trust", "--store", "firefox")
    assert done.code == Exit.GOOD, done.err
    for host, is_believed in ((OURS, True), (BY_HAND, True), (FOREIGN, False), (ADDRESS, False)):
        assert nss_believes(served, profile, host) is is_believed, host
        assert firefox_believes(served, host) is is_believed, host
    assert served.devproxy("untrust").code == Exit.GOOD
    assert not nss_believes(served, profile, OURS)
    assert not firefox_believes(served, OURS)


@pytest.mark.slow
def test_the_proxy_is_believed_without_a_restart(machine: Machine) -> None:
    """The URL that `devproxy url` prints is http first, https once the CA is trusted; Chromium opens it."""
    page = machine.etc.folder / "site"
    page.mkdir()
    (page / "index.html").write_text("<!doctype html><title>it</title><p>believed</p>")
    port = 8000  # the network is this test's own
    machine.etc.home.write(f"[services.web]\nport = {port}\n")
    server = ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(page), str(port)]
    argv = machine.etc.command(server)
    with running(argv, machine.log, cwd=page):
        assert machine.devproxy("start").code == Exit.GOOD
        try:
            wait_until(lambda: machine.devproxy("url", "web").out.startswith("http://web.localhost"), "the proxy")
            assert not believes(machine, CHROMIUM, OURS)
            done = machine.devproxy("trust", "--store", "chrome")
            assert done.code == Exit.GOOD, done.err
            assert machine.devproxy("url", "web").out == "https://web.localhost\n"
            assert believes(machine, CHROMIUM, OURS)
            assert machine.devproxy("untrust").code == Exit.GOOD
            assert machine.devproxy("url", "web").out.startswith("http://web.localhost")
            assert not believes(machine, CHROMIUM, OURS)
        finally:
            machine.devproxy("stop")


# Whose rights


@pytest.fixture
def anchors(machine: Machine) -> Path:
    """The folder of the system's store, as it is seen from outside."""
    return machine.etc.folder / COPIED[0].strip("/").replace("/", "-")


def names(anchors: Path) -> list[str]:
    return sorted(file.name for file in anchors.iterdir() if file.name.startswith("devproxy-"))


SYSTEM = ("--store", "system")
ONLY_ANCHORS = pytest.mark.parametrize("machine", [COPIED[:1]], indirect=True, ids=["anchors"])


@ONLY_ANCHORS
def test_sudo_is_asked_for_the_systems_store_alone(machine: Machine, anchors: Path) -> None:
    """It gets the certificate, later the fingerprint, on its standard input, and nothing of the user's to read."""
    etc = machine.etc
    tools = sudo_stand_in(etc.folder)
    env = {**machine.environment(), "PATH": f"{tools}:{os.environ['PATH']}"}
    machine.home.chmod(0o777)
    for action, expected in (("trust", [f"devproxy-{UID}-"]), ("untrust", [])):
        typed = OnTerminal(etc.as_user(*PROGRAM, action, *SYSTEM), cwd=etc.home.folder, env=env)
        try:
            typed.wait_seen("belongs to root: sudo writes it")
            typed.wait()
        finally:
            typed.close()
        argv = (etc.folder / "argv").read_text().split("\0")[1:-1]
        given = (etc.folder / "stdin").read_bytes()
        done = etc.run(*argv, env={"PATH": os.environ["PATH"], "HOME": "/root"}, stdin=given)
        assert (done.code, done.out, done.err) == (Exit.GOOD, "", "")
        assert [name[: len(f"devproxy-{UID}-")] for name in names(anchors)] == expected
        assert str(etc.home.folder) not in " ".join(argv)


@ONLY_ANCHORS
def test_without_a_terminal_the_commands_to_type_are_said(machine: Machine, anchors: Path) -> None:
    etc = machine.etc
    machine.home.chmod(0o777)
    for action, count in (("trust", 1), ("untrust", 0)):
        argv = etc.as_user(*PROGRAM, action, *SYSTEM)
        done = etc.run(*argv[argv.index("setpriv") :], env=machine.environment())
        assert done.code == Exit.BAD_NEWS, done.err
        (fix,) = [line for line in done.err.splitlines() if "fix: " in line]
        typed = fix.partition("fix: ")[2].replace("| sudo ", "| ").replace("su -c ", "sh -c ")
        assert etc.run("sh", "-c", typed, env={"PATH": os.environ["PATH"]}).code == Exit.GOOD, typed
        assert len(names(anchors)) == count


@ONLY_ANCHORS
def test_root_takes_no_certificate_but_one_that_is_limited(machine: Machine, anchors: Path) -> None:
    """A public root, our intermediate, a leaf, one that only says that it is ours: whoever pipes them, none gets in."""
    store = AuthorityStore(machine.etc.home.state / "ca")
    (authority,) = store.ensure(["localhost"], dt.datetime.now(dt.UTC))
    leaf = authority.issue(OURS, dt.datetime.now(dt.UTC)).read_bytes()
    public = next(iter(sorted(Path("/usr/share/ca-certificates/mozilla").glob("*.crt")))).read_bytes()
    intermediate = (authority.folder / "intermediate.pem").read_bytes()
    for given in (public, intermediate, leaf, authority.root_pem + public, unlimited(), b"nothing", b""):
        done = machine.etc.run(*PROGRAM, "trust", "--stdin-for", "me", stdin=given)
        assert done.code in (Exit.REFUSED, Exit.USAGE), given
        assert "Traceback" not in done.err
    for given in (b"../../etc/passwd", b"zz" * 32, b"\xff"):
        assert machine.etc.run(*PROGRAM, "untrust", "--stdin-for", "me", stdin=given).code == Exit.USAGE
    assert names(anchors) == []


def unlimited() -> bytes:
    """A root that is called as ours are, for every name there is."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "devproxy root 01234567 me@here")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=99))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@ONLY_ANCHORS
def test_another_users_root_is_left_alone(machine: Machine, anchors: Path) -> None:
    done = machine.devproxy("trust", *SYSTEM)
    assert done.code == Exit.GOOD, done.err
    (name,) = names(anchors)
    theirs = name.replace("devproxy-root-", "devproxy-alice-")
    (anchors / theirs).write_bytes((anchors / name).read_bytes())
    assert machine.devproxy("untrust").code == Exit.GOOD
    assert names(anchors) == [theirs]
