"""The driver: one process that runs one sweep from its journal. It imports Ray Tune and Optuna, never TensorFlow.

    python -m kerasweep.search.driver CHANNEL     (standard input: `Job` as JSON; CHANNEL: a descriptor to tell on)

All that takes long starts at once: the fork server imports TensorFlow and the user's code, Ray starts on a thread,
Optuna is imported here. Nothing is left behind when the user's code is refused: the sweep's folder gets its name only
after that.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, final

from ..cluster.credentials import taken
from ..cluster.finding import Finding
from ..cluster.forkserver import ForkServer
from ..cluster.members import Check, Members
from ..cluster.placement import Node, Shape
from ..cluster.program import Program, write_sources
from ..cluster.ray_session import RayDied, RaySession
from ..cluster.slot import SlotSetup
from ..cluster.versions import versions
from ..spaces.errors import BadInput, Infrastructure, KerasweepError, SweepHeld, lacking, one_line
from ..trackers.events import Noticed
from ..trackers.journal import Journal, Lock, Reader
from ..trackers.redaction import mask, redact, secrets_of
from . import sweeps
from .claim import Past, PlaceCheck
from .copies import Copier
from .engine import Engine
from .inbox import discard
from .job import ALIVE, SCRATCH, Job
from .ledger import Ledger, begin
from .origin import installed_versions
from .place import join
from .settings import checkpoints_of, settings_of
from .signals import Interrupt, exit_code, handle
from .spec import SweepSpec

logger = logging.getLogger(__name__)

IMPORTS = ("optuna", "scipy.special", "ray.tune", "ray.tune.search", "ray.tune.schedulers")
INSPECTION_S = 600.0
"""A look at the model and the data may take so long; once an epoch was trained it refuses nothing any more."""
EVENT_S = 0.02
"""A chunk of reports covers at least so many seconds per slot, so that the driver (5 ms an event) keeps up, grown too."""
JOIN_S = 60.0
"""The nodes of a cluster have so long to say what they have; one that answers later is used from then on."""
GROWTH = 4
"""Without `parallel`, so many times the slots of a cluster's start may be in use at a time, as it grows."""
TRACKER_S = 30.0
"""The tracker starts once a trial has reported (its imports would delay that), at the latest after so many seconds."""
PLACE_S = 10.0
"""The storage may take so long to say whose it is, from when Ray is up; the first copy asks again."""
LAST_COPY_S, HURRIED_COPY_S = 10.0, 3.0
"""A sweep's last copy to its storage may take so long; less when it was interrupted."""
Tell = Callable[[Mapping[str, Any]], None]


@final
class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into an exit code to ask for; before the sweep runs, into an exception."""

    def __init__(self) -> None:
        self.code = 0
        self.running = False

    def install(self) -> None:
        """Handle the signals from now on."""
        handle(self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.code = exit_code(number)
        if not self.running:
            raise Interrupt(self.code)

    def check(self) -> None:
        """Raise for a signal whose exception was lost, as one is that comes while a library is being imported.

        Raises:
            Interrupt: there was one.
        """
        if self.code:
            raise Interrupt(self.code)


@final
class Driver:
    """Runs one job in this process."""

    def __init__(self, job: Job, tell: Tell = lambda _: None, signals: Signals | None = None) -> None:
        self._job = job
        self._tell = tell
        self._signals = signals or Signals()
        self._spec = SweepSpec.from_json(job.spec)
        self._folder = Path(job.folder)
        self._scratch = Path(job.scratch or tempfile.mkdtemp(prefix="ks-"))
        self._tracker: Tracker | None = None
        self._credentials: Mapping[str, str] = {}
        self._mistakes: list[Finding] = []
        self._refused = False
        self._began_ns = time.time_ns()
        self._secrets = secrets_of(os.environ)
        os.environ[SCRATCH] = str(self._scratch)

    def run(self) -> int:
        """Run the sweep to its end; return the exit code.

        Raises:
            KerasweepError: it could not begin, or could not go on.
        """
        program = Program.from_json(self._job.program)
        logs = Path(self._job.staging or self._job.folder) / "logs"
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        slots = self._slots_wanted()
        cpu, gpu = self._spec.resources.cpu, self._spec.resources.gpus
        looks = settings_of(self._spec, "").to_json() if self._job.staging and not self._job.force else None
        log = logs / "trainers.log"
        journal = None if self._job.staging else Journal(self._folder)  # first: a second driver hears of it at once
        server: ForkServer | None = None
        ray: RaySession | None = None
        alive = Lock(self._scratch / ALIVE)
        copier: Copier | None = None
        try:
            alive.acquire()
            place = self._looked_at_place()
            self._credentials = taken(os.environ)
            server = ForkServer(self._scratch, program, warm=slots, cpu=cpu, gpu=gpu, log=log, settings=looks)
            ray = RaySession(self._scratch / "ray", slots=slots, address=self._spec.cluster.address)
            for name in IMPORTS:  # while TensorFlow is, too
                importlib.import_module(name)
            logger.info("Optuna, SciPy and Ray Tune are imported")
            self._signals.check()
            members = None if self._spec.cluster.address is None else self._join(ray)
            self._check_program(server)
            logger.info("the model's code and data are loaded")
            self._signals.check()
            whole = ray.wait()
            logger.info("Ray is up: %s", whole)
            slots = self._slots(whole) if members is None else self._ceiling(members)
            if place is not None:
                place.wait(PLACE_S)
            self._signals.running = True  # from here on the engine ends the sweep, in good order
            journal = journal or self._begin(program)
            self._tell({"type": "started", "folder": str(self._folder)})
            ledger = self._ledger(journal)
            if members is not None:
                ledger.record(*(Noticed(text=text) for text in members.refused.values()))
                members.tell = ledger.notice
                members.avoided = lambda names: ledger.state.avoided(names)
            if looks is not None:
                threading.Thread(target=self._inspect, args=(server,), name="inspection", daemon=True).start()
            if self._spec.storage:
                copier = Copier(self._folder, self._spec.storage, notice=ledger.notice)
            engine = self._engine(ledger, slots, ray, members, copier)
            with ray.prestarted_actors():
                self._run(engine, ledger, whole, members, server)
            self._refuse_bad_start(ledger)
            self._watch_tracker(patience_s=0)  # it delivers the rest, also of a sweep that ended before a first report
            return self._exit_code(ledger)
        except RayDied:
            raise Infrastructure(f"Ray died under {self._spec.name}; what was journaled is safe") from None
        finally:
            self._signals.running = True
            try:
                if copier is not None and not self._refused:
                    copier.finish(HURRIED_COPY_S if self._signals.code else LAST_COPY_S)
                if journal is not None:
                    journal.close()
            finally:
                if self._refused:
                    shutil.rmtree(self._folder, ignore_errors=True)
                if server is not None:
                    server.close()
                if not self._refused:  # then the reason is still to come
                    self._tell({"type": "ended"})
                if ray is not None:
                    ray.close()
                os.environ.pop(SCRATCH, None)
                os.environ.update(self._credentials)
                alive.release()
                shutil.rmtree(self._scratch, ignore_errors=True)

    # Before -----------------------------------------------------------------------------------------------------------

    def _slots_wanted(self) -> int:
        resources = self._spec.resources
        if resources.gpus:
            return self._spec.parallel or 1
        return self._spec.parallel or max(1, (os.cpu_count() or 1) // resources.cpu)

    def _looked_at_place(self) -> PlaceCheck | None:
        """Begin to see whether the storage is this sweep's to write to."""
        if not self._spec.storage:
            return None
        past = Past() if self._job.staging else Past.of(self._folder / "journal.db")
        return PlaceCheck(join(self._spec.storage, self._folder.name), past)

    def _check_program(self, server: ForkServer) -> None:
        verdict = server.checked()
        if verdict["type"] == "refused":
            raise BadInput(f"the model's code cannot be used: {verdict['reason']}")

    def _inspect(self, server: ForkServer) -> None:
        """Take in what the first trainer has found in model and data, while the actors start."""
        with suppress(OSError):  # the sweep is over
            self._mistakes = [Finding.from_json(one) for one in server.inspected(INSPECTION_S)]
            logger.info("the model and the data are looked at: %d errors", len(self._mistakes))

    def _refuse_mistakes(self, *, begun: bool) -> None:
        """End a sweep that training cannot mend; it leaves nothing behind, since nothing has `begun`: no trial, no run.

        Raises:
            BadInput: there is such a mistake; the line has the first one.
        """
        found, self._mistakes = self._mistakes, []
        if found and not begun:
            self._refused = True
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            raise BadInput(f"{found[0].line}{more}; `kerasweep plan` shows all, `--force` runs it all the same")

    def _refuse_bad_start(self, ledger: Ledger) -> None:
        """Refuse a sweep whose first trial has shown bad input, such as a starting point that its model cannot have.

        Raises:
            BadInput: it is one, of which nobody has seen anything yet.
        """
        ended = ledger.history.ended
        if ended is not None and ended.exit_code == BadInput.exit_code and self._job.staging and self._tracker is None:
            self._refused = True
            raise BadInput(ended.why)

    def _begin(self, program: Program) -> Journal:
        """Begin a new sweep: its folder gets its name in one step, its journal's first event already in it.

        Survives: there is no sweep of the name, or a whole one that has begun.
        """
        staging = Path(self._job.staging)
        (staging / "sweep.json").write_text(json.dumps(self._job.spec, indent=1))
        write_sources(program.sources, staging / "code")
        with Journal(staging) as journal:
            origin = dict(self._job.origin or {})
            begin(journal, self._spec, versions=installed_versions(), origin=origin, secrets=self._secrets)
        sweeps.settle(staging, self._folder)
        return Journal(self._folder)

    def _ledger(self, journal: Journal) -> Ledger:
        """Take up the sweep: a new one that has just begun, or one that another driver has left."""
        if self._job.staging:
            with Reader(self._folder) as reader:
                return Ledger(journal, self._spec, reader.after(), secrets=self._secrets)
        discard(self._folder, self._began_ns)
        return begin(journal, self._spec, versions=installed_versions(), origin={}, secrets=self._secrets)

    def _slots(self, machine: Node, shape: Shape | None = None) -> int:
        """Return how many trials run at a time, where a slot takes `shape`; what it takes at first, by default.

        Raises:
            BadInput: the cluster cannot run even one, or fewer than asked for.
        """
        want = self._spec.resources
        fits = machine.fits(shape or want.shape)
        parallel = min(fits, self._spec.parallel or fits) if want.packs else self._spec.parallel or fits
        if fits < max(1, parallel):
            raise BadInput(f"this machine has {machine}, the sweep asks for {parallel or 1} x ({want.shape})")
        return parallel

    def _join(self, ray: RaySession) -> Members:
        """Ask the nodes of the cluster what they have; they answer while TensorFlow is imported here."""
        ray.wait()
        check = node_check(self._folder, self._spec.storage)
        members = Members(self._spec.resources.shape, check, f"{self._spec.name}-{secrets.token_hex(4)}")
        members.look()
        return members

    def _ceiling(self, members: Members) -> int:
        """Return how many trials may ever run at a time on a cluster that may grow, once its nodes have answered.

        Raises:
            BadInput: no node has room for one, even if nobody else used it; or one does not see the sweep's folder.
        """
        deadline = time.monotonic() + JOIN_S
        while not members.settled and time.monotonic() < deadline:
            members.look()
            self._signals.check()
            time.sleep(0.1)
        if members.blind:
            raise BadInput(members.refused[members.blind[0]])
        fits = members.capacity
        if not fits:
            have = "; ".join(str(node) for node in members.nodes) or "no node can be used"
            why = "".join(f"; {text}" for text in members.refused.values())
            raise BadInput(f"no node of the cluster has room for a trial ({self._spec.resources.shape}): {have}{why}")
        return self._spec.parallel or GROWTH * fits

    # During -------------------------------------------------------------------------------------------------------------

    def _engine(
        self, ledger: Ledger, slots: int, ray: RaySession, members: Members | None, copier: Copier | None
    ) -> Engine:
        at_once = slots if members is None else min(slots, members.capacity)
        self._chunk_s = max(1.0, at_once * EVENT_S)
        began = time.monotonic()

        def watch() -> None:
            ray.check()
            self._refuse_mistakes(begun=engine.heard or self._tracker is not None)
            closing = ledger.state.closing
            bad = closing is not None and closing.exit_code == BadInput.exit_code  # nobody is to see anything of it
            if not bad and (engine.heard or time.monotonic() - began > TRACKER_S):
                self._watch_tracker()
            if copier is not None:
                copier.look(sum(ledger.state.ended.values()))
                if copier.taken:
                    engine.cleaner.finish(0)  # what is there is another one's
                    engine.cancel(f"storage: {copier.taken}", SweepHeld.exit_code)

        engine = Engine(
            ledger, self._folder, slots, members=members, interrupted=lambda: self._signals.code, watch=watch
        )
        return engine  # named, since `watch` looks at it

    def _watch_tracker(self, patience_s: float = 3.0) -> None:
        """Start the tracker, and again when it died, so many seconds after it was started last."""
        if not self._job.track:
            return
        if self._tracker is None:
            self._tracker = Tracker(self._folder, self._credentials)
            self._tell({"type": "stays"})  # what MLflow has is refused no more
        self._tracker.keep_alive(patience_s)

    def _run(self, engine: Engine, ledger: Ledger, whole: Node, members: Members | None, server: ForkServer) -> None:
        """Run the sweep; where slots take another share of a graphics processor, the old ones end and new ones start."""
        while True:
            shape = self._spec.resources.shape_at(ledger.state.packing.share)
            if self._spec.resources.packs:
                engine.repacked(self._slots_of(shape, whole, members), members)
            share = ledger.state.packing.share
            engine.run(self._trainable(server, shape), self._request(members, shape), self._scratch / f"tune-{share}")
            if ledger.state.finished or not engine.repacking:
                return

    def _slots_of(self, shape: Shape, whole: Node, members: Members | None) -> int:
        if members is None:
            return self._slots(whole, shape)
        members.reshape(shape)
        return self._spec.parallel or GROWTH * members.capacity

    def _trainable(self, server: ForkServer, shape: Shape) -> type[Any]:
        from ..cluster.actor import trainable

        spec, limits = self._spec, self._spec.limits
        settings = settings_of(spec, checkpoints_of(spec, self._folder))
        return trainable(
            SlotSetup(
                program=self._job.program,
                settings=settings.to_json(),
                socket=str(server.socket),
                logs=str(self._folder / "logs"),
                versions={} if spec.cluster.address is None else versions(),
                cpu=spec.resources.cpu,
                gpu=shape.gpu,
                chunk_s=self._chunk_s,
                trial_s=limits.trial_s,
                silence_s=limits.silence_s,
                memory_bytes=None if limits.memory_gb is None else limits.memory_gb * 1e9,
            )
        )

    def _request(self, members: Members | None, shape: Shape) -> Any:
        if members is not None:
            return members.request()
        from ray import tune

        return tune.PlacementGroupFactory([shape.bundle])

    def _exit_code(self, ledger: Ledger) -> int:
        ended = ledger.history.ended
        if ended is None:
            raise Infrastructure("Ray Tune ended before the sweep did; what was journaled is safe")
        return ended.exit_code


@final
class Tracker:
    """The tracker process, kept alive; it outlives the driver to deliver what is left."""

    def __init__(self, folder: Path, credentials: Mapping[str, str]) -> None:
        self._folder = folder
        self._credentials = credentials
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    def keep_alive(self, patience_s: float) -> None:
        """Start it where it does not run, unless it was started in the last `patience_s` seconds."""
        dead = self._process is None or self._process.poll() is not None
        if dead and time.monotonic() - self._started_at >= patience_s:
            self._started_at = time.monotonic()
            self._process = start_tracker(self._folder, self._credentials)
            threading.Thread(target=self._process.wait, name="tracker", daemon=True).start()  # no zombie, no warning


def node_check(folder: Path, storage: str) -> Check:
    """Return what each node of a cluster must have, and see of where a sweep's checkpoints are kept.

    Raises:
        BadInput: nothing can be written there.
    """
    if "://" in storage:
        return Check(versions=versions(), file=join(storage, folder.name), storage=storage)
    place = Path(storage) if storage else folder.parent
    try:
        mark = sweeps.folder_mark(place)
        return Check(versions=versions(), file=str(mark), text=mark.read_text(), storage=storage)
    except OSError as error:
        raise BadInput(
            f"{place} cannot be written to ({error.strerror}); expected a folder that all nodes share"
        ) from error


def start_tracker(folder: Path, credentials: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the process that delivers the sweep in `folder` to MLflow, the only one with credentials for it."""
    environment = {name: value for name, value in os.environ.items() if name != SCRATCH}
    with (folder / "logs" / "tracker.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "kerasweep.trackers.process", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**environment, **credentials},
        )


# The process ------------------------------------------------------------------------------------------------------------


def main() -> None:
    """Read the job from standard input, run it, and say how it went on the channel and by the exit code."""
    os.umask(0o077)
    secrets = secrets_of(os.environ)
    _log_without(secrets)
    job = Job(**json.load(sys.stdin))
    signals = Signals()
    signals.install()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    channel = os.fdopen(int(sys.argv[1]), "w", buffering=1)

    def tell(message: Mapping[str, Any]) -> None:
        with suppress(OSError):
            channel.write(json.dumps(message) + "\n")

    code = 3
    try:
        code = Driver(job, tell, signals).run()
    except Interrupt as interrupt:
        code = interrupt.code
    except KerasweepError as error:
        logger.exception("the driver ends")
        tell({"type": "error", "text": one_line(mask(str(error), secrets)), "exit_code": error.exit_code})
        code = error.exit_code
    except BaseException as error:
        logger.exception("the driver failed")
        text = lacking(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        tell({"type": "error", "text": one_line(mask(text, secrets)), "exit_code": 3})
    finally:
        _remove_staging(job)
    sys.stderr.flush()
    os._exit(code)


def _log_without(secrets: Sequence[str]) -> None:
    """Write the log to standard error, the secrets masked."""

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return redact(mask(super().format(record), secrets))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _remove_staging(job: Job) -> None:
    if job.staging:
        shutil.rmtree(job.staging, ignore_errors=True)


if __name__ == "__main__":
    main()
