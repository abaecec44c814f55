"""Orphans come to us and are killed; supervisors and older children are left alone."""

import subprocess
import sys
from pathlib import Path

from tests import require
from tests.waiting import PROGRAM_DEADLINE

# In a process of its own: a subreaper it stays for life.
SCRIPT = """
import os, subprocess
from devproxy.run import supervisor as module
old = subprocess.Popen(["sleep", "600"])
before = module.expect_orphans()
assert before == {old.pid}
supervisor = subprocess.Popen(["sleep", "600"])
module.adopt_expected(supervisor.pid)
parent = subprocess.Popen(["sh", "-c", "sh -c 'sleep 600 & echo $!; wait' & sleep 600"], stdout=subprocess.PIPE)
grandchild = int(parent.stdout.readline())
parent.kill()
parent.wait()
module.end_orphans(before)
assert not os.path.exists(f"/proc/{grandchild}")
assert old.poll() is None and supervisor.poll() is None
old.kill()
module.expect_no_more(supervisor.pid)
module.end_orphans(frozenset())
"""


def test_orphans_are_killed_and_others_are_not() -> None:
    require.linux()
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, timeout=PROGRAM_DEADLINE, check=False
    )
    assert done.returncode == 0, done.stderr
