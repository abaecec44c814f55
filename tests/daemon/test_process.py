"""One process a state folder, whatever becomes of it; limits, loop and collector."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from devproxy.daemon import process as module
from devproxy.daemon.runtime import Running
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths
from devproxy.storage import files
from devproxy.storage.process_identity import start_time
from tests.waiting import DEADLINE

HOLD = """
import sys
from pathlib import Path
from devproxy.daemon.process import claim
from devproxy.paths import Paths
held = claim(Paths(Path(sys.argv[1]), Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "state", tmp_path / "state")


@pytest.fixture
def holder(paths: Paths) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has the claim."""
    argv = [sys.executable, "-c", HOLD, str(paths.state)]
    env = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_claim_keeps_others_out_until_it_is_released(paths: Paths) -> None:
    first = module.claim(paths)
    with pytest.raises(DevproxyError):
        module.claim(paths)
    first.release()
    first.release()
    module.claim(paths).release()


def test_who_has_it_is_told(paths: Paths, holder: "subprocess.Popen[str]") -> None:
    started = start_time(holder.pid)
    assert started is not None
    files.write_json(paths.proxy, Running(pid=holder.pid, started=started, http=7080))
    with pytest.raises(DevproxyError) as caught:
        module.claim(paths)
    assert caught.value.exit_code == Exit.BAD_NEWS
    assert caught.value.what.startswith(f"devproxy is already running (pid {holder.pid}, since 2")
    assert "http port 7080" in caught.value.what
    assert caught.value.fix.endswith(": devproxy stop")
    assert f"pid {holder.pid}" in caught.value.what


def test_one_that_has_not_said_yet_who_it_is_is_no_riddle(paths: Paths, holder: "subprocess.Popen[str]") -> None:
    with pytest.raises(DevproxyError) as caught:
        module.claim(paths)
    assert "already starting or stopping" in caught.value.what


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_killed_holder_leaves_nothing_stale(paths: Paths, holder: "subprocess.Popen[str]") -> None:
    files.write_json(paths.proxy, Running(pid=holder.pid, started=start_time(holder.pid) or 0))
    holder.send_signal(signal.SIGKILL)
    holder.wait(DEADLINE)
    module.claim(paths).release()


def test_a_child_of_the_holder_does_not_inherit_the_claim(paths: Paths) -> None:
    held = module.claim(paths)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    held.release()
    module.claim(paths).release()
    child.communicate(b"\n")


def test_a_state_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises((DevproxyError, FileExistsError)):
        module.claim(Paths(tmp_path / "state", tmp_path / "state"))


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_the_descriptor_limit_is_raised_to_the_hard_one() -> None:
    code = """
import resource
from devproxy.daemon.process import raise_descriptor_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 500))
print(raise_descriptor_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    env = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert said == "500 500 500\n"


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit(2) is Linux'")
def test_what_is_started_gets_the_limit_that_was_there_before() -> None:
    code = """
import resource, subprocess, sys
from devproxy.daemon.process import raise_descriptor_limit, restore_descriptor_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 500))
raise_descriptor_limit()
with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
    restore_descriptor_limit(child.pid)
    print(*resource.prlimit(child.pid, resource.RLIMIT_NOFILE), *resource.getrlimit(resource.RLIMIT_NOFILE))
    child.communicate(b"\\n")
restore_descriptor_limit(child.pid)  # it is gone: no error
"""
    env = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert said == "64 500 500 500\n"


@pytest.mark.parametrize("wanted", ["", "asyncio"])
def test_the_loop_is_the_fastest_there_is_unless_asked(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def loop_is_asyncio() -> int:
        return int(type(asyncio.get_running_loop()).__module__.startswith("asyncio"))

    monkeypatch.setenv("DEVPROXY_LOOP", wanted)
    assert module.run(loop_is_asyncio()) == bool(wanted)


def test_without_uvloop_it_is_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer() -> int:
        return 7

    monkeypatch.setitem(sys.modules, "uvloop", None)
    monkeypatch.setitem(sys.modules, "winloop", None)
    assert module.run(answer()) == 7


def test_a_cancellation_passes_where_warnings_are_errors() -> None:
    """As mypyc's coroutines hand it on: with three arguments, which Python 3.12 and later warn about."""
    code = """
import asyncio
from devproxy.daemon import process

async def wait() -> None:
    await asyncio.Event().wait()

async def main() -> int:
    waiting = wait()
    waiting.send(None)
    try:
        waiting.throw(asyncio.CancelledError, asyncio.CancelledError("enough"), None)
    except BaseException as error:
        print(repr(error))
    return 0

process.run(main())
"""
    env = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2]), "DEVPROXY_LOOP": "asyncio"}
    argv = [sys.executable, "-W", "error", "-c", code]
    said = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout
    assert said == "CancelledError('enough')\n"


def test_what_is_there_at_the_end_of_the_start_is_frozen() -> None:
    before = gc.get_threshold()
    try:
        module.settle_memory()
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold()[0] > before[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def test_garbage_that_was_frozen_before_the_start_is_found() -> None:
    class Ring:
        def __init__(self) -> None:
            self.me = self

    before = gc.get_threshold()
    ring = Ring()
    gone = weakref.ref(ring)
    try:
        gc.freeze()
        del ring
        assert gone() is not None
        module.settle_memory()
        assert gone() is None
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
