"""git over HTTP through a name: clone, fetch and push with git's own `http-backend`.

Lives here: a small CGI server around `git http-backend` (gitprotocol-http(5)), and what git does with it: compressed
request bodies, chunked ones above `http.postBuffer`, and answers that come in pieces.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.origin import Answer, Handler, origin
from tests.e2e.processes import clean_environment
from tests.e2e.proxy import Devproxy
from tests.require import program
from tests.waiting import PROGRAM_DEADLINE

pytestmark = pytest.mark.e2e


def git(*argv: str, cwd: Path, **env: str) -> str:
    names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
    identity = dict.fromkeys(names, "test@example.com")
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(
        [program("git"), *argv],
        cwd=cwd,
        env=clean_environment(identity | settings | env),
        capture_output=True,
        text=True,
        timeout=PROGRAM_DEADLINE,
        check=False,
    )
    assert done.returncode == 0, f"git {argv}: {done.stderr}"
    return done.stdout + done.stderr


def backend(repositories: Path) -> Answer:
    """A handler that runs `git http-backend` for each request (RFC 3875 in miniature)."""

    def answer(handler: Handler) -> None:
        path, _, query = handler.path.partition("?")
        body = handler.body()
        done = subprocess.run(
            [program("git"), "http-backend"],
            input=body,
            capture_output=True,
            timeout=PROGRAM_DEADLINE,
            check=False,
            env=clean_environment(
                {
                    "GIT_PROJECT_ROOT": str(repositories),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "GIT_PROTOCOL": handler.headers.get("Git-Protocol", ""),
                    "REQUEST_METHOD": handler.command,
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": handler.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding", ""),
                    "REMOTE_USER": "test",
                    "REMOTE_ADDR": "127.0.0.1",
                }
            ),
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
        kept = [(name, value) for name, value in fields if name != "Status"]
        handler.reply(content, *kept, status=status)

    return answer


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A bare repository with one commit, as `/code.git`."""
    work = tmp_path / "work"
    work.mkdir()
    git("init", "-q", "-b", "main", cwd=work)
    (work / "file").write_bytes(os.urandom(300_000))
    git("add", "file", cwd=work)
    git("commit", "-q", "-m", "first", cwd=work)
    bare = tmp_path / "repositories" / "code.git"
    git("clone", "-q", "--bare", str(work), str(bare), cwd=tmp_path)
    git("config", "http.receivepack", "true", cwd=bare)
    return bare


def through(devproxy: Devproxy) -> list[str]:
    """git's settings: where the name is, and no proxy but ours."""
    return ["-c", f"http.curloptResolve=git.localhost:{devproxy.port}:127.0.0.1", "-c", "http.proxy="]


def test_clone_push_and_fetch(serve: Callable[[str], Devproxy], repository: Path, tmp_path: Path) -> None:
    with origin(backend(repository.parent)) as service:
        devproxy = serve(f"[services.git]\nport = {service.port}\n")
        url, options = devproxy.url("git.localhost", "/code.git"), through(devproxy)
        for name in ("one", "two"):
            git(*options, "clone", "-q", url, name, cwd=tmp_path)
        one, two = tmp_path / "one", tmp_path / "two"
        assert (one / "file").read_bytes() == (tmp_path / "work" / "file").read_bytes()

        (one / "more").write_bytes(os.urandom(2 << 20))  # above http.postBuffer: pushed in chunks
        git("add", "more", cwd=one)
        git("commit", "-q", "-m", "second", cwd=one)
        git(*options, "push", "-q", "origin", "main", cwd=one)
        git(*options, "pull", "-q", cwd=two)

        assert (two / "more").read_bytes() == (one / "more").read_bytes()
        assert git("rev-parse", "main", cwd=repository) == git("rev-parse", "main", cwd=one)
        git("fsck", "--strict", cwd=repository)
    pushed = [seen for seen in service.record.requests if seen.path.endswith("/git-receive-pack")]
    assert any(seen.headers.get("transfer-encoding") == "chunked" for seen in pushed)


def test_a_clone_with_many_refs_compresses_what_it_asks(
    serve: Callable[[str], Devproxy], repository: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    for number in range(60):
        git("commit", "-q", "--allow-empty", "-m", f"commit {number}", cwd=work)
        git("tag", f"t{number}", cwd=work)
    git("push", "-q", "--tags", str(repository), "main", cwd=work)
    with origin(backend(repository.parent)) as service:
        devproxy = serve(f"[services.git]\nport = {service.port}\n")
        url = devproxy.url("git.localhost", "/code.git")
        git(*through(devproxy), "clone", "-q", url, "copy", cwd=tmp_path)
    assert len(git("tag", cwd=tmp_path / "copy").split()) == 60
    encodings = [seen.headers.get("content-encoding") for seen in service.record.requests]
    assert "gzip" in encodings
