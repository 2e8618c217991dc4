"""What ``carousel status`` tells of services and runs. It asks and changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from carousel.console import local_time
from carousel.registration import POOL
from carousel.services import Addresses, answers, holder, prefect_client, running
from tasks.environment import Environment

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

FAILURES = 5
"""How many are shown."""

_WIDTH = 100


def services_of(env: Environment) -> list[dict[str, Any]]:
    """Return a row for each service of the ``carousel up`` on this home: where it is, and whether it answers."""
    if (addresses := running(env)) is None:
        pid = holder(env)
        return [{"service": "carousel up", "at": f"process {pid}", "state": "starting"}] if pid else []
    well = {name: answers(url) for name, url in addresses.health.items()}
    rows = [
        {"service": name, "at": getattr(addresses, name), "state": "answers" if well[name] else "does not answer"}
        for name in well
    ]
    worker = _worker(addresses) if well["prefect"] else "unknown"
    return [*rows, {"service": "worker", "at": f"pool {POOL}", "state": worker}]


def runs_under_way(client: SyncPrefectClient) -> list[dict[str, Any]]:
    """Return a row for each flow run that has begun or is about to, the oldest first."""
    from prefect.client.schemas.sorting import FlowRunSort

    runs = _runs(client, ["RUNNING", "PENDING", "PAUSED", "CANCELLING"], FlowRunSort.START_TIME_ASC)
    return [
        {
            "run": run.name,
            "model": run.parameters.get("model") or run.parameters.get("name") or "",
            "state": run.state_name or "",
            "since": local_time(run.start_time) if run.start_time else "",
            "attempt": run.run_count,
        }
        for run in runs
    ]


def failures(client: SyncPrefectClient) -> list[dict[str, Any]]:
    """Return a row for each of the flow runs that failed last, the newest first."""
    from prefect.client.schemas.sorting import FlowRunSort

    runs = _runs(client, ["FAILED", "CRASHED"], FlowRunSort.END_TIME_DESC, FAILURES)
    return [
        {
            "run": run.name,
            "state": run.state_name or "",
            "ended": local_time(run.end_time) if run.end_time else "",
            "why": _first_line(run.state.message if run.state else None),
        }
        for run in runs
    ]


def _runs(client: SyncPrefectClient, states: list[str], order: Any, most: int | None = None) -> list[FlowRun]:
    """Return the flow runs in ``states`` that no other flow run has started."""
    from prefect.client.schemas.filters import FlowRunFilter

    chosen = {"state": {"type": {"any_": states}}, "parent_task_run_id": {"is_null_": True}}
    return client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(chosen), sort=order, limit=most)


def _worker(addresses: Addresses) -> str:
    """Return how the worker is: each ``carousel up`` has one, and the newest is its."""
    with prefect_client(addresses) as client:
        workers = client.read_workers_for_work_pool(POOL)
    newest = max((one for one in workers if one.last_heartbeat_time), key=_heartbeat, default=None)
    if newest is None:
        return "has not reported yet"
    silent = (datetime.now(UTC) - _heartbeat(newest)).total_seconds()
    return f"{newest.status.value.lower()}, last seen {max(0.0, silent):.0f} s ago"


def _heartbeat(worker: Any) -> datetime:
    return worker.last_heartbeat_time


def _first_line(message: str | None) -> str:
    lines = (message or "").strip().splitlines()
    if not lines:
        return ""
    return lines[0] if len(lines[0]) <= _WIDTH else f"{lines[0][: _WIDTH - 3]}..."
