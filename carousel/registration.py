"""The work pool, the deployments and the automations on a Prefect server: that of ``carousel up``, or a team's.

Registering again changes nothing that an operator decided: schedules stay as they are, and what is switched off stays
off. Of a server that others use, too, only what runs in the pool ``carousel`` is touched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carousel.automations import install, of_pool
from carousel.listening import client_variables
from carousel.schedules import catch_up
from carousel.services import use_api
from tasks.addresses import check_address
from tasks.errors import InputError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import DeploymentSchedule

POOL = "carousel"
TRIALS = "trials"
"""The queue of the pool for runs that work on somebody else's search; all others are in its default queue."""
DEPLOYMENTS = "deploy/prefect.yaml"
ROOT = Path(__file__).parents[1]


def deploy() -> list[str]:
    """Register everything on the server at ``PREFECT_API_URL``, whose workers may be at work; return the deployments.

    Runs find relative paths below ``CAROUSEL_DIRECTORY`` on the machine of their worker; by default, the current one.

    Raises:
        InputError: the variable is not set, no Prefect server answers there, or it asks for another password.
        RuntimeError: ``prefect deploy`` failed.
    """
    url = _reachable(os.environ.get("PREFECT_API_URL", ""))
    os.environ.update(client_variables())
    use_api(url)
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import WorkPoolStatus

    with get_client(sync_client=True) as client:
        _check_admitted(client, url)
        register(client, {"CAROUSEL_DIRECTORY": os.environ.get("CAROUSEL_DIRECTORY") or os.getcwd()})
        if client.read_work_pool(POOL).status != WorkPoolStatus.READY:
            catch_up(client, datetime.now(UTC))
        return sorted(deployment.name for deployment in of_pool(client, POOL))


def register(client: SyncPrefectClient, variables: dict[str, str]) -> None:
    """Create the work pool, the deployments of ``deploy/prefect.yaml`` and the automations, or bring them up to date.

    Args:
        client: of the server.
        variables: for ``prefect deploy``: ``CAROUSEL_DIRECTORY``, and what leads it to the server if the environment
            does not.

    Raises:
        RuntimeError: ``prefect deploy`` failed.
    """
    _ensure_pool(client)
    kept = {deployment.id: deployment.schedules for deployment in of_pool(client, POOL)}
    _deploy(variables)
    for deployment_id, schedules in kept.items():
        _restore_schedules(client, deployment_id, schedules)
    install(client, POOL)


def _reachable(url: str) -> str:
    """Return ``url`` if a Prefect server answers there."""
    remedy = "set it to the server's address, such as http://127.0.0.1:4200/api; 'carousel up' starts one"
    if not url:
        raise InputError("PREFECT_API_URL must name the Prefect server to register on", "nothing", remedy)
    check_address(url, "PREFECT_API_URL")
    rule = "a Prefect server must answer at PREFECT_API_URL"
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=10) as answer:  # noqa: S310
            healthy = json.load(answer) is True
    except (OSError, ValueError) as error:
        raise InputError(rule, f"{url}, where {error} is the answer", remedy) from None
    if not healthy:
        raise InputError(rule, f"{url}, where another server answers", remedy)
    return url


def _check_admitted(client: SyncPrefectClient, url: str) -> None:
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        client.read_work_pools(limit=1)
    except PrefectHTTPStatusError as error:
        if error.response.status_code not in (401, 403):
            raise
        rule, received = f"the server at {url} must know who asks", "no user and password that it knows"
        raise InputError(rule, received, "set CAROUSEL_AUTH=user:password as where it was started") from None


def _ensure_pool(client: SyncPrefectClient) -> None:
    """Create the pool and its queue for trials, so that a worker of that queue may start first."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
    from prefect.workers.process import ProcessWorker

    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
    try:
        client.create_work_queue(TRIALS, work_pool_name=POOL)
    except ObjectAlreadyExists:
        return


def _deploy(variables: dict[str, str]) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", DEPLOYMENTS]
    env = {**os.environ, **variables}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"prefect deploy failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _restore_schedules(client: SyncPrefectClient, deployment_id: UUID, earlier: list[DeploymentSchedule]) -> None:
    """Give a deployment its earlier schedules back if registering it anew changed them."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    def essence(schedules: list[DeploymentSchedule]) -> list[dict[str, Any]]:
        return [schedule.model_dump(include=set(DeploymentScheduleCreate.model_fields)) for schedule in schedules]

    now = client.read_deployment(deployment_id).schedules
    if essence(now) == essence(earlier):
        return
    for schedule in now:
        client.delete_deployment_schedule(deployment_id, schedule.id)
    if earlier:
        client.create_deployment_schedules(deployment_id, [DeploymentScheduleCreate(**one) for one in essence(earlier)])
