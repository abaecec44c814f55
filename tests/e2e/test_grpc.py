"""gRPC through the name: grpcio's own client and server, over TLS and in plain HTTP/2.

Lives here: every kind of call, metadata, errors, deadlines, cancellation, large messages, reflection; gRPC-Web.
Not here: single frames (`tests/wire/test_h2_upstream.py`).
"""

import datetime as dt
import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.e2e.clients import request
from tests.e2e.origin import Handler, origin
from tests.e2e.processes import APPS, Program, accepts, running
from tests.e2e.proxy import Devproxy
from tests.ports import free_port
from tests.require import module
from tests.waiting import PROGRAM_DEADLINE, wait_until

pytestmark = pytest.mark.e2e

NAME = "rpc.localhost"
LARGE = 64 << 20  # bytes
WITHIN = PROGRAM_DEADLINE
ENDLESS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@pytest.fixture
def grpc() -> Any:
    module("grpc_reflection.v1alpha.reflection")
    return module("grpc")


def self_signed(file: Path) -> Path:
    """Key and certificate in one file, as a development server has them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "self-signed")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return file


class Calls:
    """The client of a running service, by its name."""

    def __init__(self, grpc: Any, channel: Any, server: Program):
        self.grpc = grpc
        self.channel = channel
        self.server = server
        self.echo = channel.unary_unary("/test.Service/Echo")
        self.count = channel.unary_stream("/test.Service/Count")
        self.join = channel.stream_unary("/test.Service/Join")
        self.talk = channel.stream_stream("/test.Service/Talk")
        self.fail = channel.unary_unary("/test.Service/Fail")
        self.hang = channel.unary_unary("/test.Service/Hang")

    def error(self, call: Callable[[], object]) -> Any:
        with pytest.raises(self.grpc.RpcError) as caught:
            call()
        return caught.value


def opened(grpc: Any, devproxy: Devproxy, front: str) -> Any:
    """A channel to the name: `tls` to the port of HTTPS, `plain` to that of HTTP, whose client begins with HTTP/2."""
    if front == "plain":
        options = [*ENDLESS, ("grpc.default_authority", f"{NAME}:{devproxy.port}")]
        return grpc.insecure_channel(f"127.0.0.1:{devproxy.port}", options=options)
    root = devproxy.root().read_bytes()
    options = [*ENDLESS, ("grpc.ssl_target_name_override", NAME)]
    credentials = grpc.ssl_channel_credentials(root)
    return grpc.secure_channel(f"127.0.0.1:{devproxy.https_port}", credentials, options=options)


@pytest.fixture(params=["plain-h2c", "tls-h2c", "tls-https"])
def calls(request: pytest.FixtureRequest, grpc: Any, devproxy: Devproxy, tmp_path: Path) -> Iterator[Calls]:
    """A client over `plain` or `tls`, and a service that speaks `h2c` or chooses HTTP/2 over TLS."""
    front, scheme = request.param.split("-")
    port = free_port()
    argv = [sys.executable, str(APPS / "grpc_service.py"), str(port)]
    if scheme == "https":
        argv.append(str(self_signed(tmp_path / "service.pem")))
    with running(argv, tmp_path / "grpc.log", cwd=tmp_path) as server:
        server.wait_output("listening")
        if front == "tls":
            devproxy.https_port = free_port()
        devproxy.write(f'[services.rpc]\nupstream = "{scheme}://127.0.0.1:{port}"\n')
        devproxy.start()
        if front == "tls":
            _make_authority(devproxy)
        with opened(grpc, devproxy, front) as channel:
            yield Calls(grpc, channel, server)


def _make_authority(devproxy: Devproxy) -> None:
    """The CA is made with the first connection."""
    with socket.create_connection(("127.0.0.1", devproxy.https_port)) as sock:
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(sock, server_hostname=NAME)


def test_every_kind_of_call(calls: Calls) -> None:
    assert calls.echo(b"hello", timeout=WITHIN) == b"hello"
    assert calls.echo(b"", timeout=WITHIN) == b""
    assert list(calls.count(b"1000", timeout=WITHIN)) == [b"%d" % number for number in range(1000)]
    assert calls.join(iter([b"a", b"b", b"c"]), timeout=WITHIN) == b"abc"
    assert list(calls.talk(iter([b"ab", b"cd"]), timeout=WITHIN)) == [b"ba", b"dc"]


def test_both_ends_talk_at_once(calls: Calls) -> None:
    """Each message is sent only once the answer to the one before has come."""
    answered = threading.Semaphore(1)

    def said() -> Iterator[bytes]:
        for number in range(50):
            assert answered.acquire(timeout=WITHIN)
            yield b"%03d" % number

    heard = []
    for message in calls.talk(said(), timeout=WITHIN):
        heard.append(message)
        answered.release()
    assert heard == [(b"%03d" % number)[::-1] for number in range(50)]


def test_metadata_and_trailers(calls: Calls) -> None:
    binary = bytes(range(256))
    sent = (("x-text", "a b, c"), ("x-raw-bin", binary))
    answer, call = calls.echo.with_call(b"hello", metadata=sent, timeout=WITHIN)
    assert answer == b"hello"
    assert ("x-first", "1") in [tuple(pair) for pair in call.initial_metadata()]
    trailers = dict(call.trailing_metadata())
    assert trailers["x-text-back"] == "a b, c"
    assert trailers["x-raw-back-bin"] == binary


def test_it_is_up(calls: Calls, devproxy: Devproxy) -> None:
    assert calls.echo(b"hello", timeout=WITHIN) == b"hello"

    def is_up() -> bool:
        (row,) = json.loads(devproxy.cli("ls", "--json").stdout)
        return bool(row["state"] == "up")

    wait_until(is_up, "the service to be up")


def test_errors(calls: Calls) -> None:
    error = calls.error(lambda: calls.fail(b"", timeout=WITHIN))
    assert (error.code(), error.details()) == (calls.grpc.StatusCode.NOT_FOUND, "there is none: é")
    assert dict(error.trailing_metadata())["x-why"] == "that"
    unknown = calls.channel.unary_unary("/test.Service/Nothing")
    assert calls.error(lambda: unknown(b"", timeout=WITHIN)).code() == calls.grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_passes_to_the_service(calls: Calls) -> None:
    error = calls.error(lambda: calls.hang(b"deadline", timeout=0.5))
    assert error.code() == calls.grpc.StatusCode.DEADLINE_EXCEEDED
    calls.server.wait_output("hanging deadline True")
    calls.server.wait_output("over deadline")


def test_a_cancelled_call_is_cancelled_at_the_service(calls: Calls) -> None:
    call = calls.hang.future(b"cancelled")
    calls.server.wait_output("hanging cancelled")
    call.cancel()
    calls.server.wait_output("over cancelled")
    assert calls.echo(b"still here", timeout=WITHIN) == b"still here"


def test_many_calls_at_once(calls: Calls) -> None:
    pending = [calls.echo.future(b"%d" % number, timeout=WITHIN) for number in range(200)]
    assert [call.result() for call in pending] == [b"%d" % number for number in range(200)]


@pytest.mark.slow
def test_large_messages(calls: Calls) -> None:
    message = bytes(range(256)) * (LARGE >> 8)
    assert calls.echo(message, timeout=WITHIN) == message


def test_reflection(calls: Calls) -> None:
    database = module("grpc_reflection.v1alpha.proto_reflection_descriptor_database")
    found = database.ProtoReflectionDescriptorDatabase(calls.channel)
    assert "test.Service" in found.get_services()
    file = found.FindFileContainingSymbol("grpc.reflection.v1alpha.ServerReflection")
    assert file.package == "grpc.reflection.v1alpha"


def test_a_service_that_does_not_run_is_unavailable(grpc: Any, serve: Callable[[str], Devproxy]) -> None:
    devproxy = serve(f'[services.rpc]\nupstream = "h2c://127.0.0.1:{free_port()}"\n')
    with opened(grpc, devproxy, "plain") as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/test.Service/Echo")(b"", timeout=WITHIN)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_the_service_starts_again(grpc: Any, serve: Callable[[str], Devproxy], tmp_path: Path) -> None:
    port = free_port()
    devproxy = serve(f'[services.rpc]\nupstream = "h2c://127.0.0.1:{port}"\n')
    argv = [sys.executable, str(APPS / "grpc_service.py"), str(port)]
    with opened(grpc, devproxy, "plain") as channel:
        echo = channel.unary_unary("/test.Service/Echo")
        for _ in range(2):
            with running(argv, tmp_path / "grpc.log", cwd=tmp_path) as server:
                wait_until(lambda: accepts(port), "the service to listen", log=server.output)
                assert echo(b"hello", timeout=WITHIN) == b"hello"


@pytest.mark.parametrize("kind", ["application/grpc-web+proto", "application/grpc-web-text"])
def test_grpc_web_is_http_like_any_other(serve: Callable[[str], Devproxy], kind: str) -> None:
    message = b"\x00\x00\x00\x00\x03abc"
    answer = message + b"\x80\x00\x00\x00\x0fgrpc-status:0\r\n"
    seen = []

    def say(handler: Handler) -> None:
        seen.append((handler.headers["content-type"], b"".join(handler.pieces())))
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    with origin(say) as up:
        devproxy = serve(f"[services.rpc]\nport = {up.port}\n")
        fields = {"Content-Type": kind, "X-Grpc-Web": "1"}
        got = request(devproxy.port, NAME, "/test.Service/Echo", method="POST", headers=fields, body=message)
    assert (got.status, got.header("Content-Type"), got.body) == (200, kind, answer)
    assert seen == [(kind, message)]
