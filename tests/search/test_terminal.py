"""Tests of `kerasweep.search.terminal`, over a pipe whose reader leaves."""

from __future__ import annotations

import os
import subprocess
import sys

WRITER = """
import sys
from kerasweep.search.terminal import terminal

console = terminal(stderr=sys.argv[1] == "stderr")
for number in range(1000):
    console.print(f"line {number}")
with open(sys.argv[2], "w") as file:
    file.write("went on to the end")
"""


def test_a_writer_goes_on_when_its_reader_has_left(tmp_path: os.PathLike[str]) -> None:
    """The rest goes nowhere, nothing is complained about, the exit code is 0; for both streams."""
    for stream in ("stdout", "stderr"):
        mark = os.path.join(tmp_path, stream)
        command = [sys.executable, "-c", WRITER, stream, mark]
        process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        read, other = (process.stdout, process.stderr) if stream == "stdout" else (process.stderr, process.stdout)
        assert read is not None
        assert other is not None
        assert read.readline() == "line 0\n"
        read.close()
        assert other.read() == ""
        other.close()
        assert process.wait(30) == 0
        with open(mark) as file:
            assert file.read() == "went on to the end"
