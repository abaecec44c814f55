"""Server contexts: who gets which certificate, by the bytes of both sides; alerts, resumption, renewal."""

import asyncio
import datetime as dt
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devproxy.errors import DevproxyError
from devproxy.net.tls_transport import shake_hands
from devproxy.tls.authority import AuthorityStore, is_certifiable
from devproxy.tls.contexts import MOST_CONTEXTS, ServerContexts
from tests import require
from tests.tls.handshakes import client_context, listening, shake
from tests.waiting import DEADLINE

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
REGISTERED = ("web.shop.localhost", "api.shop.localhost", "fix-ui.web.shop.localhost", "a" * 63 + ".shop.localhost")
UNRECOGNIZED_NAME = b"\x15\x03\x03\x00\x02\x02\x70"  # a record of the kind alert, fatal, 112 (RFC 6066 §9)
NOW = dt.datetime.now(dt.UTC)  # ssl has no other clock than the machine's
DAY = dt.timedelta(days=1)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


def served(folder: Path, clock: Clock | None = None, **rest: Any) -> ServerContexts:
    settings: dict[str, Any] = {"tlds": lambda: ("localhost",), "is_registered": REGISTERED.__contains__, **rest}
    store = settings.pop("store", None) or AuthorityStore(folder / "ca")
    return ServerContexts(store, now=clock or Clock(), **settings)


def roots(folder: Path) -> str:
    return "".join(root.pem.decode() for root in AuthorityStore(folder / "ca").roots())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("contexts")
    served(made).prepare()
    return made


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", REGISTERED)
def test_a_client_gets_the_certificate_of_the_name_that_it_asks_for(
    folder: Path, name: str, version: ssl.TLSVersion
) -> None:
    made = shake(client_context(roots(folder), version=version), served(folder).context, name)
    assert made.names == [name]
    assert made.client.selected_alpn_protocol() == made.server.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize(("offered", "chosen"), [(["http/1.1"], "http/1.1"), (["h3"], None), ([], None)])
def test_alpn(folder: Path, offered: list[str], chosen: str | None) -> None:
    client = client_context(roots(folder))
    client.set_alpn_protocols(offered)
    assert shake(client, served(folder).context, REGISTERED[0]).client.selected_alpn_protocol() == chosen


def test_alpn_is_what_the_caller_says(folder: Path) -> None:
    made = shake(client_context(roots(folder)), served(folder, alpn=("http/1.1",)).context, REGISTERED[0])
    assert made.client.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [None, "other.shop.localhost", "shop.localhost", "example.com", "localhost"])
def test_whoever_asks_for_no_name_of_ours_gets_an_alert_and_no_certificate(
    folder: Path, name: str | None, version: ssl.TLSVersion
) -> None:
    client = client_context(roots(folder), version=version)
    client.check_hostname = False
    made = shake(client, served(folder).context, name)
    assert made.server_bytes == UNRECOGNIZED_NAME
    assert made.server_error is not None


def client_hello(name: bytes) -> bytes:
    """What a client sends first, with any bytes as the name that it asks for."""
    stands_in = "n" * len(name)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=stands_in).do_handshake()
    return outgoing.read().replace(stands_in.encode(), name)


def answer_to(server: ssl.SSLContext, hello: bytes) -> bytes:
    """What a server sends then."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(hello)
    with pytest.raises(ssl.SSLError):  # one that it waits for more is one, too
        server.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    return outgoing.read()


@pytest.fixture(scope="module")
def asked(folder: Path) -> tuple[ServerContexts, list[str]]:
    """Contexts, and the names that they ask the registry for."""
    names: list[str] = []

    def is_registered(name: str) -> bool:
        names.append(name)
        return name in REGISTERED

    return served(folder, is_registered=is_registered), names


_LABELS = st.lists(st.text("aZ09-_*./\\%: \x7f", min_size=0, max_size=20), max_size=12).map(".".join)


# At most 63 characters, for Python's client encodes what stands in for the name as one label.
@given(name=st.one_of(_LABELS, st.binary(max_size=63).map(lambda raw: raw.decode("latin-1"))))
@example(name="web.shop.localhost")
@example(name="WEB.Shop.LocalHost.")
@example(name="web.shop.localhost..")
@example(name="web.shop.localhost\0.example.com")
@example(name="../web.shop.localhost")
@example(name="*.shop.localhost")
@example(name="127.0.0.1")
@example(name="w\xe9b.shop.localhost")
def test_any_bytes_as_a_name_get_their_certificate_or_an_alert(
    asked: tuple[ServerContexts, list[str]], name: str
) -> None:
    server, names = asked
    raw = name.encode("latin-1")[:63] or b"x"
    names.clear()
    answer = answer_to(server.context, client_hello(raw))
    plain = raw.decode("latin-1").lower()
    if plain.removesuffix(".") in REGISTERED:
        assert answer[0] == 22  # a handshake goes on
    else:
        assert answer[0] == 21, answer[:20]
        assert len(answer) == 7
        assert answer[5] == 2  # fatal: unrecognized name; of bytes that are no text, internal error
        assert answer[6] in ((112,) if raw.isascii() else (80, 112))
    assert all(is_certifiable(one) and one == one.lower() for one in names)


def test_a_name_that_is_no_text_leaves_no_traceback(folder: Path, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from devproxy.tls.contexts import ignore_undecodable_names
from tests.tls.test_contexts import *
ignore_undecodable_names()
assert answer_to(served(Path(sys.argv[1])).context, client_hello(b"w\\xe9b.shop.localhost"))[0] == 21
class Noisy:
    def __del__(self):
        raise ValueError("told as before")
Noisy()
"""
    root = Path(__file__).parent.parent.parent
    ran = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE,
    )
    assert "UnicodeDecodeError" not in ran.stderr
    assert "told as before" in ran.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_resumed_through_the_swap_of_contexts(folder: Path, version: ssl.TLSVersion) -> None:
    server, client = served(folder), client_context(roots(folder), version=version)
    first = shake(client, server.context, REGISTERED[0])
    other = shake(client, server.context, REGISTERED[1])
    assert not first.client.session_reused
    for name, before in ((REGISTERED[0], first), (REGISTERED[1], other)):
        again = shake(client, server.context, name, session=before.session())
        assert again.client.session_reused
        assert again.server.session_reused
        assert again.client.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_for_a_name_that_is_gone_is_not_resumed(folder: Path, version: ssl.TLSVersion) -> None:
    registered = set(REGISTERED)
    server = served(folder, is_registered=registered.__contains__)
    client = client_context(roots(folder), version=version)
    session = shake(client, server.context, REGISTERED[0]).session()
    registered.remove(REGISTERED[0])
    again = shake(client, server.context, REGISTERED[0], session=session)
    assert again.server_bytes == UNRECOGNIZED_NAME
    assert not again.client.session_reused


@pytest.mark.parametrize("option", ["no_tls1_3", "tls1_3", "no_ticket"])
def test_openssl_resumes_its_session(folder: Path, option: str) -> None:
    command = [require.program("openssl"), "s_client", "-servername", REGISTERED[0], "-ign_eof"]
    arguments = {"tls1_3": ["-tls1_3"], "no_tls1_3": ["-tls1_2"], "no_ticket": ["-tls1_2", "-no_ticket"]}[option]
    saved = folder / f"session-{option}"
    with listening(served(folder).context) as port:
        for loads in ([], ["-sess_in", str(saved)]):
            ran = subprocess.run(
                [*command, "-connect", f"127.0.0.1:{port}", "-sess_out", str(saved), *loads, *arguments],
                input="quit\n",
                capture_output=True,
                text=True,
                check=False,
                timeout=DEADLINE,
            )
            word = "Reused" if loads else "New"
            assert f"{word}, TLSv1" in ran.stdout, ran.stdout + ran.stderr


def _with_uvloop(main: Coroutine[Any, Any, bytes]) -> bytes:
    return require.module("uvloop").run(main)  # type: ignore[no-any-return]


@pytest.mark.parametrize("run", [asyncio.run, _with_uvloop])
@pytest.mark.parametrize(
    ("hello", "alert"), [("unknown", UNRECOGNIZED_NAME), ("old version", b"\x15\x03\x02\x00\x02\x02\x46")]
)
def test_the_alert_is_sent_before_the_connection_is_closed(
    folder: Path, run: Callable[[Coroutine[Any, Any, bytes]], bytes], hello: str, alert: bytes
) -> None:
    server = served(folder)
    sent = client_hello(b"other.shop.localhost" if hello == "unknown" else b"web.shop.localhost")
    if hello == "old version":
        sent = _tls_1_1_hello()

    async def main() -> bytes:
        async def accept() -> None:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            with pytest.raises(ssl.SSLError):
                await shake_hands(server.context, sock)

        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        accepted = asyncio.create_task(accept())
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(sent)
        answer = await asyncio.wait_for(reader.readexactly(len(alert)), DEADLINE)
        writer.write_eof()  # as clients close after such an alert
        rest = await asyncio.wait_for(reader.read(), DEADLINE)
        writer.close()
        listener.close()
        await accepted
        return answer + rest

    assert run(main()) == alert


def _tls_1_1_hello() -> bytes:
    """The hello of a client that knows no newer version (RFC 4346 §7.4.1.2), with one cipher and no extensions."""
    body = b"\x03\x02" + bytes(32) + b"\0" + b"\x00\x02\xc0\x09" + b"\x01\x00"
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


# While it runs


def serial(server: ServerContexts, folder: Path, name: str = REGISTERED[0]) -> str:
    """Of the certificate that a client gets."""
    server.prepare()
    certificate: Any = shake(client_context(roots(folder)), server.context, name).client.getpeercert()
    return str(certificate["serialNumber"])


def test_a_certificate_is_renewed_without_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    clock.now = NOW - 330 * DAY  # its end is near today, when the client looks at it
    server = served(tmp_path, clock)
    first = serial(server, tmp_path)
    clock.now += DAY
    assert serial(server, tmp_path) == first
    clock.now = NOW
    assert serial(server, tmp_path) != first


def test_an_unchanged_certificate_keeps_its_context(tmp_path: Path) -> None:
    clock = Clock()
    server = served(tmp_path, clock)
    first = server.context_for(REGISTERED[0])
    clock.now += 5 * DAY
    assert server.context_for(REGISTERED[0]) is first
    clock.now -= 8 * DAY  # the clock is put back
    assert server.context_for(REGISTERED[0]) is first


def test_the_successor_of_an_authority_is_used_once_it_is_trusted(tmp_path: Path) -> None:
    trusted: set[str] = set()
    clock = Clock()
    store = AuthorityStore(tmp_path / "ca", trusted.__contains__)
    clock.now = NOW - 3600 * DAY
    (old,) = store.ensure(("localhost",), clock.now)
    trusted.add(old.fingerprint)
    server = served(tmp_path, clock, store=store)
    server.prepare()
    clock.now = NOW
    assert shake(client_context(old.root_pem.decode()), server.context, REGISTERED[0]).names
    old_again, new = store.ensure(("localhost",), NOW)  # the same handshake has made it
    assert old_again is old
    trusted.add(new.fingerprint)
    (tmp_path / "ca" / "trusted.json").touch()  # as `devproxy trust` writes it
    assert shake(client_context(new.root_pem.decode()), server.context, REGISTERED[0]).names
    assert shake(client_context(old.root_pem.decode()), server.context, REGISTERED[0]).client_error


def test_a_tld_that_is_added_is_served(tmp_path: Path) -> None:
    tlds = ["localhost"]
    server = served(tmp_path, tlds=lambda: tlds, is_registered=lambda _: True)
    server.prepare()
    assert server.context_for("web.shop.test") is None
    tlds.append("test")
    assert server.context_for("web.shop.test") is not None
    assert shake(client_context(roots(tmp_path)), server.context, "web.shop.test").names == ["web.shop.test"]


def test_a_service_that_is_gone_has_no_certificate_any_more(tmp_path: Path) -> None:
    registered = {"web.localhost"}
    server = served(tmp_path, is_registered=registered.__contains__)
    assert server.context_for("web.localhost") is not None
    registered.clear()
    assert server.context_for("web.localhost") is None


def test_an_authority_that_is_removed_is_made_anew(tmp_path: Path) -> None:
    server = served(tmp_path)
    first = roots(tmp_path), serial(server, tmp_path)
    shutil.rmtree(tmp_path / "ca")
    assert server.context_for(REGISTERED[0]) is not None
    assert (roots(tmp_path), serial(server, tmp_path)) != first


def test_the_least_recently_used_context_goes(tmp_path: Path) -> None:
    server = served(tmp_path, is_registered=lambda _: True)
    first = server.context_for("first.localhost")
    second = server.context_for("second.localhost")
    for number in range(MOST_CONTEXTS - 1):
        assert server.context_for("first.localhost") is first
        server.context_for(f"n{number}.localhost")
    assert server.context_for("first.localhost") is first
    assert server.context_for("second.localhost") is not second


def test_a_damaged_authority_is_an_alert_and_is_told_once(tmp_path: Path) -> None:
    told: list[DevproxyError] = []
    server = served(tmp_path, on_error=told.append)
    server.prepare()
    (authority,) = (tmp_path / "ca").iterdir()
    key = authority / "intermediate.key"
    content = key.read_bytes()
    key.unlink()
    for _ in range(3):
        assert answer_to(server.context, client_hello(REGISTERED[0].encode())) == b"\x15\x03\x03\x00\x02\x02\x50"
    assert ["is damaged" in str(one) for one in told] == [True]
    key.write_bytes(content)
    key.chmod(0o600)
    assert shake(client_context(roots(tmp_path)), server.context, REGISTERED[0]).names


def test_nothing_weaker_than_tls_1_2_with_ephemeral_keys_is_offered(folder: Path) -> None:
    context = served(folder).context_for(REGISTERED[0])
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    for cipher in context.get_ciphers():
        assert cipher["aead"]
        assert cipher["kea"] in ("kx-ecdhe", "kx-any")  # any: of TLS 1.3, which has no other
