"""curl through the proxy: uploads with `Expect: 100-continue`, chunked ones, and HTTP/1.0.

Lives here: what curl itself says about the exchange, beside what the service received.
"""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.origin import Handler, origin
from tests.e2e.processes import clean_environment
from tests.e2e.proxy import Devproxy
from tests.require import program
from tests.waiting import PROGRAM_DEADLINE

pytestmark = pytest.mark.e2e

Serve = Callable[[str], Devproxy]


def _digest(handler: Handler) -> None:
    """Answer with the SHA-256 of the body, unless the path says to refuse before it was sent."""
    digest = hashlib.sha256()
    for piece in handler.pieces():
        digest.update(piece)
    handler.reply(digest.hexdigest().encode())


def _refuse(handler: Handler) -> bool:
    handler.close_connection = True
    handler.reply(b"too large", ("Connection", "close"), status=413)
    return False


def curl(devproxy: Devproxy, *argv: str, stdin: bytes = b"") -> tuple[str, dict[str, object], str]:
    """Run curl on `http://up.localhost`; returns body, curl's own figures (`--write-out %{json}`) and its trace."""
    done = subprocess.run(
        [
            program("curl"), "-sv", "--noproxy", "*", "--max-time", "60",
            "--resolve", f"up.localhost:{devproxy.port}:127.0.0.1",
            "-w", "\n%{json}", *argv, devproxy.url("up.localhost", "/file"),
        ],
        input=stdin, capture_output=True, env=clean_environment({}), timeout=PROGRAM_DEADLINE, check=False,
    )  # fmt: skip
    body, _, figures = done.stdout.decode().rpartition("\n")
    return body, json.loads(figures), done.stderr.decode("utf-8", "replace")


@pytest.fixture
def upload(tmp_path: Path) -> tuple[Path, str]:
    file = tmp_path / "upload.bin"
    content = hashlib.shake_256(b"devproxy").digest(5 << 20)
    file.write_bytes(content)
    return file, hashlib.sha256(content).hexdigest()


def test_an_upload_waits_for_the_services_100_continue(serve: Serve, upload: tuple[Path, str]) -> None:
    file, digest = upload
    with origin(_digest) as service:
        devproxy = serve(f"[services.up]\nport = {service.port}\n")
        body, figures, trace = curl(
            devproxy, "-T", str(file), "-H", "Expect: 100-continue", "--expect100-timeout", "60"
        )
    # With a minute's patience curl sends nothing before the 100: this ends in time only if it was passed on.
    assert "HTTP/1.1 100 Continue" in trace
    assert (body, figures["http_code"], figures["size_upload"]) == (digest, 200, 5 << 20)
    assert service.record.requests[0].headers["expect"] == "100-continue"


def test_a_413_instead_of_the_100_spares_the_upload(serve: Serve, upload: tuple[Path, str]) -> None:
    file, _ = upload
    with origin(_digest, expect=_refuse) as service:
        devproxy = serve(f"[services.up]\nport = {service.port}\n")
        body, figures, trace = curl(
            devproxy, "-T", str(file), "-H", "Expect: 100-continue", "--expect100-timeout", "60"
        )
        again = devproxy.get("up.localhost")
    assert "100 Continue" not in trace
    assert (body, figures["http_code"], figures["size_upload"]) == ("too large", 413, 0)
    assert again.status == 200


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["-H", "Expect:"], id="at-once"),
        pytest.param(["-H", "Transfer-Encoding: chunked"], id="chunked"),
        pytest.param(["-0"], id="http-1.0"),
        pytest.param(["-X", "POST", "-H", "Expect: 100-continue", "-H", "Transfer-Encoding: chunked"], id="both"),
    ],
)
def test_uploads_arrive_whole(serve: Serve, upload: tuple[Path, str], options: list[str]) -> None:
    file, digest = upload
    with origin(_digest) as service:
        devproxy = serve(f"[services.up]\nport = {service.port}\n")
        body, figures, _ = curl(devproxy, "-T", str(file), *options)
        assert (body, figures["http_code"]) == (digest, 200)
        body, figures, _ = curl(devproxy, "-T", "-", stdin=file.read_bytes())
        assert (body, figures["http_code"]) == (digest, 200)


def test_a_multipart_form(serve: Serve, upload: tuple[Path, str]) -> None:
    file, _ = upload

    def find(handler: Handler) -> None:
        handler.reply(b"whole" if file.read_bytes() in handler.body() else b"spoilt")

    with origin(find) as service:
        devproxy = serve(f"[services.up]\nport = {service.port}\n")
        body, figures, _ = curl(devproxy, "-F", f"file=@{file}", "-F", "name=value")
    assert (body, figures["http_code"]) == ("whole", 200)


def test_curl_is_no_page_from_elsewhere(serve: Serve) -> None:
    with origin(_digest) as service:
        devproxy = serve(f"[services.up]\nport = {service.port}\n")
        _, figures, _ = curl(devproxy, "-d", "a=1")
    assert figures["http_code"] == 200
