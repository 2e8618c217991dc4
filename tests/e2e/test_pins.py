"""What the pins of fastapi, sqlalchemy and prefect are for: each of these broke with the versions that pip takes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def test_the_server_of_prefect_imports_with_the_installed_fastapi() -> None:
    code = "from prefect.server.api.server import create_app; create_app()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_prefect_deploy_registers_every_deployment_file_again_without_error(up) -> None:
    command = [
        sys.executable,
        "-m",
        "prefect",
        "--no-prompt",
        "deploy",
        "--all",
        "--prefect-file",
        "deploy/prefect.yaml",
    ]
    variables = {**os.environ, **up.addresses.variables, "PREFECT_HOME": str(up.home / "prefect")}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"pipeline", "retrain", "predict", "promote"} <= set(asyncio.run(_deployments(up)))


def test_a_deployment_with_a_cron_gets_scheduled_runs(up) -> None:
    deployment_id = asyncio.run(_deploy_with_cron(up))
    deadline = time.monotonic() + 150
    while not (scheduled := asyncio.run(_scheduled_runs(up, deployment_id))):
        assert time.monotonic() < deadline, "the scheduler created no run within 150 s"
        time.sleep(1)
    assert scheduled[0].auto_scheduled
    assert scheduled[0].next_scheduled_start_time.minute == 0


def _client(up):
    from prefect.client.orchestration import PrefectClient

    return PrefectClient(f"{up.addresses.prefect}/api")


async def _deployments(up) -> dict[str, UUID]:
    async with _client(up) as client:
        return {deployment.name: deployment.id for deployment in await client.read_deployments()}


async def _deploy_with_cron(up) -> UUID:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    async with _client(up) as client:
        flow_id = await client.create_flow_from_name("pins")
        hourly = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 * * * *", timezone="UTC"), active=True)
        return await client.create_deployment(flow_id, "hourly", schedules=[hourly])


async def _scheduled_runs(up, deployment_id: UUID) -> list:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

    async with _client(up) as client:
        chosen = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
        return await client.read_flow_runs(deployment_filter=chosen)
