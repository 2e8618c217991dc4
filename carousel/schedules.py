"""Schedules of the deployments of ``carousel up``: a model that is trained again has one, of ``retrain``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from carousel.console import local_time
from tasks.errors import InputError, shortened
from tasks.schedule import Schedule
from tasks.turns import limit_name

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import DeploymentSchedule, FlowRun
    from prefect.client.schemas.responses import DeploymentResponse


RETRAIN = "retrain/retrain"
GRACE = timedelta(seconds=60)
"""A run that is not longer overdue is not one that was missed."""


def add(client: SyncPrefectClient, model: str, schedule: Schedule) -> None:
    """Let ``model`` be trained again by ``schedule``, and by no other one that it had."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    deployment = client.read_deployment_by_name(RETRAIN)
    parameters = {"model": model, "catch_up": schedule.catch_up}
    wanted = schedule.as_prefect()
    made = DeploymentScheduleCreate(schedule=wanted, active=True, parameters=parameters, slug=limit_name(model))
    for earlier in deployment.schedules:
        if _model(earlier, deployment) == model:
            client.delete_deployment_schedule(deployment.id, earlier.id)
    client.create_deployment_schedules(deployment.id, [made])


def switch(client: SyncPrefectClient, model: str, on: bool) -> None:
    """Pause the schedules of ``model``, or resume them.

    Raises:
        InputError: it has none.
    """
    deployment, schedules = _of(client, model)
    for schedule in schedules:
        client.update_deployment_schedule(deployment.id, schedule.id, active=on, parameters=schedule.parameters)


def remove(client: SyncPrefectClient, model: str) -> None:
    """Train ``model`` again no more by a schedule.

    Raises:
        InputError: it has none.
    """
    deployment, schedules = _of(client, model)
    for schedule in schedules:
        client.delete_deployment_schedule(deployment.id, schedule.id)


def catch_up(client: SyncPrefectClient, now: datetime) -> None:
    """Give up the runs that were missed while nothing ran, but for those that ``catch_up`` of their schedule keeps.

    Prefect plans some runs ahead, those of an hour and at least three, and starts all that are overdue.
    """
    from prefect.states import Cancelled

    by_model: dict[str, list[FlowRun]] = {}
    for run in _overdue(client, now):
        by_model.setdefault(str(run.parameters.get("model")), []).append(run)
    for runs in by_model.values():
        for run in missed(runs, now):
            why = "It was due while nothing ran, and its schedule does not make up for that."
            client.set_flow_run_state(run.id, Cancelled(name="Skipped", message=why))


def missed(overdue: list[FlowRun], now: datetime) -> list[FlowRun]:
    """Return which of a model's ``overdue`` runs, the oldest first, are not to start any more."""
    policy = overdue[-1].parameters.get("catch_up", "latest")
    if policy == "all":
        return []
    if policy == "latest":
        return overdue[:-1]
    return [run for run in overdue if run.next_scheduled_start_time and run.next_scheduled_start_time < now - GRACE]


def _overdue(client: SyncPrefectClient, now: datetime) -> list[FlowRun]:
    """Return the retrainings that a schedule wanted before ``now`` and that never began, the oldest first."""
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    chosen = {
        "deployment_id": {"any_": [client.read_deployment_by_name(RETRAIN).id]},
        "state": {"type": {"any_": ["SCHEDULED"]}},
        "next_scheduled_start_time": {"before_": now},
    }
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate(chosen), sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC
    )
    return [run for run in found if run.auto_scheduled and not run.run_count]


def _of(client: SyncPrefectClient, model: str) -> tuple[DeploymentResponse, list[DeploymentSchedule]]:
    deployment = client.read_deployment_by_name(RETRAIN)
    found = [one for one in deployment.schedules if _model(one, deployment) == model]
    if not found:
        known = sorted({_model(one, deployment) for one in deployment.schedules})
        remedy = f"choose one of: {shortened(known)}" if known else "add one: carousel schedule add EXPERIMENT.yaml"
        raise InputError("a model must have a schedule", repr(model), remedy)
    return deployment, found


def _model(schedule: DeploymentSchedule, deployment: DeploymentResponse) -> str:
    """Return the model that the runs of ``schedule`` train, or an empty string."""
    return str((deployment.parameters | schedule.parameters).get("model", ""))


def listed(client: SyncPrefectClient) -> list[dict[str, Any]]:
    """Return a row for each schedule: what it starts, when, whether it is paused, and its next run."""
    rows = []
    for deployment in client.read_deployments():
        following = next_starts(client, deployment.id)
        rows += [_row(deployment, schedule, following) for schedule in deployment.schedules]
    return rows


def next_starts(client: SyncPrefectClient, deployment: UUID) -> dict[str, datetime]:
    """Return when Prefect will next start a run for each schedule of ``deployment``, by the schedule's id."""
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    waiting = FlowRunFilter.model_validate(
        {"deployment_id": {"any_": [deployment]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
    )
    runs = client.read_flow_runs(flow_run_filter=waiting, sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC)
    found: dict[str, datetime] = {}
    for run in runs:
        if run.auto_scheduled and run.created_by and run.created_by.id and run.next_scheduled_start_time:
            found.setdefault(str(run.created_by.id), run.next_scheduled_start_time)
    return found


def when(schedule: Any) -> str:
    """Return in words when one of Prefect's schedules starts runs."""
    if hasattr(schedule, "cron"):
        times = f"cron {schedule.cron}"
    elif hasattr(schedule, "rrule"):
        # Prefect writes a beginning before a rule that has none.
        times = " ".join(line for line in schedule.rrule.splitlines() if not line.startswith("DTSTART"))
    else:
        times = f"every {schedule.interval}"
    return f"{times}, {schedule.timezone or 'UTC'}"


def _row(
    deployment: DeploymentResponse, schedule: DeploymentSchedule, following: dict[str, datetime]
) -> dict[str, Any]:
    start = following.get(str(schedule.id))
    return {
        "flow": deployment.name,
        "model": _model(schedule, deployment),
        "when": when(schedule.schedule),
        "state": "on" if schedule.active else "paused",
        "next": local_time(start) if start and schedule.active else "",
    }
