"""The command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..spaces.errors import Infrastructure, KerasweepError, lacking, one_line
from .signals import Interrupt, handle, interrupt, restore

app = typer.Typer(
    name="kerasweep",
    help="Hyperparameter search for Keras models: Ray Tune executes, Optuna proposes, MLflow shows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Home = Annotated[
    Path | None,
    typer.Option("--dir", metavar="FOLDER", help="Where sweeps/ and mlflow.db are (default: here, or KERASWEEP_DIR)."),
]
Sweep = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep's name; `kerasweep list` shows them.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the sweep file; repeatable.")
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT|auto", help="Run on the Ray cluster there, of which this machine is a node."),
]
Insecure = Annotated[bool, typer.Option("--insecure-cluster", help="Join a cluster without a token all the same.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(rich_help_panel="Make")
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if it is not there.")] = Path(),
    model: Annotated[
        str | None, typer.Option(metavar="FILE.py:BUILD", help="Write a sweep file around this function.")
    ] = None,
) -> None:
    """Write a sweep file and a model to start from."""
    from .templates import write_start

    for path in write_start(folder, model):
        typer.echo(f"wrote {path}")
    where = "" if folder == Path() else f"{folder}/"
    typer.echo(f"next: kerasweep plan {where}sweep.yaml, then kerasweep run {where}sweep.yaml")


@app.command(rich_help_panel="Make")
def plan(
    file: Annotated[Path, typer.Argument(help="The sweep file.")],
    settings: Settings = None,
    limit: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="Build models for at most so long (default: 30).")
    ] = None,
    no_code: Annotated[
        bool, typer.Option("--no-code", help="Check the sweep file alone; import nothing of it.")
    ] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Look before spending: build models all over the space, run one batch, say what is wrong."""
    from .commands import plan_command

    raise typer.Exit(plan_command(file, settings or [], home, limit_s=limit, code=not no_code, as_json=as_json))


@app.command(rich_help_panel="Make")
def run(
    file: Annotated[Path, typer.Argument(help="The sweep file.")],
    settings: Settings = None,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running in the background.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Run it whatever is found wrong with it.")] = False,
    address: Address = None,
    insecure: Insecure = False,
    home: Home = None,
) -> None:
    """Run a sweep."""
    from .commands import run_command

    raise typer.Exit(
        run_command(file, [*(settings or []), *_cluster(address, insecure)], home, detach=detach, force=force)
    )


@app.command(rich_help_panel="Make")
def resume(
    sweep: Sweep,
    settings: Settings = None,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running in the background.")] = False,
    address: Address = None,
    insecure: Insecure = False,
    home: Home = None,
) -> None:
    """Go on with a sweep that was interrupted, or give a finished one more budget (--set budget.trials=…)."""
    from .commands import resume_command

    raise typer.Exit(resume_command(sweep, [*(settings or []), *_cluster(address, insecure)], home, detach=detach))


@app.command("list", rich_help_panel="Watch")
def list_sweeps(as_json: AsJson = False, home: Home = None) -> None:
    """List the sweeps."""
    from .reading import list_command

    list_command(home, as_json=as_json)


@app.command(rich_help_panel="Watch")
def show(
    sweep: Sweep,
    trial: Annotated[int | None, typer.Argument(help="A trial's number.")] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Show a sweep's trials, best first, or one trial."""
    from .reading import show_command

    show_command(sweep, trial, home, as_json=as_json)


@app.command(rich_help_panel="Watch")
def attach(sweep: Sweep, home: Home = None) -> None:
    """Show a running sweep until it ends; Ctrl-C leaves it running."""
    from .commands import attach_command

    raise typer.Exit(attach_command(sweep, home))


@app.command(rich_help_panel="Watch")
def logs(
    sweep: Sweep,
    trial: Annotated[int | None, typer.Argument(help="A trial's number.")] = None,
    whole: Annotated[bool, typer.Option("--all", help="Show whole logs, not only their ends.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Show what a sweep's processes have written, or what a trainer wrote during one trial."""
    from .logs import logs_command

    logs_command(sweep, trial, home, whole=whole, as_json=as_json)


@app.command(rich_help_panel="Watch")
def ui(sweep: Annotated[str | None, typer.Argument(metavar="[SWEEP]")] = None, home: Home = None) -> None:
    """Open a sweep in the MLflow UI, starting a server on this machine where none runs."""
    from .reading import ui_command

    ui_command(sweep, home)


@app.command(rich_help_panel="Understand")
def best(
    sweep: Sweep,
    export: Annotated[Path | None, typer.Option(metavar="DIR", help="Write parameters and model.keras there.")] = None,
    trial: Annotated[int | None, typer.Option(metavar="N", help="Take this trial instead.")] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Print the best trial's parameters as YAML, or the Pareto front of several objectives; or export the models."""
    from .reading import best_command

    best_command(sweep, export, trial, home, as_json=as_json)


@app.command(rich_help_panel="Understand")
def simulate(sweep: Sweep, settings: Settings = None, as_json: AsJson = False, home: Home = None) -> None:
    """Say what a sweep that ran would have come to with another search, budget or number of slots (--set …)."""
    from .simulate import simulate_command

    simulate_command(sweep, settings or [], home, as_json=as_json)


@app.command(rich_help_panel="Understand")
def replay(
    sweep: Sweep,
    trial: Annotated[int, typer.Argument(help="A trial's number.")],
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Train one trial again, alone, and compare every epoch's metrics with the journaled ones."""
    from .replay import replay_command

    raise typer.Exit(replay_command(sweep, trial, home, as_json=as_json))


@app.command(rich_help_panel="Steer")
def stop(sweep: Sweep, home: Home = None) -> None:
    """Stop a running sweep; `resume` goes on with it."""
    from .commands import stop_command

    raise typer.Exit(stop_command(sweep, home))


@app.command("set", rich_help_panel="Steer")
def set_values(
    sweep: Sweep,
    settings: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…", help="Such as budget.trials=100.")],
    home: Home = None,
) -> None:
    """Change the budget or other settings of a sweep, while it runs or after."""
    from .steer import set_command

    raise typer.Exit(set_command(sweep, settings, home))


@app.command(rich_help_panel="Steer")
def retry(
    sweep: Sweep,
    trials: Annotated[
        list[int] | None, typer.Argument(metavar="[TRIAL…]", help="Numbers; all that failed or were lost if none.")
    ] = None,
    home: Home = None,
) -> None:
    """Run trials again that failed or were lost."""
    from .steer import retry_command

    raise typer.Exit(retry_command(sweep, trials or [], home))


@app.command(rich_help_panel="Steer")
def gc(sweep: Sweep, as_json: AsJson = False, home: Home = None) -> None:
    """Remove what a sweep's trials left on the disk and nobody needs: checkpoints, weights beyond `keep`, drafts."""
    from .garbage import gc_command

    gc_command(sweep, home, as_json=as_json)


@app.command(rich_help_panel="Steer")
def sync(sweep: Sweep, home: Home = None) -> None:
    """Deliver to MLflow what it lacks of a sweep."""
    from .commands import sync_command

    raise typer.Exit(sync_command(sweep, home))


@app.command("rm", rich_help_panel="Steer")
def remove(
    sweep: Sweep,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    home: Home = None,
) -> None:
    """Remove a sweep's folder; its runs in MLflow stay."""
    from .removal import remove_command

    remove_command(sweep, home, yes=yes)


@app.command(rich_help_panel="Machines")
def doctor(
    sweep: Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="Look at this sweep's tracker, too.")] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without a risk.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what takes seconds: TensorFlow, Ray, MLflow.")
    ] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Check the installation, and what dead sweeps have left."""
    from .doctor import doctor_command

    raise typer.Exit(doctor_command(sweep, home, fix=fix, quick=quick, as_json=as_json))


def _cluster(address: str | None, insecure: bool) -> list[str]:
    """Return the settings that the options stand for."""
    place = [] if address is None else [f"cluster.address={address}"]
    return [*place, "cluster.insecure=true"] if insecure else place


cluster = typer.Typer(
    help="Several Ray nodes on this machine, to try a cluster out.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(cluster, name="cluster", rich_help_panel="Machines")


@cluster.command("up")
def cluster_up(
    nodes: Annotated[int, typer.Option(min=1, help="So many nodes are to live; those that do already stay.")] = 2,
    cpus: Annotated[int, typer.Option(min=1, help="Processors of a node, counted only.")] = 2,
    gpus: Annotated[int, typer.Option(min=0, help="Graphics processors of a node, counted only.")] = 0,
    home: Home = None,
) -> None:
    """Start a cluster of several nodes on this machine, or add to it."""
    from .clusters import up_command

    up_command(home, nodes=nodes, cpus=cpus, gpus=gpus)


@cluster.command("status")
def cluster_status(
    address: Annotated[str, typer.Option(metavar="HOST:PORT|auto", help="The cluster that is meant.")] = "auto",
    insecure: Insecure = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Show the nodes of a cluster, and what they have left."""
    from .clusters import status_command

    status_command(home, address, insecure=insecure, as_json=as_json)


@cluster.command("down")
def cluster_down(home: Home = None) -> None:
    """End the cluster that `up` started, and nothing else."""
    from .clusters import down_command

    down_command(home)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"kerasweep {version('kerasweep')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run the command line: an error of ours is one line and its exit code."""
    before = handle(interrupt)
    try:
        app()
    except KerasweepError as error:
        typer.echo(one_line(str(error), 2000), err=True)
        sys.exit(error.exit_code)
    except Interrupt as signal:
        from .lasting import lasting_terminal

        lasting_terminal(stderr=True).print("interrupted; nothing is lost")
        sys.exit(signal.code)
    except ImportError as error:
        typer.echo(one_line(lacking(error), 2000), err=True)
        sys.exit(Infrastructure.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except OSError as error:  # a full disk, a folder that is not there or not the user's
        where = f": {error.filename}" if error.filename is not None else ""
        what = f"{error.strerror or error or type(error).__name__}{where}"
        typer.echo(one_line(f"{what}; what was journaled is safe: mend this, then try again", 2000), err=True)
        sys.exit(Infrastructure.exit_code)
    finally:
        restore(before)


if __name__ == "__main__":
    main()
