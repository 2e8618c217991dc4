"""Workers as runs of the deployment ``trial-worker``, on whatever machines have a worker in Prefect's work pool."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tasks.engines.engine import Engine, Running
from tasks.errors import InputError

DEPLOYMENT = "trial-worker/trial-worker"
LOOK = 2.0
"""Seconds between two questions to Prefect about the same run."""


class PoolRun(Running):
    """A flow run; a crashed one has died, and one that nobody has taken yet waits."""

    def __init__(self, client: Any, run: UUID, name: str) -> None:
        self.client, self.run, self.name = client, run, name
        self._looked, self._state = 0.0, None

    def succeeded(self) -> bool | None:
        import httpx

        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            try:
                self._state = self.client.read_flow_run(self.run).state
            except httpx.HTTPError:
                return None  # the server is away: the run goes on without it
        if self._state is None or not self._state.is_final():
            return None
        return self._state.is_completed()

    @property
    def taken(self) -> bool:
        """Whether a worker of the pool has begun it."""
        return self._state is not None and self._state.is_running()

    def log(self) -> str:
        return f"flow run {self.run}: {self._state.name if self._state else 'unknown'}: {self._message()}"

    def _message(self) -> str:
        return (self._state.message or "") if self._state else ""


class PoolEngine(Engine):
    """Runs of ``trial-worker``, which stand in Prefect's user interface under the search that started them."""

    apart = True

    def __init__(self, assignment: str) -> None:
        """Find the deployment.

        Raises:
            InputError: it is not registered.
        """
        from prefect.client.orchestration import get_client
        from prefect.exceptions import ObjectNotFound

        self.assignment = json.loads(assignment)
        self.client = get_client(sync_client=True)
        try:
            self.deployment = self.client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            rule = "CAROUSEL_ENGINE=pool needs the deployment 'trial-worker' on the Prefect server"
            raise InputError(rule, f"none at {self.client.api_url}", "register it: carousel deploy") from None

    def start(self, index: int, attempt: int) -> PoolRun:
        from prefect.context import TaskRunContext

        context = TaskRunContext.get()
        study = self.assignment["study_name"]
        # A stage that begins again finds the run that it has started already.
        key = f"{study}-{index}-{attempt}"
        run = self.client.create_flow_run_from_deployment(
            self.deployment.id,
            parameters={"assignment": self.assignment, "name": f"{index}-{attempt}"},
            name=f"trials {index} of {study}",
            parent_task_run_id=context.task_run.id if context else None,
            idempotency_key=key,
        )
        return PoolRun(self.client, run.id, f"{index}-{attempt}")

    def stop(self, workers: Sequence[Running]) -> None:
        from prefect.states import Cancelled, Cancelling

        for worker in workers:
            if isinstance(worker, PoolRun) and worker.succeeded() is None:
                # A worker of the pool ends what it runs; what nobody has taken has no process to be ended.
                state = Cancelling if worker.taken else Cancelled
                self.client.set_flow_run_state(worker.run, state(message="The search is over."), force=True)
