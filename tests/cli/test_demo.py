"""`devproxy demo`: it works, it tells its story, and nothing is left behind."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from devproxy.cli import demo
from devproxy.cli.demo import sample_service
from devproxy.errors import DevproxyError
from devproxy.text import quote
from tests import require
from tests.cli.command import Home, services
from tests.waiting import DEADLINE, wait_until


def test_the_demo_works_and_leaves_nothing(home: Home) -> None:
    scratch = home.folder / "tmp"
    scratch.mkdir()
    done = home.run("demo", TMPDIR=str(scratch))
    assert (done.code, done.err) == (0, ""), done.out
    assert re.search(r"GET http://web\.demo\.localhost:\d+/\n +200  This is web, on port \d+\.", done.out)
    assert re.search(r"GET http://api\.demo\.localhost:\d+/\n +200  This is api, on port \d+\.", done.out)
    assert list(scratch.iterdir()) == []
    assert not home.registry.exists()
    pid = re.search(r"pid (\d+)", done.out)
    assert pid is not None
    assert not psutil.pid_exists(int(pid[1]))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_it_stays_until_it_is_told_to_end(home: Home, number: signal.Signals, code: int) -> None:
    scratch = home.folder / "tmp"
    scratch.mkdir()
    log = home.folder / "demo.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "devproxy", "demo", "--stay"],
            env=home.environment(TMPDIR=str(scratch)),
            cwd=home.folder,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: "Ctrl-C ends it" in log.read_text() or process.poll() is not None, "the demo")
        children = psutil.Process(process.pid).children()
        os.kill(process.pid, number)
        assert process.wait(DEADLINE) == code, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert list(scratch.iterdir()) == []
    assert not any(child.is_running() for child in children)


def test_a_proxy_that_does_not_start_is_explained(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    log = tmp_path / "serve.log"
    log.write_text("port 7080 is busy\n")
    try:
        with pytest.raises(DevproxyError, match="the proxy did not start") as raised:
            demo._ready(process, tmp_path, log)
    finally:
        process.wait(DEADLINE)
    assert raised.value.why == "port 7080 is busy"


def test_a_wrong_answer_is_bad_news(capsys: pytest.CaptureFixture[str]) -> None:
    with sample_service("web") as web, sample_service("api") as api:
        assert not demo._ask(web, api.port)
        assert demo._ask(web, web.port)
    assert not demo._ask(web, web.port)
    assert "no answer: " in capsys.readouterr().out


@pytest.mark.parametrize("on_path", [False, True])
def test_its_last_lines_can_be_typed_as_they_stand(home: Home, on_path: bool, tmp_path: Path) -> None:
    require.program("sh")
    programs = tmp_path / "bin"
    programs.mkdir()
    if on_path:
        (programs / "devproxy").write_text(f'#!/bin/sh\nexec {quote(sys.executable)} -m devproxy "$@"\n')
        (programs / "devproxy").chmod(0o755)
    path = os.pathsep.join((str(programs), *os.defpath.split(os.pathsep)))
    lines = home.run("demo", PATH=path).out.rstrip().splitlines()[-2:]
    assert lines[0].split()[-3:] == ["add", "web", "5173"]
    assert lines[1].endswith(" start")
    assert all(line.split()[0] == "devproxy" for line in lines) is on_path
    environment = home.environment(PATH=path)
    done = subprocess.run(["sh", "-c", lines[0]], cwd=home.folder, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout.startswith(b"http://web.localhost")) == (0, True), done
    assert "web" in services(home)


# The demo's services, by themselves


def test_a_sample_says_who_it_is() -> None:
    with sample_service("web") as sample:
        url = f"http://127.0.0.1:{sample.port}/"
        with urllib.request.urlopen(url, timeout=DEADLINE) as response:
            assert response.read().decode() == sample.answer(f"127.0.0.1:{sample.port}") + "\n"
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=DEADLINE)
