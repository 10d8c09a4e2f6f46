"""What `doctor` tries in a process of its own, since it takes seconds or may crash:

python -m kerasweep.search.probe tensorflow | ray | mlflow URI [EXPERIMENT_ID]     (prints one line of JSON)
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from ..spaces.errors import KerasweepError, one_line

Answer = dict[str, str]
GPU_DEVICES = ("nvidia[0-9]*", "kfd", "dxg")


def tensorflow() -> Answer:
    """Import TensorFlow and Keras, compute something, and look for graphics processors."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    began = time.monotonic()
    import keras
    import tensorflow

    library = cast(Any, tensorflow)
    devices = library.config.list_physical_devices("GPU")
    if float(library.reduce_sum(library.ones((2, 2)))) != 4.0:
        return {
            "state": "bad",
            "said": "TensorFlow computes wrongly",
            "mend": "pip install --force-reinstall tensorflow",
        }
    here = sorted(str(path) for pattern in GPU_DEVICES for path in Path("/dev").glob(pattern))
    seconds = time.monotonic() - began
    names = ", ".join(one.name.rpartition(":")[0][-3:] + one.name[-2:] for one in devices) or "no GPU"
    said = (
        f"TensorFlow {library.__version__}, Keras {cast(Any, keras).__version__}, {names}; imported in {seconds:.1f} s"
    )
    if here and not devices:
        said = f"{said}, though this machine has {', '.join(here[:4])}"
        return {"state": "bad", "said": said, "mend": "pip install 'kerasweep[gpu]', and look at `nvidia-smi`"}
    return {"state": "ok", "said": said, "mend": ""}


def ray() -> Answer:
    """Start a Ray as a sweep does, have it run something, and end it."""
    from ..cluster.ray_session import RaySession

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ks-") as folder:
        session = RaySession(Path(folder) / "ray", slots=1)
        try:
            whole = session.wait()
            import ray

            library = cast(Any, ray)

            def number() -> int:
                return os.getpid()

            answer = library.get(library.remote(number).remote(), timeout=60)
        finally:
            session.close()
    seconds = time.monotonic() - began
    if not isinstance(answer, int):
        return {"state": "bad", "said": "a Ray worker answers nonsense", "mend": "pip install --force-reinstall ray"}
    said = f"Ray {library.__version__} starts, works and ends, {whole.total.get('CPU', 0):g} cpus, {whole.total.get('GPU', 0):g} gpus; {seconds:.1f} s"
    return {"state": "ok", "said": said, "mend": ""}


def mlflow(uri: str, experiment_id: str = "") -> Answer:
    """Open a tracking store, look into it, and write where that leaves no trace: a tag of a sweep's own experiment."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
        is_new = database is not None and not database.exists()
        store = f"sqlite:///{folder}/mlflow.db" if is_new else uri
        if database is not None and not is_new:
            _try_to_write(database)
        from ..trackers.mlflow_runs import prepare_environment

        prepare_environment()
        from mlflow import MlflowClient
        from mlflow.version import VERSION

        client = cast(Any, MlflowClient(tracking_uri=store))
        count = len(client.search_experiments())
        if experiment_id:
            client.set_experiment_tag(experiment_id, "kerasweep.doctor", time.strftime("%F %T"))
        elif is_new:
            client.create_experiment("kerasweep-doctor")
    seconds = time.monotonic() - began
    what = "will be made" if is_new else f"has {count} experiments"
    return {"state": "ok", "said": f"MLflow {VERSION}; {one_line(uri)} {what}; {seconds:.1f} s", "mend": ""}


def _try_to_write(database: Path) -> None:
    with closing(sqlite3.connect(database, timeout=5.0, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")


PROBES: Mapping[str, Callable[..., Answer]] = {"tensorflow": tensorflow, "ray": ray, "mlflow": mlflow}
MENDS = {
    "tensorflow": "pip install --force-reinstall tensorflow keras",
    "ray": "pip install --force-reinstall 'ray[tune]'; its logs are in its temporary folder",
    "mlflow": "look whether the tracker is up and may be written to; `track: {uri: …}` names another",
}


def main() -> None:
    """Run one probe and print its answer, whatever it prints itself."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.umask(0o077)
    name, *arguments = sys.argv[1:]
    try:
        answer = PROBES[name](*arguments)
    except KerasweepError as error:
        answer = {"state": "bad", "said": one_line(str(error), 300), "mend": MENDS[name]}
    except Exception as error:
        answer = {"state": "bad", "said": one_line(f"{type(error).__name__}: {error}", 300), "mend": MENDS[name]}
    channel.write(json.dumps(answer) + "\n")
    channel.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
