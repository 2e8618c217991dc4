"""The command ``carousel``. Exit status 0: done; 1: it failed; 2: wrong input. Heavy imports wait in commands."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tasks.environment import Environment

app = typer.Typer(
    help="AutoML for LSTM networks: a table of sequences in, a proven model in the registry out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ExperimentFile = Annotated[
    Path, typer.Argument(metavar="EXPERIMENT.yaml", help="Parameters of the flow 'pipeline' as YAML.")
]
Overrides = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter: search.time_budget=2m")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the logs of all libraries.")]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="NAME (its champion), NAME@ALIAS or NAME/VERSION.")]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    from carousel.console import input_errors, print_breaches

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
    env = _environment(verbose)
    from carousel.experiment import load

    parameters = load(experiment, set_)
    from carousel.services import use_prefect

    addresses = use_prefect(env)
    version = _run_flow("pipeline", parameters)
    from tasks.leaderboard import verdict

    _print_leaderboard(version.name)
    print("", *verdict(version), sep="\n")
    print(f"{version.name} version {version.version} is {'the champion' if version.champion else 'a challenger'}.")
    print(f"See it at {addresses.mlflow}" if addresses else "See it in MLflow: carousel ui")


@app.command()
def check(experiment: ExperimentFile, set_: Overrides = [], verbose: Verbose = False) -> None:  # noqa: B006
    """Read everything, compute nothing; say what would be done and what is wrong."""
    env = _environment(verbose)
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
    env = _environment(verbose)
    from carousel.predictions import check_target, deliver
    from carousel.services import use_prefect
    from tasks.registry import resolve

    check_target(out)
    resolve(model)
    use_prefect(env)
    predictions = _run_flow("predict", {"model": model, "source": data})
    print(f"{predictions.rows} rows for {predictions.items} items in {deliver(predictions, out)}")


@app.command()
def leaderboard(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="A registered model; none: all of them.")] = None,
) -> None:
    """Show the registered versions by what the sealed test part said of them."""
    _environment(verbose=False)
    _print_leaderboard(model)


@app.command()
def ui(port: Annotated[int | None, typer.Option(help="Port of MLflow on 127.0.0.1.")] = None) -> None:
    """Open MLflow on the local store, until Ctrl-C."""
    env = _environment(verbose=False)
    from carousel import services, up

    if addresses := services.running(env):
        print(f"'carousel up' is running: open {addresses.mlflow}")
        return
    chosen = services.demanded_port(port) if port else services.free_port(services.MLFLOW_PORT)
    print(f"MLflow: http://{services.HOST}:{chosen} (Ctrl-C stops it)", flush=True)
    arguments = up.mlflow_command(env.tracking_uri, env.artifacts, chosen)
    env.root.mkdir(parents=True, exist_ok=True)
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606


@app.command(name="up")
def start_servers(
    prefect_port: Annotated[int | None, typer.Option(help="Port of Prefect on 127.0.0.1.")] = None,
    mlflow_port: Annotated[int | None, typer.Option(help="Port of MLflow on 127.0.0.1.")] = None,
    verbose: Verbose = False,
) -> None:
    """Start Prefect, MLflow and a worker with all deployments, until Ctrl-C."""
    env = _environment(verbose)
    from carousel import up

    up.stop_on_signals()
    try:
        print("Starting Prefect, MLflow and a worker ...", flush=True)
        with up.servers(env, prefect_port, mlflow_port) as (addresses, services):
            print(f"  Prefect  {addresses.prefect}  trigger, schedule and watch runs")
            print(f"  MLflow   {addresses.mlflow}  compare runs, pick a model")
            print(f"Logs and state: {env.root}. Ctrl-C stops everything.", flush=True)
            up.until_stopped(services)
    except KeyboardInterrupt:
        print("Stopped.", flush=True)


@app.command()
def stage(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="ingest, prepare, search, fit, rival, evaluate, report, register, predict"),
    ],
    request: Annotated[Path, typer.Argument(metavar="REQUEST.json", help="The stage's arguments by name.")],
    verbose: Verbose = False,
) -> None:
    """Run one stage alone and print its reference."""
    _environment(verbose)
    from carousel.console import progress_shown
    from carousel.stages import run_stage

    with progress_shown():
        output = run_stage(name, request)
    print(json.dumps(output))


def _environment(verbose: bool) -> Environment:
    """Return the environment, once what the libraries read at import is set."""
    from tasks.environment import environment, quiet

    if verbose:
        os.environ["CAROUSEL_VERBOSE"] = "1"
    else:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        warnings.simplefilter("ignore")
    env = environment()
    quiet(env)
    return env


def _run_flow(name: str, parameters: dict[str, Any]) -> Any:
    import importlib

    from carousel.console import progress_shown

    with progress_shown():
        return getattr(importlib.import_module(f"flows.{name}"), name)(**parameters)


def _print_leaderboard(model: str | None) -> None:
    from carousel.console import print_table
    from tasks.leaderboard import leaderboard as tables

    for place, rows in enumerate(tables(model)):
        if place:
            print()
        print_table(rows)
