"""The command ``carousel``. Exit status 0: done; 1: it failed; 2: wrong input. Heavy imports wait in commands."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from carousel import operating, scheduling
from carousel.options import ExperimentFile, ModelName, Verbose, environment_for

app = typer.Typer(
    help="AutoML for LSTM networks: a table of sequences in, a proven model in the registry out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Overrides = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter: search.time_budget=2m")
]
VersionName = Annotated[str, typer.Argument(metavar="MODEL/VERSION", help="NAME/VERSION or NAME@challenger.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="For the log of the model's aliases.")]
Force = Annotated[bool, typer.Option("--force", help="Whatever the gate said of it.")]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    from carousel.console import print_breaches
    from tasks.errors import input_errors

    try:
        app(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        if breaches := input_errors(error):
            print_breaches(breaches)
            return 2
        if os.environ.get("CAROUSEL_VERBOSE"):
            traceback.print_exc()
        print(f"failed: {type(error).__name__}: {error}\n  --verbose shows where", file=sys.stderr)
        return 1
    return 0


@app.command()
def run(experiment: ExperimentFile, set_: Overrides = [], verbose: Verbose = False) -> None:  # noqa: B006
    """Run an experiment to a registered model."""
    env = environment_for(verbose)
    from carousel.experiment import load

    parameters = load(experiment, set_)
    from carousel.services import use_prefect

    addresses = use_prefect(env)
    version = _run_flow("pipeline", parameters)
    from carousel.console import print_leaderboard
    from tasks.leaderboard import verdict
    from tasks.registry import decision

    print_leaderboard(version.name)
    print("", *verdict(version), sep="\n")
    status = "is the champion" if version.champion else "stays a challenger"
    print(f"{version.name} version {version.version} {status}; {decision(version)}.")
    print(f"See it at {addresses.mlflow}" if addresses else "See it in MLflow: carousel ui")


@app.command()
def check(experiment: ExperimentFile, set_: Overrides = [], verbose: Verbose = False) -> None:  # noqa: B006
    """Read everything, compute nothing; say what would be done and what is wrong."""
    env = environment_for(verbose)
    from carousel.check import plan
    from carousel.experiment import load

    for line in plan(env, load(experiment, set_)):
        print(line)


@app.command()
def predict(
    model: ModelName,
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A source with the columns that the model was trained on.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Copy the predictions to this parquet or CSV file (lists as JSON text).")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Predict with a registered model."""
    env = environment_for(verbose)
    from carousel.predictions import check_target, deliver
    from carousel.services import use_prefect
    from tasks.addresses import check_address
    from tasks.registry import resolve

    check_target(out)
    check_address(data, "DATA")
    resolve(model)
    use_prefect(env)
    predictions = _run_flow("predict", {"model": model, "source": data})
    print(f"{predictions.rows} rows for {predictions.items} items in {deliver(predictions, out)}")


@app.command()
def monitor(
    model: ModelName,
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="A source with the truth since; none: the experiment's own.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Say whether a model is still as good as it was, and its data what it learned from."""
    env = environment_for(verbose)
    from carousel.services import use_prefect
    from tasks import store
    from tasks.addresses import check_address
    from tasks.registry import resolve

    if data is not None:
        check_address(data, "DATA")
    version = resolve(model)
    use_prefect(env)
    health = _run_flow("monitor", {"model": model, "source": data})
    print(f"{version.name} version {version.version} {'has degraded' if health.degraded else 'is well'}.")
    for reason in health.reasons:
        print(f"  {reason}")
    print(f"Health report: {store.path(health) / 'health.html'}")


@app.command()
def leaderboard(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="A registered model; none: all of them.")] = None,
) -> None:
    """Show the registered versions by what the sealed test part said of them."""
    environment_for(verbose=False)
    from carousel.console import print_leaderboard

    print_leaderboard(model)


@app.command()
def models(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Show who had its aliases and why; none: all models.")
    ] = None,
) -> None:
    """Show the registered models with their champions, or how one's aliases changed."""
    environment_for(verbose=False)
    from carousel.console import print_table
    from tasks import leaderboard

    print_table(leaderboard.models() if model is None else leaderboard.changes(model))


@app.command()
def best(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="An experiment file, or its model's name.")],
) -> None:
    """Name the best version, of those that were measured on the newest data, as MLflow loads it."""
    environment_for(verbose=False)
    from carousel.experiment import registered_name
    from tasks.leaderboard import best as found

    row = found(registered_name(experiment))
    alias = f" ({row['alias']})" if row["alias"] else ""
    print(row["uri"])
    print(f"{row['measured']}{alias}, best of {row['of']} on these data; {row['decision']}", file=sys.stderr)


@app.command()
def promote(model: VersionName, why: Why = "by hand", force: Force = False) -> None:
    """Make a version the champion that passed the gate against the present one."""
    environment_for(verbose=False)
    from carousel.console import user
    from tasks import aliases
    from tasks.registry import resolve

    version = resolve(model)
    aliases.promote(version, user(), why, force)
    print(f"{version.name} version {version.version} is the champion.")


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A registered model.")], why: Why = "by hand"
) -> None:
    """Give 'champion' back to the version that had it before."""
    environment_for(verbose=False)
    from carousel.console import user
    from tasks import aliases

    print(f"{model} version {aliases.rollback(model, user(), why)} is the champion.")


@app.command()
def ui(port: Annotated[int | None, typer.Option(help="Port of MLflow on 127.0.0.1.")] = None) -> None:
    """Open MLflow on the local store, until Ctrl-C."""
    env = environment_for(verbose=False)
    from carousel import services
    from carousel.authentication import HOST
    from carousel.listening import mlflow_command
    from carousel.ports import demanded_port

    if addresses := services.running(env):
        print(f"'carousel up' is running: open {addresses.mlflow}")
        return
    chosen = demanded_port(port) if port else services.free_port(services.MLFLOW_PORT)
    print(f"MLflow: http://{HOST}:{chosen} (Ctrl-C stops it)", flush=True)
    arguments = mlflow_command(env.tracking_uri, env.artifacts, chosen)
    env.root.mkdir(parents=True, exist_ok=True)
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606


app.command(name="up")(operating.up)
app.command(name="down")(operating.down)
app.command(name="deploy")(operating.deploy)
app.command(name="status")(operating.status)
app.command(name="doctor")(operating.doctor)
app.command(name="serve")(operating.serve)
app.add_typer(scheduling.app, name="schedule")


@app.command()
def stage(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="ingest, prepare, search, fit, rival, evaluate, gate, report, profile, register, predict, monitor",
        ),
    ],
    request: Annotated[Path, typer.Argument(metavar="REQUEST.json", help="The stage's arguments by name.")],
    verbose: Verbose = False,
) -> None:
    """Run one stage alone and print its reference."""
    environment_for(verbose)
    from carousel.console import progress_shown
    from carousel.stages import run_stage

    with progress_shown():
        output = run_stage(name, request)
    print(json.dumps(output))


def _run_flow(name: str, parameters: dict[str, Any]) -> Any:
    import importlib

    from carousel.console import progress_shown

    with progress_shown():
        return getattr(importlib.import_module(f"flows.{name}"), name)(**parameters)
