"""Both servers as ``carousel up`` starts them, once for all tests; no worker, no deployments."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from carousel import listening, services
from carousel.authentication import HOST
from carousel.services import Addresses, Service
from tasks.environment import Environment


@pytest.fixture(scope="session")
def servers_home(tmp_path_factory: pytest.TempPathFactory, empty_home: Path) -> Path:
    """Where the servers of ``running`` keep everything."""
    return shutil.copytree(empty_home, tmp_path_factory.mktemp("servers") / "home")


@pytest.fixture(scope="session")
def running(servers_home: Path) -> Iterator[Addresses]:
    """Where the servers listen."""
    env = Environment(home=servers_home)
    prefect, mlflow = services.free_port(), services.free_port()
    addresses = Addresses(f"http://{HOST}:{prefect}", f"http://{HOST}:{mlflow}")
    variables = {
        "PREFECT_HOME": str(env.prefect_home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **listening.prefect_variables(prefect),
    }
    store = f"sqlite:///{env.root}/mlflow.db"
    started = [
        Service.start(env, "prefect", listening.prefect_command(prefect, "warning"), variables),
        Service.start(env, "mlflow", listening.mlflow_command(store, env.artifacts, mlflow), variables),
    ]
    try:
        started[0].wait_for(f"{addresses.prefect}/api/health")
        started[1].wait_for(f"{addresses.mlflow}/health")
        yield addresses
    finally:
        for service in started:
            service.stop()
