"""What other programs say of our certificates: each accepts a leaf for our names, and refuses what a thief of the key
could sign with it.

Each case is tried with the root as the anchor, and where a program can take it for one, with the intermediate alone.
That a forged leaf is refused for its name is shown by the same leaf from a CA without constraints, which is accepted.
"""

import datetime as dt
import ipaddress
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from devproxy.tls.authority import AuthorityStore
from tests import require
from tests.tls.forgery import Issuer
from tests.tls.handshakes import listening, server_context, shake
from tests.waiting import PROGRAM_DEADLINE

HERE = Path(__file__).parent
LONG = f"{'a' * 63}.{'b' * 63}.{'c' * 57}.shop.localhost"
OURS = ("web.shop.localhost", LONG, "fix-ui.web.shop.test")
ADDRESS = "192.168.1.5"
FORGED = ("example.com", ADDRESS, "localhost.example.com", "only-in-the-subject.com")


class Case(NamedTuple):
    """A chain with its key, the name that is asked for, what is trusted, and where it is served."""

    chain: Path
    name: str
    root: Path
    intermediate: Path
    port: int = 0

    def leaf(self) -> Path:
        """The leaf alone."""
        leaf, *_ = x509.load_pem_x509_certificates(self.chain.read_bytes())
        file = self.chain.with_suffix(".leaf")
        file.write_bytes(leaf.public_bytes(Encoding.PEM))
        return file


class Cases(NamedTuple):
    ours: tuple[Case, ...]
    forged: tuple[Case, ...]
    controls: tuple[Case, ...]  # the same leaves as `forged`, of the CA without constraints


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cases]:
    folder = tmp_path_factory.mktemp("verifiers")
    now = dt.datetime.now(dt.UTC)
    (authority,) = AuthorityStore(folder / "ca").ensure(("localhost", "test"), now)
    stolen, unlimited = Issuer.stolen(authority.folder), Issuer.unlimited()
    with ExitStack() as servers:

        def case(issuer: Issuer, kind: str, chain: bytes, name: str) -> Case:
            files = [folder / f"{kind}-{name[:40]}.{part}" for part in ("chain", "root", "intermediate")]
            for file, content in zip(files, (chain, issuer.root, issuer.intermediate), strict=True):
                file.write_bytes(content)
            return Case(files[0], name, files[1], files[2], servers.enter_context(listening(server_context(files[0]))))

        def leaf(issuer: Issuer, name: str) -> bytes:
            if name == ADDRESS:
                return issuer.leaf([x509.IPAddress(ipaddress.ip_address(name))])
            if name == FORGED[-1]:
                return issuer.leaf([], common_name=name)
            return issuer.leaf([x509.DNSName(name)])

        yield Cases(
            tuple(case(stolen, "ours", authority.issue(name, now).read_bytes(), name) for name in OURS),
            tuple(case(stolen, "forged", leaf(stolen, name), name) for name in FORGED),
            tuple(case(unlimited, "control", leaf(unlimited, name), name) for name in FORGED),
        )


def run(*command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_DEADLINE,
        env={**os.environ, **more},
        stdin=subprocess.DEVNULL,
    )


# Each says of a case, with the anchors in a file, whether its program accepts it.


def openssl(case: Case, anchors: Path) -> bool:
    option = "-verify_ip" if case.name == ADDRESS else "-verify_hostname"
    partial = ["-partial_chain"] if anchors == case.intermediate else []
    done = run(
        *(require.program("openssl"), "verify", "-x509_strict", *partial, "-purpose", "sslserver"),
        *("-CAfile", anchors, "-no-CApath", "-untrusted", case.intermediate, option, case.name, case.leaf()),
    )
    return done.returncode == 0


def python(case: Case, anchors: Path) -> bool:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(anchors)
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    if anchors == case.intermediate:
        client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    made = shake(client, server_context(case.chain), case.name)
    assert made.client_error is None or made.client_error.reason == "CERTIFICATE_VERIFY_FAILED"
    return made.client_error is None


def curl(case: Case, anchors: Path) -> bool:
    there = f"{case.name}:{case.port}:127.0.0.1:{case.port}"
    done = run(
        *(require.program("curl"), "-sS", "--cacert", anchors, "--capath", "/nonexistent", "--noproxy", "*"),
        *("--connect-to", there, f"https://{case.name}:{case.port}/"),
    )
    assert (done.returncode, done.stdout[:5]) in ((0, "hello"), (60, "")), done
    return done.returncode == 0


def node(case: Case, anchors: Path) -> bool:
    program = """
const [port, name, file] = process.argv.slice(1), tls = require("tls"), net = require("net");
const socket = tls.connect({host: "127.0.0.1", port, servername: net.isIP(name) ? "" : name,
  ca: require("fs").readFileSync(file), allowPartialTrustChain: true,
  checkServerIdentity: (_, certificate) => tls.checkServerIdentity(name, certificate)});
socket.on("secureConnect", () => { console.log("accepted"); socket.destroy(); });
socket.on("error", (error) => { console.log("refused", error.code); });
"""
    done = run(require.program("node"), "-e", program, str(case.port), case.name, anchors)
    assert done.stdout.split()[0] in ("accepted", "refused"), done
    return done.stdout == "accepted\n"


def gnutls(case: Case, anchors: Path) -> bool:
    done = run(
        *(require.program("certtool"), "--verify", "--load-ca-certificate", anchors, "--infile", case.chain),
        *("--verify-hostname", case.name, "--verify-purpose", "1.3.6.1.5.5.7.3.1"),
    )
    assert "Chain verification output: " in done.stdout, done
    return done.returncode == 0


def gnutls_client(case: Case, anchors: Path) -> bool:
    done = run(
        *(require.program("gnutls-cli"), "--x509cafile", anchors, "--port", str(case.port), "127.0.0.1"),
        *("--verify-hostname", case.name, "--sni-hostname", "localhost"),
    )
    assert "Status: " in done.stdout, done
    return "Status: The certificate is trusted" in done.stdout


def nss(case: Case, anchors: Path, *, pkix: bool = False) -> bool:
    """Its own verifier, or libpkix; it looks at no name but by the constraints."""
    database = Path(f"{anchors}.nss")
    if not database.exists():
        database.mkdir()
        certutil = (require.program("certutil"), "-d", f"sql:{database}")
        assert run(*certutil, "-N", "--empty-password").returncode == 0
        assert run(*certutil, "-A", "-n", "anchor", "-t", "C,,", "-i", anchors).returncode == 0
    words = ["-pp"] if pkix else []
    done = run(
        *(require.program("vfychain"), "-d", f"sql:{database}", *words, "-u", "1"),
        *("-a", case.leaf(), "-a", case.intermediate),
    )
    assert "Chain is " in done.stdout + done.stderr, done
    return done.returncode == 0


def nss_pkix(case: Case, anchors: Path) -> bool:
    return nss(case, anchors, pkix=True)


def java(*asked: tuple[Case, Path]) -> list[bool]:
    words = [str(word) for case, anchors in asked for word in (case.port, case.name, anchors)]
    done = run(require.program("java"), HERE / "Believer.java", *words)
    lines = done.stdout.splitlines()
    assert len(lines) == len(asked), done
    return [line == "true" for line in lines]


VERIFIERS = (openssl, python, curl, node, gnutls, gnutls_client, nss, nss_pkix)


@pytest.mark.parametrize("accepts", VERIFIERS, ids=lambda verifier: verifier.__name__)
@pytest.mark.parametrize("anchor", ["root", "intermediate"])
def test_our_names_are_accepted_and_no_other(cases: Cases, accepts: Callable[[Case, Path], bool], anchor: str) -> None:
    said = [
        [accepts(case, getattr(case, anchor)) for case in some] for some in (cases.ours, cases.forged, cases.controls)
    ]
    assert said == [[True] * 3, [False] * 4, [True] * 4]


def test_java_accepts_our_names_and_no_other(cases: Cases) -> None:
    """With the root, as it is installed: Java reads no constraint of an anchor (which is why both CAs have them)."""
    some = (*cases.ours, *cases.forged, *cases.controls)
    assert java(*((case, case.root) for case in some)) == [True] * 3 + [False] * 4 + [True] * 4
