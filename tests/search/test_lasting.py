"""Tests of `kerasweep.search.lasting`, over a pipe whose reader leaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WRITER = """
import sys
from kerasweep.search.lasting import lasting_terminal

console = lasting_terminal(stderr=sys.argv[1] == "stderr")
console.print("line 0")
sys.stdin.read()  # until the reader has left
for number in range(300):
    console.print(f"line {number}")
with open(sys.argv[2], "w") as file:
    file.write("went on to the end")
"""


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_writer_goes_on_when_its_reader_has_left(
    unbuffered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest goes nowhere, nothing is complained about, the exit code is 0; for both streams."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    for stream in ("stdout", "stderr"):
        mark = str(tmp_path / stream)
        command = [sys.executable, "-c", WRITER, stream, mark]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe)
        read, other = (process.stdout, process.stderr) if stream == "stdout" else (process.stderr, process.stdout)
        assert read is not None
        assert other is not None
        assert process.stdin is not None
        assert read.readline() == "line 0\n"
        read.close()
        process.stdin.close()
        assert other.read() == ""
        other.close()
        assert process.wait(30) == 0
        with open(mark) as file:
            assert file.read() == "went on to the end"
