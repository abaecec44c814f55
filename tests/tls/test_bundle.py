"""Bundles of CA certificates: what is in them, who gets which variable, when a file is written, and what real runtimes
make of them."""

import datetime as dt
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from msgspec.structs import replace

from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.programs.recognize import starts_java
from devproxy.registry.model import Service, Source
from devproxy.run.command import PreparedCommand, with_certificates
from devproxy.tls.authority import AuthorityStore
from devproxy.tls.bundle import ADDED, JAVA, SYSTEM_BUNDLES, WHOLE, trust_variables
from devproxy.tls.java_keystore import PASSWORD
from devproxy.urls import Ports
from tests import require
from tests.tls.forgery import Issuer
from tests.tls.handshakes import listening, server_context
from tests.waiting import PROGRAM_DEADLINE

HERE = Path(__file__).parent
NOW = dt.datetime.now(dt.UTC)
SYSTEM, COMPANY = Issuer.unlimited(), Issuer.unlimited()
NAME, PUBLIC = "web.shop.localhost", "public.example"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Where there is a CA. A blank is in the path, as in the home of many a person on macOS."""
    made = Paths(tmp_path / "config", tmp_path / "my state")
    AuthorityStore(made.authorities).ensure(("localhost",), NOW)
    return made


@pytest.fixture
def system(tmp_path: Path) -> Path:
    file = tmp_path / "system.pem"
    file.write_bytes(b"# a comment that is no UTF-8: \xe9\n" + SYSTEM.root.rstrip())  # and no end of the last line
    return file


def company(tmp_path: Path) -> Path:
    file = tmp_path / "company.pem"
    file.write_bytes(COMPANY.root)
    return file


def ours(paths: Paths) -> bytes:
    return b"".join(root.pem for root in AuthorityStore(paths.authorities).roots())


def test_without_a_ca_there_is_nothing_and_nothing_is_made(tmp_path: Path, system: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state")
    assert trust_variables(paths, {}, jvm=True, places=[system]) == {}
    assert not paths.state.exists()


def test_each_runtime_gets_what_it_reads(paths: Paths, system: Path) -> None:
    values = trust_variables(paths, {}, places=[paths.state / "none.pem", system])
    assert set(values) == {
        *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE"),
        *("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NODE_EXTRA_CA_CERTS", "DENO_CERT"),
    }
    for name in WHOLE:
        assert Path(values[name]).read_bytes() == system.read_bytes() + b"\n" + ours(paths)
    for name in ADDED:
        assert Path(values[name]).read_bytes() == ours(paths)


def test_the_bundle_of_this_system_is_in_it_byte_for_byte(paths: Paths) -> None:
    real = next((place for place in SYSTEM_BUNDLES if place.exists()), None)
    if real is None:
        require.missing("a bundle of CA certificates")
    content = real.read_bytes()
    merged = Path(trust_variables(paths, {})["SSL_CERT_FILE"]).read_bytes()
    assert merged == content + ours(paths)
    context = ssl.create_default_context(cadata=merged.decode())
    assert len(context.get_ca_certs()) == content.count(b"-----BEGIN CERTIFICATE-----") + 1


@pytest.mark.parametrize("name", [*WHOLE, *ADDED])
def test_a_variable_that_is_set_stays_and_its_file_goes_into_the_bundle_of_the_others(
    paths: Paths, system: Path, tmp_path: Path, name: str
) -> None:
    values = trust_variables(paths, {name: str(company(tmp_path))}, places=[system])
    assert set(values) == {*WHOLE, *ADDED} - {name}
    for other in set(WHOLE) - {name}:
        assert Path(values[other]).read_bytes() == system.read_bytes() + b"\n" + COMPANY.root + ours(paths)
    plain = trust_variables(paths, {}, places=[system])["CURL_CA_BUNDLE"]
    assert COMPANY.root not in Path(plain).read_bytes()  # another terminal's is another file


def test_a_variable_that_names_no_file_stays_all_the_same(paths: Paths, system: Path, tmp_path: Path) -> None:
    values = trust_variables(paths, {"SSL_CERT_FILE": str(tmp_path / "none")}, places=[system])
    assert "SSL_CERT_FILE" not in values
    assert Path(values["CURL_CA_BUNDLE"]).read_bytes() == system.read_bytes() + b"\n" + ours(paths)


def test_what_we_have_set_ourselves_is_not_somebody_elses(paths: Paths, system: Path) -> None:
    first = trust_variables(paths, {}, places=[system])
    assert trust_variables(paths, first, places=[system]) == first


@pytest.mark.parametrize("given", [{}, {"NODE_EXTRA_CA_CERTS": "company.pem"}])
def test_without_a_bundle_of_the_system_nothing_takes_its_place(
    paths: Paths, tmp_path: Path, given: dict[str, str]
) -> None:
    given = {name: str(company(tmp_path)) for name in given}
    assert set(trust_variables(paths, given, jvm=True, places=[])) == set(ADDED) - set(given)
    with_one = trust_variables(paths, {"SSL_CERT_FILE": str(company(tmp_path))}, places=[])
    assert Path(with_one["CURL_CA_BUNDLE"]).read_bytes() == COMPANY.root + ours(paths)


def test_files_are_written_only_when_something_has_changed(paths: Paths, system: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        assert trust_variables(paths, {}, jvm=True, places=[system])
        return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in paths.bundles.iterdir()}

    first = state()
    assert state() == first
    assert set(first) == {"bundle.pem", "devproxy.pem", "bundle.p12", "bundle.p12.sha256"}
    system.write_bytes(system.read_bytes() + b"\n" + COMPANY.root)
    second = state()
    assert {name for name in first if first[name] != second[name]} == {"bundle.pem", "bundle.p12", "bundle.p12.sha256"}
    AuthorityStore(paths.authorities).ensure(("localhost", "test"), NOW)
    third = state()
    assert all(third[name] != second[name] for name in second)
    assert (paths.bundles / "bundle.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 4
    assert all(file.stat().st_mode & 0o077 == 0 for file in (paths.bundles, *paths.bundles.iterdir()))


def test_a_damaged_ca_is_an_error(paths: Paths, system: Path) -> None:
    (authority,) = paths.authorities.iterdir()
    (authority / "root.pem").write_bytes(SYSTEM.root)
    with pytest.raises(DevproxyError, match="is damaged"):
        trust_variables(paths, {}, places=[system])


# Java


def test_a_jvm_gets_a_trust_store_of_the_same_certificates(paths: Paths, system: Path) -> None:
    assert JAVA not in trust_variables(paths, {}, places=[system])
    options = trust_variables(paths, {}, jvm=True, places=[system])[JAVA]
    store = paths.bundles / "bundle.p12"
    assert options == (
        f'-Djavax.net.ssl.trustStore="{store}" -Djavax.net.ssl.trustStoreType=PKCS12'
        " -Djavax.net.ssl.trustStorePassword=changeit"
    )
    kept = pkcs12.load_pkcs12(store.read_bytes(), PASSWORD.encode()).additional_certs
    expected = x509.load_pem_x509_certificates(SYSTEM.root + ours(paths))
    assert {one.certificate for one in kept} == set(expected)


def test_options_of_java_that_are_set_stay(paths: Paths, system: Path) -> None:
    found = trust_variables(paths, {JAVA: "-Xmx1g -Dx=y"}, jvm=True, places=[system])
    assert found[JAVA].startswith("-Xmx1g -Dx=y -Djavax.net.ssl.trustStore=")
    assert JAVA not in trust_variables(paths, {JAVA: "-Djavax.net.ssl.trustStore=/x"}, jvm=True, places=[system])
    assert JAVA not in trust_variables(paths, found, jvm=True, places=[system])  # one of ours below another


def test_a_certificate_that_is_damaged_costs_java_none_of_the_others(paths: Paths, system: Path) -> None:
    system.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + SYSTEM.root)
    trust_variables(paths, {}, jvm=True, places=[system])
    kept = pkcs12.load_pkcs12((paths.bundles / "bundle.p12").read_bytes(), PASSWORD.encode()).additional_certs
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["java", "-jar", "app.jar"], True),
        (["/opt/jdk/bin/java", "App.java"], True),
        (["sh", "-c", "cd api && ./gradlew bootRun"], True),
        (["./mvnw", "spring-boot:run"], True),
        (["npm", "run", "java"], False),
        (["node", "server.js"], False),
        (["sh", "-c", "echo java"], False),
    ],
)
def test_what_starts_java(command: list[str], expected: bool) -> None:
    assert starts_java(command) is expected


# What is started


WEB = Service(
    id="web", name="web", project=None, hosts=(), command=("web",), cwd="/", source=Source("/registry.toml", 1)
)
PREPARED = PreparedCommand(argv=["web"], env={"PORT": "1"}, cwd="/", port=1)


@pytest.fixture
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*WHOLE, *ADDED, JAVA):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_bare")
def test_a_command_gets_them_where_https_is_on(paths: Paths) -> None:
    found = with_certificates(PREPARED, WEB, paths, Ports(80, 443))
    assert {*PREPARED.env, *WHOLE, *ADDED} == set(found.env)
    assert with_certificates(PREPARED, WEB, paths, Ports(80, None)) == PREPARED
    assert with_certificates(PREPARED, replace(WEB, ca_bundle=False), paths, Ports(80, 443)) == PREPARED
    java = replace(PREPARED, argv=["java", "-version"])
    assert JAVA in with_certificates(java, WEB, paths, Ports(80, 443)).env


@pytest.mark.usefixtures("_bare")
def test_what_the_service_or_its_terminal_has_set_stays(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/terminal.pem")
    prepared = replace(PREPARED, env={"CURL_CA_BUNDLE": "/service.pem"})
    found = with_certificates(prepared, WEB, paths, Ports(80, 443)).env
    assert found["CURL_CA_BUNDLE"] == "/service.pem"
    assert "SSL_CERT_FILE" not in found


@pytest.mark.usefixtures("_bare")
def test_a_command_starts_where_the_ca_is_damaged(paths: Paths) -> None:
    (authority,) = paths.authorities.iterdir()
    (authority / "root.pem").unlink()
    found = with_certificates(PREPARED, WEB, paths, Ports(80, 443))
    assert found.env == PREPARED.env
    (note,) = found.notes
    assert "root.pem is missing" in note


# Real runtimes: a server with a certificate of ours, and one of a CA that stands for a public one

PYTHON = """
import socket, ssl, sys
for name, port in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        plain = socket.create_connection(("127.0.0.1", int(port)))
        ssl.create_default_context().wrap_socket(plain, server_hostname=name)
        print(True)
    except ssl.SSLCertVerificationError:
        print(False)
"""
NODE = """
const tls = require("tls"), words = process.argv.slice(1);
function next() {
  const [name, port] = words.splice(0, 2);
  if (!name) return;
  const socket = tls.connect({host: "127.0.0.1", port, servername: name});
  socket.on("secureConnect", () => { console.log("True"); socket.destroy(); next(); });
  socket.on("error", (error) => { console.log("False", error.code); next(); });
}
next();
"""


class Servers:
    """Of ours and of the CA of the system, each by name and port, as words for a command."""

    def __init__(self, ours: int, public: int):
        self.both = (NAME, str(ours), PUBLIC, str(public))


@pytest.fixture
def servers(paths: Paths, tmp_path: Path) -> Iterator[Servers]:
    (authority,) = AuthorityStore(paths.authorities).ensure(("localhost",), NOW)
    public = tmp_path / "public.pem"
    public.write_bytes(SYSTEM.leaf([x509.DNSName(PUBLIC)]))
    with ExitStack() as open_ports:
        mine = open_ports.enter_context(listening(server_context(authority.issue(NAME, NOW))))
        theirs = open_ports.enter_context(listening(server_context(public)))
        yield Servers(mine, theirs)


def said(command: list[str], env: dict[str, str]) -> list[bool]:
    clean = {name: value for name, value in os.environ.items() if name not in {*WHOLE, *ADDED, JAVA}}
    done = subprocess.run(
        command,
        env=clean | env,
        capture_output=True,
        text=True,
        check=True,
        timeout=PROGRAM_DEADLINE,
        stdin=subprocess.DEVNULL,
    )
    return [line.lower().startswith("true") for line in done.stdout.splitlines()]


def curl_says(servers: Servers, env: dict[str, str]) -> list[bool]:
    found = []
    for name, port in zip(servers.both[::2], servers.both[1::2], strict=True):
        url = f"https://{name}:{port}/"
        command = [require.program("curl"), "-sS", "--noproxy", "*", "--connect-to", f"{name}:{port}:127.0.0.1:{port}"]
        done = subprocess.run(
            [*command, url], env={**env, "PATH": os.environ["PATH"]}, capture_output=True, check=False
        )
        assert done.returncode in (0, 60), done
        found.append(done.returncode == 0)
    return found


def git_says(servers: Servers, env: dict[str, str]) -> list[bool]:
    """What the servers say is an empty repository to git."""
    found = []
    for name, port in zip(servers.both[::2], servers.both[1::2], strict=True):
        resolve = ["-c", f"http.curloptResolve={name}:{port}:127.0.0.1"]
        done = subprocess.run(
            [require.program("git"), *resolve, "ls-remote", f"https://{name}:{port}/x.git"],
            env={**env, "PATH": os.environ["PATH"], "GIT_TERMINAL_PROMPT": "0", "HOME": "/"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_DEADLINE,
        )
        is_refused = "certificate" in done.stderr
        assert is_refused or not done.returncode, done
        found.append(not is_refused)
    return found


def test_runtimes_accept_ours_and_what_they_accepted_before(paths: Paths, system: Path, servers: Servers) -> None:
    env = trust_variables(paths, {}, places=[system])
    node = [require.program("node"), "-e", NODE, *servers.both]
    python = [sys.executable, "-c", PYTHON, *servers.both]
    assert said(python, {"SSL_CERT_FILE": str(system)}) == [False, True]
    assert said(python, env) == [True, True]
    assert said(node, {}) == [False, False]
    assert said(node, env) == [True, False]  # the CA of `system` is none of Node's own
    assert curl_says(servers, {"CURL_CA_BUNDLE": str(system)}) == [False, True]
    assert curl_says(servers, {"CURL_CA_BUNDLE": env["CURL_CA_BUNDLE"]}) == [True, True]
    assert git_says(servers, {"GIT_SSL_CAINFO": str(system)}) == [False, True]
    assert git_says(servers, {"GIT_SSL_CAINFO": env["GIT_SSL_CAINFO"]}) == [True, True]


def test_java_accepts_ours_and_what_it_accepted_before(paths: Paths, system: Path, servers: Servers) -> None:
    env = trust_variables(paths, {}, jvm=True, places=[system])
    (mine, port), (public, other) = servers.both[:2], servers.both[2:]
    java = [require.program("java"), str(HERE / "Believer.java"), port, mine, "-", other, public, "-"]
    assert said(java, {}) == [False, False]
    assert said(java, env) == [True, True]
