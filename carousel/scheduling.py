"""``carousel schedule``: when models are trained again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carousel.options import environment_for

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from tasks.schedule import Schedule

app = typer.Typer(help="Say when models are trained again.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A registered model that has a schedule.")]


@app.command()
def add(
    subject: Annotated[
        str,
        typer.Argument(metavar="EXPERIMENT.yaml|MODEL", help="A file with the section 'schedule', or what it makes."),
    ],
    cron: Annotated[str | None, typer.Option(metavar="CRON", help="Such as '0 3 * * *'.")] = None,
    interval: Annotated[str | None, typer.Option(metavar="DURATION", help="Such as 12h.")] = None,
    rrule: Annotated[str | None, typer.Option(metavar="RRULE", help="Such as FREQ=MONTHLY;BYMONTHDAY=1.")] = None,
    time_zone: Annotated[str | None, typer.Option(metavar="ZONE", help="Such as Europe/Vienna; else UTC.")] = None,
    catch_up: Annotated[
        str | None, typer.Option(metavar="POLICY", help="Of overdue runs, start the 'latest', 'all' or 'none'.")
    ] = None,
) -> None:
    """Train a model again when its experiment's 'schedule', or the options, say; an earlier schedule is replaced."""
    options = {"cron": cron, "interval": interval, "rrule": rrule, "time_zone": time_zone, "catch_up": catch_up}
    with _prefect() as client:
        from carousel import schedules
        from tasks.registry import registered_model

        model, schedule = _wanted(subject, {name: value for name, value in options.items() if value is not None})
        registered_model(model)
        schedules.add(client, model, schedule)
        print(f"{model} is trained again: {schedules.when(schedule.as_prefect())}.")


@app.command(name="list")
def show() -> None:
    """Show all schedules and when each starts its next run."""
    with _prefect() as client:
        from carousel import schedules
        from carousel.console import print_table

        print_table(schedules.listed(client))


@app.command()
def pause(model: Model) -> None:
    """Start no more runs by a model's schedule until it is resumed."""
    with _prefect() as client:
        from carousel import schedules

        schedules.switch(client, model, on=False)
        print(f"The schedule of {model} is paused.")


@app.command()
def resume(model: Model) -> None:
    """Let a paused schedule start runs again."""
    with _prefect() as client:
        from carousel import schedules

        schedules.switch(client, model, on=True)
        print(f"The schedule of {model} is on.")


@app.command()
def remove(model: Model) -> None:
    """Forget a model's schedule."""
    with _prefect() as client:
        from carousel import schedules

        schedules.remove(client, model)
        print(f"{model} has no schedule any more.")


@contextmanager
def _prefect() -> Iterator[SyncPrefectClient]:
    """Let the block talk to the Prefect server of ``carousel up``, and MLflow's clients to its MLflow.

    Raises:
        InputError: it does not run.
    """
    import os

    env = environment_for(verbose=False)
    from carousel import services
    from tasks.errors import InputError

    if (addresses := services.running(env)) is None:
        rule = "schedules are kept by the Prefect server of 'carousel up'"
        raise InputError(rule, f"none that runs on {env.root}", "start it: carousel up --detach")
    os.environ.setdefault("MLFLOW_TRACKING_URI", addresses.mlflow)
    with services.prefect_client(addresses) as client:
        yield client


def _wanted(subject: str, options: dict[str, Any]) -> tuple[str, Schedule]:
    """Return the model and its schedule that the file or name ``subject`` and the ``options`` state."""
    from carousel.experiment import load_schedule
    from tasks.errors import InputError

    model, stated = load_schedule(Path(subject)) if subject.endswith((".yaml", ".yml")) else (subject, None)
    if options:
        kept = stated.model_dump(include={"time_zone", "catch_up"}) if stated else {}
        return model, _stated(kept | options)
    if stated is None:
        rule, remedy = "a schedule must say when", "give --cron, --interval or --rrule, or the section 'schedule'"
        raise InputError(rule, f"none in {subject}", remedy)
    return model, stated


def _stated(options: dict[str, Any]) -> Schedule:
    """Return the schedule that ``options`` state.

    Raises:
        InputErrors: one for each that is wrong.
    """
    from pydantic import ValidationError, create_model

    from tasks.errors import InputErrors
    from tasks.experiment_file import breaches
    from tasks.schedule import Schedule

    model = create_model("Options", schedule=(Schedule, ...))
    try:
        return model.model_validate({"schedule": options}).schedule  # type: ignore[attr-defined]
    except ValidationError as error:
        raise InputErrors("the schedule is wrong", breaches(error, model)) from None
