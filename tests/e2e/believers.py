"""Programs that check a server's certificate, each as it does by itself: no option tells any of them what to believe.

Lives here: how each is asked for a URL, and how it is seen whether it believed the certificate. They run inside an
`OwnEtc`, with a home of their own, and ask the server of `apps/tls_server.py`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests import require
from tests.cli.command import Result
from tests.e2e.own_etc import OwnEtc
from tests.e2e.processes import APPS, running
from tests.waiting import wait_until

PAGE = "believed"  # what stands in the server's page


class Machine(NamedTuple):
    """Where the programs run, the home that they have, and what the server has written."""

    etc: OwnEtc
    home: Path
    log: Path

    def environment(self) -> dict[str, str]:
        kept = self.etc.home.environment(HOME=str(self.home))
        ignored = ("SSL_", "NODE_", "XDG_", "CURL_", "REQUESTS_", "JAVA_")
        return {
            name: value
            for name, value in kept.items()
            if not name.startswith(ignored) and not name.lower().endswith("_proxy")
        }

    def run(self, *argv: str, **extra: str) -> Result:
        return self.etc.run(*argv, env={**self.environment(), **extra})

    def devproxy(self, *argv: str, **extra: str) -> Result:
        from tests.e2e.own_etc import PROGRAM

        return self.run(*PROGRAM, *argv, **extra)

    def firefox_profiles(self) -> list[Path]:
        return sorted(file.parent for file in self.home.rglob("cert9.db") if "firefox" in str(file))


def ends_well(result: Result) -> bool:
    return result.code == 0


def shows_page(result: Result) -> bool:
    return PAGE in result.out


class Believer(NamedTuple):
    """A program; `argv` asks it for a host's page, of which `judge` says whether it came."""

    program: str
    argv: Callable[[str], list[str]]
    judge: Callable[[Result], bool] = ends_well
    variables: Mapping[str, str] = {}


PYTHON = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
NODE = "fetch(process.argv[1]).then(a => a.text()).then(console.log)"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server", "--disable-background-networking")

# By what they read: the system's store, or one of their own.
OF_THE_SYSTEM = {
    "curl": Believer("curl", lambda host: ["-sS", f"https://{host}/"], shows_page),
    "python": Believer("/usr/bin/python3", lambda host: ["-c", PYTHON, f"https://{host}/"], shows_page),
    # Node has a list of its own, and adds the file that this variable names.
    "node": Believer(
        "node", lambda host: ["-e", NODE, f"https://{host}/"], shows_page, {"NODE_EXTRA_CA_CERTS": BUNDLE}
    ),
    "gnutls": Believer("gnutls-cli", lambda host: ["--port", "443", host]),
    "openssl": Believer(
        "openssl",
        lambda host: ["s_client", "-brief", "-verify_return_error", *_checked(host), "-connect", f"{host}:443"],
    ),
    "java": Believer("java", lambda host: ["-cp", str(APPS / "java"), "Fetch", f"https://{host}/"]),
}
CHROMIUM = Believer("chromium", lambda host: [*_CHROMIUM, "--dump-dom", f"https://{host}/"], shows_page)


def _checked(host: str) -> list[str]:
    return ["-verify_ip", host] if host[0].isdigit() else ["-verify_hostname", host]


def believes(machine: Machine, one: Believer, host: str) -> bool:
    """Whether a program takes the page of `host`."""
    program = require.program(one.program)
    return one.judge(machine.run(program, *one.argv(host), **one.variables))


def firefox_believes(machine: Machine, host: str) -> bool:
    """Firefox prints nothing, and stays where it does not believe the server: the server says what it has done."""
    firefox = require.program("firefox-esr", "firefox")
    before = len(machine.log.read_text())
    said = re.compile(rf"^(GET|REFUSED) {re.escape(host)}$", re.MULTILINE)

    def answers() -> list[str]:
        return said.findall(machine.log.read_text()[before:])

    argv = machine.etc.command([firefox, "--headless", "--screenshot", str(machine.home / "a.png"), f"https://{host}/"])
    with running(argv, machine.home / "firefox.log", cwd=machine.home, env=machine.environment()):
        wait_until(answers, f"Firefox to judge {host}")
    return "GET" in answers()


def nss_believes(machine: Machine, profile: Path, host: str) -> bool:
    """NSS's own client, with the database of a profile."""
    tstclnt = require.program("tstclnt")
    return machine.run(tstclnt, "-h", host, "-p", "443", "-d", f"sql:{profile}", "-Q").code == 0


def who_believes(machine: Machine, host: str, among: Iterable[str] = OF_THE_SYSTEM) -> set[str]:
    """Which of the programs of the system's store take the page of `host`."""
    return {name for name in among if believes(machine, OF_THE_SYSTEM[name], host)}
