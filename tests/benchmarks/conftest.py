"""Lets tests import the benchmarks as these import each other; what is installed goes first."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
