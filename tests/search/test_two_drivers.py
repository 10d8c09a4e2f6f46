"""Two drivers that start on one sweep at the same moment, a hundred times."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

RACE = """
import os, socket, sys
from pathlib import Path
from kerasweep.spaces.errors import SweepHeld
from kerasweep.trackers.journal import Journal

def drive(folder, go, done, said):
    go.read(1)
    try:
        journal = Journal(folder)
    except SweepHeld as error:
        os.write(said, str(error).encode())
        return error.exit_code
    done.read(1)
    journal.close()
    return 0

for number in range(int(sys.argv[2])):
    folder = Path(sys.argv[1]) / str(number)
    folder.mkdir()
    (go, start), (done, end), (hear, said) = os.pipe(), os.pipe(), os.pipe()
    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            os.close(start), os.close(end), os.close(hear)
            os._exit(drive(folder, open(go, "rb"), open(done, "rb"), said))
        pids.append(pid)
    os.close(go), os.close(done), os.close(said)
    os.close(start)
    second, status = os.wait()
    (first,) = set(pids) - {second}
    words = os.read(hear, 1000).decode()
    os.close(end), os.close(hear)
    _, other = os.waitpid(first, 0)
    codes = os.waitstatus_to_exitcode(other), os.waitstatus_to_exitcode(status)
    assert codes == (0, 4), (number, codes, words)
    assert f"pid {first} on {socket.gethostname()} since 2" in words, (number, first, words)
"""


def test_one_of_two_drivers_runs_and_the_other_names_it(tmp_path: Path) -> None:
    """A hundred times: the second one's exit code is 4, at once, and it says process, machine and since when."""
    began = time.monotonic()
    command = [sys.executable, "-c", RACE, str(tmp_path), "100"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 60.0
