"""Exposure end to end, on a machine of the test's own: the real `devproxy serve` and commands, a real service that
rebinds, and a neighbour on the same wire who says what is true.
"""

import json
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients import Answer, request
from tests.e2e.processes import Program, accepts, running
from tests.e2e.proxy import Devproxy
from tests.health.container import container, publish_by_iptables
from tests.health.netns import Machine, neighbours
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.netns]

FOUR, SIX = "192.0.2.1", "2001:db8::1"
PORT = 28712


class Inside(Devproxy):
    """A devproxy, its commands and clients on `machine`, where exposure is proved as it is for a user."""

    def __init__(self, home: Path, machine: Machine):
        super().__init__(home)
        self.machine = machine

    @property
    def env(self) -> dict[str, str]:
        return super().env | {"DEVPROXY_NO_PROOF": ""}

    def start(self) -> "Inside":
        self.program = Program(self.machine.command(super().argv("serve")), self.log, cwd=self.home, env=self.env)
        wait_until(self.is_ready, "devproxy to be ready", log=self.output)
        return self

    def is_ready(self) -> bool:
        return self.state.exists() and self.machine.call(lambda: accepts(self.port))

    def run(self, *argv: str) -> tuple[int, str]:
        """A command's exit code and output."""
        program = Program(
            self.machine.command(self.argv(*argv)), self.home.parent / "command.log", cwd=self.home, env=self.env
        )
        code = program.wait()
        text = program.output()
        program.log.unlink()
        return code, text

    def get(self, host: str, path: str = "/", **fields: str) -> Answer:
        return self.machine.call(lambda: request(self.port, host, path))

    def conditions(self) -> dict[str, dict[str, object]]:
        try:
            found: dict[str, dict[str, object]] = json.loads((self.home / "state" / "health.json").read_bytes())[
                "services"
            ]
        except (OSError, json.JSONDecodeError):
            return {}
        return found

    def exposure(self, service: str = "web") -> object:
        return self.conditions().get(service, {}).get("exposure")

    def wait_exposure(self, wanted: str, service: str = "web") -> None:
        wait_until(lambda: self.exposure(service) == wanted, f"{service} {wanted}", log=self.output)

    def events(self, kind: str) -> list[dict[str, object]]:
        history = self.home / "state" / "history.jsonl"
        lines = history.read_text("utf-8").splitlines() if history.exists() else []
        return [event for line in lines if (event := json.loads(line)["event"])["kind"] == kind]


@pytest.fixture
def wire() -> Iterator[tuple[Machine, Machine]]:
    with neighbours() as machines:
        yield machines


@pytest.fixture
def inside(wire: tuple[Machine, Machine], tmp_path: Path) -> Iterator[Inside]:
    made = Inside(tmp_path / "home", wire[0])
    yield made
    if made.program is not None:
        made.kill()
    print(f"--- {made.log}\n{made.output()[-8000:]}")


REBINDING = """
import http.server, signal, socket, sys, threading

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *args): pass

class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET
    allow_reuse_port = True

def serve(address):
    server = Server((address, int(sys.argv[1])), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server

signals = {signal.SIGUSR1, signal.SIGUSR2}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
server = serve(sys.argv[2])
print("listening", flush=True)
while True:
    number = signal.sigwait(signals)
    before, server = server, serve("0.0.0.0" if number == signal.SIGUSR1 else "127.0.0.1")  # it never is down
    before.shutdown(); before.server_close()
"""


@pytest.fixture
def service(inside: Inside, tmp_path: Path) -> Iterator[Program]:
    """One that listens on 127.0.0.1, on 0.0.0.0 from SIGUSR1 and on 127.0.0.1 again from SIGUSR2 on."""
    argv = inside.machine.command([sys.executable, "-c", REBINDING, str(PORT), "127.0.0.1"])
    with running(argv, tmp_path / "service.log", cwd=tmp_path) as program:
        program.wait_output("listening")
        yield program


def is_reached(neighbour: Machine, port: int) -> bool:
    return neighbour.reaches(FOUR, port) or neighbour.reaches(SIX, port)


def test_a_service_that_rebinds_is_flagged_warned_of_and_mended(
    inside: Inside, wire: tuple[Machine, Machine], service: Program
) -> None:
    inside.write(f"[services.web]\nport = {PORT}\n")
    inside.start()
    inside.wait_exposure("loopback")
    assert not is_reached(wire[1], PORT)
    assert inside.get("web.localhost").header("Devproxy-Warning") is None

    service.popen.send_signal(signal.SIGUSR1)
    inside.wait_exposure("exposed")
    assert is_reached(wire[1], PORT)
    answer = inside.get("web.localhost")
    assert (answer.status, answer.body) == (200, b"ok")
    assert (answer.header("Devproxy-Warning") or "").startswith(f"exposed; 0.0.0.0:{PORT}")
    (finding,) = [one for one in inside.conditions()["web"]["findings"] if one["code"] == "exposed"]  # type: ignore[attr-defined]
    assert finding["proof"] == f"a connection to {FOUR}:{PORT} was accepted"
    assert "wire0 192.0.2.1" in finding["message"]

    service.popen.send_signal(signal.SIGUSR2)
    inside.wait_exposure("loopback")
    assert not is_reached(wire[1], PORT)
    assert inside.get("web.localhost").header("Devproxy-Warning") is None
    wait_until(lambda: inside.events("mended"), "the event", log=inside.output)
    assert [len(inside.events(kind)) for kind in ("exposed", "mended", "down")] == [1, 1, 0]
    assert inside.output().count("web is exposed: ") == 1


def test_refuse_closes_it_until_it_is_mended(inside: Inside, wire: tuple[Machine, Machine], service: Program) -> None:
    inside.write(f'[services.web]\nport = {PORT}\nexposure = "refuse"\n[services.other]\nport = {PORT + 1}\n')
    inside.start()
    inside.wait_exposure("loopback")
    assert inside.get("web.localhost").status == 200
    service.popen.send_signal(signal.SIGUSR1)
    wait_until(lambda: inside.get("web.localhost").status == 503, "the refusal", log=inside.output)
    answer = inside.get("web.localhost")
    assert answer.header("Devproxy-Error") == "exposed"
    assert f"on port {PORT}".encode() in answer.body
    assert inside.get("other.localhost").status == 502
    service.popen.send_signal(signal.SIGUSR2)
    wait_until(lambda: inside.get("web.localhost").status == 200, "the mend", log=inside.output)


def test_a_policy_that_changes_holds_at_once(inside: Inside, wire: tuple[Machine, Machine], service: Program) -> None:
    service.popen.send_signal(signal.SIGUSR1)
    inside.write(f'[services.web]\nport = {PORT}\nexposure = "refuse"\n')
    inside.start()
    wait_until(lambda: inside.get("web.localhost").status == 503, "the refusal", log=inside.output)
    inside.write(f'[services.web]\nport = {PORT}\nexposure = "allow"\n')
    wait_until(lambda: inside.get("web.localhost").status == 200, "the permission", log=inside.output)
    assert inside.get("web.localhost").header("Devproxy-Warning") is None
    inside.settings = "exposure_header = false"
    inside.write(f"[services.web]\nport = {PORT}\n")
    wait_until(lambda: "settings changed" in inside.output(), "the change", log=inside.output)
    assert inside.get("web.localhost").header("Devproxy-Warning") is None
    inside.wait_exposure("exposed")


def test_commands_say_it_without_the_proxy(inside: Inside, wire: tuple[Machine, Machine], service: Program) -> None:
    inside.write(f"[services.web]\nport = {PORT}\n")
    assert inside.run("health")[0] == 0
    service.popen.send_signal(signal.SIGUSR1)
    wait_until(lambda: is_reached(wire[1], PORT), "the rebind")
    code, text = inside.run("health", "web")
    assert code == 1
    assert f"a connection to {FOUR}:{PORT} was accepted" in text
    assert f"pid {service.pid} (" in text
    assert inside.run("health", "--fail-on", "down")[0] == 0
    (row,) = json.loads(inside.run("ls", "--json")[1])
    assert (row["state"], row["exposure"], row["listeners"][0]["verdict"]) == ("up", "exposed", "exposed")
    ports = json.loads(inside.run("ports", "--json", "--exposed")[1])
    assert [(one["address"], one["port"], one["services"], one["interfaces"]) for one in ports] == [
        ("0.0.0.0", PORT, ["web"], ["wire0"])
    ]
    inside.write(f'[services.web]\nport = {PORT}\nexposure = "allow"\n')
    assert inside.run("health")[0] == 0


def test_a_containers_published_port_is_caught(inside: Inside, wire: tuple[Machine, Machine]) -> None:
    machine, neighbour = wire

    def listen() -> socket.socket:
        return socket.create_server(("0.0.0.0", 80))

    with container(machine) as box, box.call(listen):
        publish_by_iptables(machine, 8080)
        assert neighbour.reaches(FOUR, 8080)
        inside.write("[services.box]\nport = 8080\n")
        inside.start()
        inside.wait_exposure("exposed", "box")
        assert inside.conditions()["box"]["listeners"] == []
        code, text = inside.run("health")
    assert code == 1
    assert "a NAT rule forwards it" in text
    assert "127.0.0.1:8080:PORT" in text


def test_devproxy_itself_is_never_reached_from_outside(inside: Inside, wire: tuple[Machine, Machine]) -> None:
    inside.write(f"[services.web]\nport = {PORT}\n")
    inside.start()
    inside.wait_exposure("unknown")
    bound = json.loads(inside.run("ports", "--json")[1])
    ours = [row for row in bound if row["pid"] == inside.pid]
    assert sorted(row["address"] for row in ours) == ["127.0.0.1", "::1"]
    assert all(row["services"] == ["(devproxy)"] for row in ours)
    assert not any(is_reached(wire[1], row["port"]) for row in bound)
    assert not any(wire[1].reaches(address, inside.port) for address in (FOUR, SIX))


WIDENED = """
import os, socket, sys, threading, time
def widen():
    while not os.path.exists(sys.argv[-1]): time.sleep(0.01)
    global held
    held = socket.create_server(("192.0.2.1", int(os.environ["PORT"])))
threading.Thread(target=widen, daemon=True).start()
from devproxy.cli.app import run
sys.exit(run(["serve"]))
"""


def test_a_socket_of_its_own_beyond_loopback_ends_it_with_4(inside: Inside) -> None:
    """Nothing in devproxy opens one: here something else in its process does."""
    inside.write("")
    argv = inside.machine.command([sys.executable, "-c", WIDENED, str(inside.state)])
    inside.program = Program(argv, inside.log, cwd=inside.home, env=inside.env | {"PORT": str(inside.port)})
    assert inside.program.wait() == 4
    assert f"devproxy's own socket 192.0.2.1:{inside.port} can be reached" in inside.output()
    assert "Traceback" not in inside.output()
    assert not inside.state.exists()
