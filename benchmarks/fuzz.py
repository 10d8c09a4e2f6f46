"""Fuzzed sweep files by the thousand: each is planned or refused in one line, without a traceback or user code run.

    python benchmarks/fuzz.py [--cases 10000] [--seed 1] [--first 0]

Every case is a function of the seed and its number; what fails is printed with both, and the file is kept beside.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.security.command import command
from tests.security.mutations import MODEL, cases
from tests.security.test_fuzzed_files import check

SLOW_S = 1.0
MOST_BYTES = 2_000_000_000


def main() -> None:
    """Run the cases; exit 1 where one is not answered as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    kept = Path.cwd() / "fuzz-failures"
    failures, slowest = 0, (0.0, -1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("model.py").write_text(MODEL)
        command("plan", "--no-code", "sweep.yaml")  # whatever is imported late is imported now
        for case in cases(given.cases, given.seed, given.first):
            try:
                seconds = check(case)
                if seconds > SLOW_S:
                    raise AssertionError(f"case {case.seed} took {seconds:.1f} s")
            except Exception as error:
                failures += 1
                kept.mkdir(exist_ok=True)
                (kept / f"{given.seed}-{case.seed}.yaml").write_bytes(case.data)
                print(
                    f"seed {given.seed}, case {case.seed}, --set {case.settings!r:.200}: {type(error).__name__} {error!s:.600}"
                )
                continue
            slowest = max(slowest, (seconds, case.seed))
    print(
        f"{given.cases} files, seed {given.seed}: {failures} failures, slowest {slowest[0]:.2f} s (case {slowest[1]}), "
        f"{time.monotonic() - began:.0f} s in all"
    )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
