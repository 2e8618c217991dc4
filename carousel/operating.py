"""The commands of an operator: ``carousel up``, ``down``, ``deploy``, ``status``, ``doctor`` and ``serve``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carousel.options import Host, ModelName, Verbose, environment_for

if TYPE_CHECKING:
    from carousel.services import Addresses
    from tasks.environment import Environment


def up(
    host: Host = "127.0.0.1",
    prefect_port: Annotated[int | None, typer.Option(help="Port of Prefect.")] = None,
    mlflow_port: Annotated[int | None, typer.Option(help="Port of MLflow.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="In the background, until 'carousel down'.")] = False,
    verbose: Verbose = False,
) -> None:
    """Start Prefect, MLflow and a worker with all deployments, until Ctrl-C."""
    env = environment_for(verbose)
    print("Starting Prefect, MLflow and a worker ...", flush=True)
    if detach:
        from carousel import background

        given = {"--host": host, "--prefect-port": prefect_port, "--mlflow-port": mlflow_port}
        arguments = [text for name, value in given.items() if value for text in (name, str(value))]
        addresses, log = background.start(env, [*arguments, *(["--verbose"] if verbose else [])])
        _print_addresses(addresses)
        print(f"Logs and state: {env.root}; 'carousel down' stops everything, {log.name} says what happened.")
        return
    _keep(env, prefect_port, mlflow_port, host)


def down() -> None:
    """Stop the servers and the worker of 'carousel up'; what was running goes on when they start again."""
    env = environment_for(verbose=False)
    from carousel import background

    pid = background.stop(env)
    print(f"Stopped process {pid}." if pid else f"Nothing runs on {env.root}.")


def deploy(verbose: Verbose = False) -> None:
    """Register all deployments and automations on the Prefect server at PREFECT_API_URL, or bring them up to date."""
    environment_for(verbose)
    import os

    from carousel.registration import POOL, deploy

    names = deploy()
    print(f"Registered in the work pool '{POOL}' of {os.environ['PREFECT_API_URL']}: {', '.join(names)}.")


def status() -> None:
    """Show what runs, which models have which champion, what is scheduled and what failed last."""
    env = environment_for(verbose=False)
    from carousel import schedules, services
    from carousel import status as found

    rows = found.services_of(env)
    addresses = services.running(env)
    _print_section(f"Services on {env.root}", rows, "none: 'carousel up' starts them")
    if addresses and services.answers(addresses.health["prefect"]):
        with services.prefect_client(addresses) as client:
            _print_section("Running", found.runs_under_way(client), "nothing")
            _print_section("Scheduled", schedules.listed(client), "nothing")
            _print_section("Failed last", found.failures(client), "nothing")
    _print_section("Models", _models(env, addresses), "none: 'carousel run EXPERIMENT.yaml' makes one")


def doctor(
    json: Annotated[bool, typer.Option("--json", help="For machines: all that was found, as JSON.")] = False,
    verbose: Verbose = False,
) -> None:
    """Check every connection and resource that a run here needs; say what is wrong and what to do."""
    from pydantic import ValidationError

    from carousel.doctor import told

    try:
        env = environment_for(verbose)
    except ValidationError as error:
        findings = told.of_invalid(error)
    else:
        from carousel.doctor.examine import examine
        from carousel.doctor.place import place_of

        findings = examine(place_of(env))
    told.print_findings(findings, as_json=json)
    if any(finding.level == "broken" for finding in findings):
        raise SystemExit(1)


def serve(
    model: ModelName,
    host: Host = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port.")] = None,
    max_megabytes: Annotated[float, typer.Option(help="Of a request's body.", min=0.001)] = 8.0,
    max_rows: Annotated[int, typer.Option(help="Of a request.", min=1)] = 100_000,
    max_steps: Annotated[int, typer.Option(help="Of an item.", min=1)] = 100_000,
    max_requests: Annotated[int, typer.Option(help="At once; a further one gets 429.", min=1)] = 32,
    max_seconds: Annotated[float, typer.Option(help="For a request.", min=0.1)] = 30.0,
    verbose: Verbose = False,
) -> None:
    """Answer requests with a registered model over HTTP, until Ctrl-C; follows its alias."""
    env = environment_for(verbose)
    from carousel import serving
    from carousel.console import progress_shown
    from carousel.ports import demanded_port
    from carousel.services import free_port
    from carousel.up import stop_on_signals

    chosen = demanded_port(port) if port else free_port(serving.PORT)
    limits = serving.Limits(max_megabytes, max_rows, max_steps, max_seconds, max_requests, env.workers)
    stop_on_signals()
    try:
        with progress_shown():
            print(f"http://{host}:{chosen}/invocations takes JSON and CSV (Ctrl-C stops it)", flush=True)
            serving.serve(model, host, chosen, limits)
    except KeyboardInterrupt:
        print("Stopped.", flush=True)


def _keep(env: Environment, prefect_port: int | None, mlflow_port: int | None, host: str) -> None:
    """Run the services until Ctrl-C or SIGTERM."""
    from carousel import supervision
    from carousel import up as services
    from carousel.console import progress_shown

    services.stop_on_signals()
    try:
        with progress_shown(), services.servers(env, prefect_port, mlflow_port, host) as (addresses, started):
            _print_addresses(addresses)
            print(f"Logs and state: {env.root}. Ctrl-C stops everything.", flush=True)
            supervision.keep(started)
    except KeyboardInterrupt:
        print("Stopped.", flush=True)


def _print_addresses(addresses: Addresses) -> None:
    print(f"  Prefect  {addresses.prefect}  trigger, schedule and watch runs")
    print(f"  MLflow   {addresses.mlflow}  compare runs, pick a model", flush=True)


def _models(env: Environment, addresses: Addresses | None) -> list[dict[str, Any]]:
    """Return a row for each registered model; none where there is no store, or none that answers."""
    import os

    from carousel.services import answers, know_credentials

    if addresses:
        if not answers(addresses.health["mlflow"]):
            return []
        know_credentials(addresses)
        os.environ.setdefault("MLFLOW_TRACKING_URI", addresses.mlflow)
    elif env.tracking_uri.startswith("sqlite") and not (env.root / "mlflow.db").exists():
        return []
    from tasks.leaderboard import models

    return models()


def _print_section(title: str, rows: Sequence[Mapping[str, Any]], nothing: str) -> None:
    from carousel.console import print_table

    print(f"{title}{'' if rows else ': ' + nothing}")
    print_table(rows)
    if rows:
        print()
