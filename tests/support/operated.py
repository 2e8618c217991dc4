"""``carousel up`` seen from outside: runs of its deployments, and what they registered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from carousel.services import prefect_client
from tests.conftest import Up


def trigger(up: Up, name: str, parameters: dict[str, Any]) -> Any:
    """Create a run of a deployment, as the user interface does; a worker takes it."""
    with prefect_client(up.addresses) as client:
        deployment = client.read_deployment_by_name(f"{name}/{name}")
        return client.create_flow_run_from_deployment(deployment.id, parameters=parameters)


def ended(up: Up, run: Any) -> Any:
    """Return ``run`` as it is when it has ended."""

    def final() -> Any:
        now = read(up, run.id)
        return now if now.state and now.state.is_final() else None

    return wait_for(final, 420, f"{run.name} did not end")


def read(up: Up, run_id: Any) -> Any:
    """Return a run as it is now."""
    with prefect_client(up.addresses) as client:
        return client.read_flow_run(run_id)


def runs_of(up: Up, name: str) -> list[Any]:
    """Return the runs of a deployment that have begun."""
    from prefect.client.schemas.filters import FlowRunFilter

    with prefect_client(up.addresses) as client:
        deployment = client.read_deployment_by_name(f"{name}/{name}")
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate({"deployment_id": {"any_": [deployment.id]}})
        )
    return [run for run in runs if run.start_time]


def versions(up: Up, name: str) -> list[Any]:
    """Return the registered versions of a model, newest first."""
    from mlflow import MlflowClient

    return list(MlflowClient(up.addresses.mlflow).search_model_versions(f"name='{name}'"))


def wait_for(look: Callable[[], Any], seconds: float, complaint: str, pause: float = 1.0) -> Any:
    """Return what ``look`` returns as soon as that is something; a server may be away in between."""
    import httpx

    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := look():
                return found
        except httpx.TransportError as error:
            complaint = f"{complaint}; {error!r}"
        assert time.monotonic() < deadline, complaint
        time.sleep(pause)
