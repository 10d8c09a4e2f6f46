"""Seeded kills of every process of a real sweep of twenty trials: three of each kind. `benchmarks/chaos.py` has fifty."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .kills import ENDING, PASSING, Server, strike, tiny
from .rig import Rig

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give an MLflow server that may be killed."""
    one = Server(tmp_path_factory.mktemp("server"))
    one.start()
    one.wait()
    yield one
    one.kill()


@pytest.mark.parametrize("round", range(3))
def test_a_sweep_survives_the_kill_of_each_of_its_processes(
    round: int, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Driver, raylet, GCS, actor, trainer, tracker and MLflow server: no trial lost or run twice, MLflow as the journal."""
    draw = random.Random(seed := random.randrange(1_000_000))
    monkeypatch.setenv("KERASWEEP_RIG", str(tmp_path))
    passing, ending = draw.sample(PASSING, 4), draw.sample(ENDING, 3)
    sessions = [[*passing[:2], ending[0]], [passing[2], ending[1]], [passing[3], ending[2]]]
    sweep: Rig = tiny(tmp_path, seed, uri=server.uri)
    try:
        blows = strike(sweep, sessions, draw, server)
    except BaseException as error:
        error.add_note(f"round {round}, seed {seed}: {sessions}")
        raise
    finally:
        sweep.close()
    assert Counter(one.kind for one in blows) == Counter([*PASSING, *ENDING]), f"seed {seed}: not all came to pass"
