"""What Prefect does by itself under ``carousel up``, and what is left of runs whose processes ended with the worker.

A flow run gives a sign of life every ``HEARTBEAT`` seconds. One that is silent counts as crashed, and a crashed one is
taken up again, a few times: its finished stages come from the store. Both are automations, which an operator sees and
may switch off in Prefect's user interface. They act on events, and Prefect may lose some; so before a worker starts,
when no run of its pool can have a process, ``take_up_again`` does the same without any.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tasks.environment import HEARTBEAT
from tasks.references import DEGRADED

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.events.schemas.automations import AutomationCore

SILENCE = timedelta(seconds=2 * HEARTBEAT + 15)
"""One sign of life may be lost on the way."""

START = timedelta(seconds=300)
"""More than a busy machine needs to start a run's process; another one would make it busier, and no count ends that."""

ATTEMPTS = 4
"""How often a run may begin before a crash is its end: one that takes the machine down must not do so for ever."""

RECENT = timedelta(days=1)
"""An event that a run crashed may have been lost so long ago."""

AGAIN = "carousel: a crashed run is taken up again"

_RUNS = "prefect.flow-run.*"
_PENDING = {"Pending", "Submitting", "InfrastructurePending"}
_log = logging.getLogger("carousel.up")


def install(client: SyncPrefectClient, pool: str) -> None:
    """Create the automations for the deployments of ``pool``, or bring them up to date; what is off stays off.

    The deployments must be registered.
    """
    from prefect.events.schemas.automations import AutomationCore

    deployments = of_pool(client, pool)
    flows = sorted({client.read_flow(deployment.flow_id).name for deployment in deployments})
    [retrain] = [deployment.id for deployment in deployments if deployment.name == "retrain"]
    for wanted in automations(flows, retrain):
        if not (earlier := client.read_automations_by_name(wanted.name)):
            client.create_automation(wanted)
        for one in earlier:
            # Prefect takes no owner when it changes one.
            kept = wanted.model_dump(exclude={"owner_resource"}) | {"enabled": one.enabled}
            client.update_automation(one.id, AutomationCore(**kept))


def of_pool(client: SyncPrefectClient, pool: str) -> list[DeploymentResponse]:
    """Return the deployments whose runs ``pool`` gets; a server may have others."""
    from prefect.client.schemas.filters import WorkPoolFilter

    chosen = WorkPoolFilter.model_validate({"name": {"any_": [pool]}})
    return client.read_deployments(work_pool_filter=chosen)


def automations(flows: list[str], retrain: UUID) -> list[AutomationCore]:
    """Return the automations for runs of ``flows``, by name, and for the deployment ``retrain``."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState, RunDeployment
    from prefect.events.schemas.automations import AutomationCore, EventTrigger

    # A search replaces those of its workers that have crashed.
    on_their_own = [name for name in flows if name != "trial-worker"]
    again = EventTrigger(
        match={"prefect.resource.id": _RUNS, "prefect.run-count": [str(begun) for begun in range(ATTEMPTS)]},
        match_related=[_of(on_their_own), {"prefect.resource.role": "deployment"}],
        expect={"prefect.flow-run.Crashed"},
        for_each={"prefect.resource.id"},
    )
    degraded = EventTrigger(
        match={"prefect.resource.id": "carousel.model.*"}, expect={DEGRADED}, for_each={"prefect.resource.id"}
    )
    model = {"__prefect_kind": "jinja", "template": "{{ event.payload.model }}"}
    return [
        _silence("carousel: a silent run has crashed", {"heartbeat"}, SILENCE, flows),
        _silence("carousel: a run that never began has crashed", _PENDING, START, flows),
        AutomationCore(
            name=AGAIN,
            description=f"A crashed run of a deployment begins again, {ATTEMPTS} times in all; finished stages stand.",
            trigger=again,
            actions=[ChangeFlowRunState(state=StateType.SCHEDULED, name="AwaitingRetry", message="It crashed.")],
        ),
        AutomationCore(
            name="carousel: a degraded model is retrained",
            description=f"The event {DEGRADED} starts 'retrain' for the model that it names.",
            trigger=degraded,
            actions=[RunDeployment(deployment_id=retrain, parameters={"model": model})],
        ),
    ]


def _silence(name: str, after: set[str], within: timedelta, flows: list[str]) -> AutomationCore:
    """Return what marks a run of ``flows`` crashed of which nothing is heard ``within`` a time ``after`` an event."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    trigger = EventTrigger(
        posture=Posture.Proactive,
        match={"prefect.resource.id": _RUNS},
        match_related=_of(flows),
        after={f"prefect.flow-run.{event}" for event in after},
        # Any event of the run counts, also that it is suspended, waits or was cancelled.
        expect={"prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
        within=within,
    )
    why = f"Nothing was heard of it for {within.seconds} s: its process is gone."
    crashed = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=why)
    return AutomationCore(name=name, description="Its process is gone.", trigger=trigger, actions=[crashed])


def _of(flows: list[str]) -> dict[str, str | list[str]]:
    """Match events of runs of ``flows``; those of others may give signs of life more seldom."""
    return {"prefect.resource.role": "flow", "prefect.resource.name": flows}


def take_up_again(client: SyncPrefectClient, pool: str) -> None:
    """Do for the runs of ``pool``, which must have no worker, what the automations would if they heard of all.

    A run that has begun or was about to begins again, and so does one that crashed within ``RECENT``; if it has begun
    too often already, or the operator has switched the automation off, it is marked crashed and stays so.
    """
    from prefect.states import AwaitingRetry, Crashed

    switched_on = all(one.enabled for one in client.read_automations_by_name(AGAIN))
    for run in _without_process(client, pool):
        if switched_on and run.run_count < ATTEMPTS:
            client.set_flow_run_state(run.id, AwaitingRetry(message="Its process is gone; it is taken up again."))
            _log.info("run %s lost its process and is taken up again", run.name)
        elif run.state_name != "Crashed":
            client.set_flow_run_state(run.id, Crashed(message=f"Its process is gone; it began {run.run_count} times."))
            _log.warning("run %s lost its process and is not taken up again", run.name)


def _without_process(client: SyncPrefectClient, pool: str) -> list[FlowRun]:
    """Return the runs of ``pool`` that were to have a process when its worker ended, or crashed lately."""
    from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter

    chosen = WorkPoolFilter.model_validate({"name": {"any_": [pool]}})
    wanted: list[dict[str, object]] = [
        {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}},
        {"state": {"type": {"any_": ["CRASHED"]}}, "end_time": {"after_": datetime.now(UTC) - RECENT}},
    ]
    return [
        run
        for one in wanted
        for run in client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(one), work_pool_filter=chosen)
    ]
