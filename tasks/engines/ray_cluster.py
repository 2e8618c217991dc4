"""Workers as tasks of a Ray cluster: the one at ``RAY_ADDRESS``, else one on this machine that ends with the search.

The nodes of a cluster have the environment of Carousel themselves: nothing of it, and no secret, travels with a task.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from tasks.engines.engine import Engine, Running
from tasks.errors import InputError


class RayTask(Running):
    """A task of Ray's that runs one worker."""

    def __init__(self, reference: Any, name: str) -> None:
        self.reference, self.name = reference, name
        self._failure = ""

    def succeeded(self) -> bool | None:
        import ray

        ready, _ = ray.wait([self.reference], timeout=0)
        if not ready:
            return None
        try:
            ray.get(self.reference)
        except ray.exceptions.RayError as error:
            self._failure = str(error)
        return not self._failure

    def log(self) -> str:
        return self._failure[-2000:]


class RayEngine(Engine):
    """Each worker takes one processor, and a share of a GPU where the cluster has some."""

    apart = True

    def __init__(self, assignment: str, count: int) -> None:
        """Connect to the cluster, or start one.

        Args:
            assignment: JSON of ``tasks.assignment.Assignment``.
            count: workers there will be.

        Raises:
            InputError: Ray is not installed.
        """
        try:
            import ray
        except ImportError:
            rule = "CAROUSEL_ENGINE=ray needs Ray"
            raise InputError(rule, "no package ray", "install the extra: carousel[ray]") from None
        self.assignment = json.loads(assignment)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self.began = not ray.is_initialized()
        if self.began:
            ray.init(num_cpus=_processors(count), log_to_driver=False, include_dashboard=False, configure_logging=False)
        gpus = ray.cluster_resources().get("GPU", 0.0)
        share = min(1.0, gpus / count) if gpus else 0.0
        self.task = ray.remote(_work).options(num_cpus=1, num_gpus=share, max_retries=0)

    def start(self, index: int, attempt: int) -> RayTask:
        name = f"{index}-{attempt}"
        return RayTask(self.task.remote(self.assignment, name), name)

    def stop(self, workers: Sequence[Running]) -> None:
        import ray

        for worker in workers:
            if isinstance(worker, RayTask) and worker.succeeded() is None:
                ray.cancel(worker.reference, force=True)
        if self.began:
            ray.shutdown()


def _processors(count: int) -> int | None:
    """Return how many processors a cluster of this machine alone pretends to have; an existing one knows its own."""
    return None if os.environ.get("RAY_ADDRESS") else count


def _work(assignment: dict[str, Any], name: str) -> None:
    from tasks.trial_work import work_on

    work_on(assignment, name)
