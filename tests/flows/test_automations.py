"""Automations are installed once and stay as the operator left them; runs without processes begin again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from carousel import services
from carousel.automations import AGAIN, ATTEMPTS, install, take_up_again
from carousel.services import Addresses

POOL = "a pool"


@pytest.fixture
def client(running: Addresses) -> Iterator[Any]:
    """A client of a server with the deployments ``predict`` and ``retrain``, and a pool for their runs."""
    from prefect.client.schemas.actions import WorkPoolCreate

    with services.prefect_client(running) as client:
        if POOL not in {pool.name for pool in client.read_work_pools()}:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        for name in ("predict", "retrain"):
            client.create_deployment(client.create_flow_from_name(name), name, work_pool_name=POOL)
        yield client


def test_an_automation_that_was_switched_off_stays_off_when_it_is_installed_again(client: Any) -> None:
    install(client, POOL)
    installed = mine(client)
    assert len(installed) == 4
    assert all(one.enabled for one in installed.values())
    client.pause_automation(installed[AGAIN].id)
    install(client, POOL)
    again = mine(client)
    assert {name: one.id for name, one in again.items()} == {name: one.id for name, one in installed.items()}
    assert [name for name, one in again.items() if not one.enabled] == [AGAIN]
    assert {name: one.trigger for name, one in again.items()} == {name: one.trigger for name, one in installed.items()}


def test_runs_of_a_pool_without_a_worker_begin_again_as_often_as_a_run_may(client: Any) -> None:
    from prefect.states import AwaitingRetry, Completed, Crashed, Pending, Running, Scheduled

    deployment = client.read_deployment_by_name("predict/predict")
    runs = {}
    for name, state in {
        "had begun": Running(),
        "was taken": Pending(),
        "crashed unheard": Crashed(),
        "waits": Scheduled(),
        "is done": Completed(),
    }.items():
        runs[name] = client.create_flow_run_from_deployment(deployment.id).id
        client.set_flow_run_state(runs[name], state, force=True)
    runs["crashes always"] = client.create_flow_run_from_deployment(deployment.id).id
    for _ in range(ATTEMPTS):
        client.set_flow_run_state(runs["crashes always"], AwaitingRetry(), force=True)
        client.set_flow_run_state(runs["crashes always"], Running(), force=True)
    install(client, POOL)
    client.resume_automation(mine(client)[AGAIN].id)
    take_up_again(client, POOL)
    assert {name: client.read_flow_run(run).state_name for name, run in runs.items()} == {
        "had begun": "AwaitingRetry",
        "was taken": "AwaitingRetry",
        "crashed unheard": "AwaitingRetry",
        "waits": "Scheduled",
        "is done": "Completed",
        "crashes always": "Crashed",
    }
    due = client.request("POST", f"/work_pools/{POOL}/get_scheduled_flow_runs", json={}).json()
    assert {str(runs["had begun"]), str(runs["was taken"])} <= {one["flow_run"]["id"] for one in due}


def test_no_run_begins_again_when_the_operator_does_not_want_it(client: Any) -> None:
    from prefect.states import Running

    install(client, POOL)
    client.pause_automation(mine(client)[AGAIN].id)
    deployment = client.read_deployment_by_name("predict/predict")
    run = client.create_flow_run_from_deployment(deployment.id).id
    client.set_flow_run_state(run, Running(), force=True)
    take_up_again(client, POOL)
    assert client.read_flow_run(run).state_name == "Crashed"


def mine(client: Any) -> dict[str, Any]:
    return {one.name: one for one in client.read_automations() if one.name.startswith("carousel: ")}
