"""``carousel up``: Prefect server, MLflow server and worker, the deployments registered, until told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from carousel.services import (
    HOST,
    MLFLOW_PORT,
    PREFECT_PORT,
    Addresses,
    Service,
    alone,
    announced,
    demanded_port,
    free_port,
)
from tasks.environment import Environment

POOL = "carousel"
DEPLOYMENTS = "deploy/prefect.yaml"


@contextmanager
def servers(
    env: Environment, prefect_port: int | None, mlflow_port: int | None
) -> Iterator[tuple[Addresses, list[Service]]]:
    """Run all services on 127.0.0.1, with all state below the home, for as long as the block runs.

    Yields their addresses, once they answer, and the services.
    """
    with ExitStack() as stack:
        stack.enter_context(alone(env))
        ports = [_port(prefect_port, PREFECT_PORT), _port(mlflow_port, MLFLOW_PORT)]
        addresses = Addresses(*(f"http://{HOST}:{port}" for port in ports))
        variables = _variables(addresses, ports[0])
        started: list[Service] = []
        for name, command in (("prefect", _prefect(ports[0])), ("mlflow", _mlflow(env, ports[1]))):
            started.append(Service.start(env, name, command, variables))
            stack.callback(started[-1].stop)
        started[0].wait_for(f"{addresses.prefect}/api/health")
        register(env, variables)
        worker = ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--install-policy", "never"]
        started.append(Service.start(env, "worker", worker, variables))
        stack.callback(started[-1].stop)
        started[1].wait_for(f"{addresses.mlflow}/health")
        stack.enter_context(announced(env, addresses))
        yield addresses, started


def until_stopped(services: list[Service]) -> None:
    """Return on Ctrl-C or SIGTERM.

    Raises:
        RuntimeError: a service ended by itself.
    """
    while True:
        for service in services:
            service.check()
        time.sleep(0.5)


def stop_on_signals() -> None:
    """Let SIGTERM and SIGINT raise KeyboardInterrupt, also where a shell started this process with SIGINT ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def register(env: Environment, variables: dict[str, str]) -> None:
    """Create the work pool and the deployments of ``deploy/prefect.yaml``.

    A schedule that an operator switched on, changed or added stays as it is.

    Raises:
        RuntimeError: ``prefect deploy`` failed.
    """
    os.environ.update(variables)
    kept = asyncio.run(_pool_and_schedules())
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", DEPLOYMENTS]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"prefect deploy failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    asyncio.run(_restore_schedules(kept))


async def _pool_and_schedules() -> dict[Any, list[Any]]:
    """Create the pool if it is missing; return the schedules of each deployment that exists."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound
    from prefect.workers.process import ProcessWorker

    async with get_client() as client:
        try:
            await client.read_work_pool(POOL)
        except ObjectNotFound:
            template = ProcessWorker.get_default_base_job_template()
            await client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
        return {deployment.id: deployment.schedules for deployment in await client.read_deployments()}


async def _restore_schedules(kept: dict[Any, list[Any]]) -> None:
    """Give each deployment its earlier schedules back where registering it anew changed them."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    def essence(schedules: list[Any]) -> list[Any]:
        fields = set(DeploymentScheduleCreate.model_fields)
        return [schedule.model_dump(include=fields) for schedule in schedules]

    async with get_client() as client:
        for deployment_id, schedules in kept.items():
            now = (await client.read_deployment(deployment_id)).schedules
            if essence(now) == essence(schedules):
                continue
            for schedule in now:
                await client.delete_deployment_schedule(deployment_id, schedule.id)
            restored = [DeploymentScheduleCreate(**values) for values in essence(schedules)]
            await client._client.post(
                f"/deployments/{deployment_id}/schedules", json=[one.model_dump(mode="json") for one in restored]
            )


def _variables(addresses: Addresses, prefect_port: int) -> dict[str, str]:
    """What the services read, and the flow runs that the worker starts."""
    return {
        **addresses.variables,
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(prefect_port),
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "carousel",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "CAROUSEL_DIRECTORY": os.getcwd(),
    }


def _prefect(port: int) -> list[str]:
    return ["prefect", "server", "start", "--host", HOST, "--port", str(port)]


def _mlflow(env: Environment, port: int) -> list[str]:
    return mlflow_command(f"sqlite:///{env.root / 'mlflow.db'}", env.artifacts, port)


def mlflow_command(store: str, artifacts: Path, port: int) -> list[str]:
    """Return the arguments of ``python -m`` for MLflow's server on ``store``; clients write artifacts themselves."""
    where = ["--backend-store-uri", store, "--no-serve-artifacts", "--default-artifact-root", str(artifacts)]
    return ["mlflow", "server", *where, "--host", HOST, "--port", str(port), "--workers", "1"]


def _port(demanded: int | None, usual: int) -> int:
    return demanded_port(demanded) if demanded else free_port(usual)
