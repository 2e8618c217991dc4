"""A deployment whose runs are executed as a worker does it: each in a process of its own, that may come back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import State, StateType
from prefect.flows import Flow
from prefect.utilities.callables import parameter_schema

from carousel.services import Addresses
from tests.conftest import FEW_WORKERS

ROOT = Path(__file__).parents[2]


class Deployed:
    """A deployment of ``flow``, whose runs find relative paths in ``directory`` and keep their state below it."""

    def __init__(self, running: Addresses, flow: Flow[..., Any], directory: Path) -> None:
        self.running, self.directory = running, directory
        self.client = SyncPrefectClient(f"{running.prefect}/api")
        step = {"prefect.deployments.steps.set_working_directory": {"directory": str(directory)}}
        self.id: UUID = self.client.create_deployment(
            self.client.create_flow(flow),
            f"{flow.fn.__name__} of {directory.name}",
            entrypoint=f"{flow.fn.__module__}.{flow.fn.__name__}",
            pull_steps=[step],
            parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
            enforce_parameter_schema=True,
        )

    def begin(self, **parameters: Any) -> UUID:
        """Create a run and execute it; return its id."""
        run = self.client.create_flow_run_from_deployment(self.id, parameters=parameters)
        self.execute(run.id)
        return run.id

    def execute(self, run: UUID, **variables: str) -> None:
        """Execute ``run`` until it ends or is suspended."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "CAROUSEL_"))}
        home = self.directory / "home"
        environment = {
            **inherited,
            **self.running.variables,
            "CAROUSEL_HOME": str(home),
            "PREFECT_HOME": str(home / "prefect"),
            "PYTHONPATH": str(ROOT),
            **FEW_WORKERS,
            **variables,
        }
        command = [sys.executable, "-m", "prefect", "flow-run", "execute", str(run)]
        done = subprocess.run(command, env=environment, cwd=self.directory, capture_output=True, text=True)
        (self.directory / "flow-run.log").write_text(done.stdout + done.stderr)

    def retry(self, run: UUID, **variables: str) -> None:
        """Do what *Retry* does in Prefect's user interface, and execute what comes of it."""
        again = State(type=StateType.SCHEDULED, name="AwaitingRetry", message="Retry from the UI")
        self.client.set_flow_run_state(run, again, force=True)
        self.execute(run, **variables)

    def state(self, run: UUID) -> State[Any]:
        state = self.client.read_flow_run(run).state
        assert state is not None
        return state

    def artifacts(self, run: UUID, key: str) -> list[Any]:
        """Return the artifacts of ``run`` that are called ``key``, oldest first."""
        chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
        found = self.client.read_artifacts(artifact_filter=chosen)
        return sorted((one for one in found if one.key == key), key=lambda one: one.created)
