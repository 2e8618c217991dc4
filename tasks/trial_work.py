"""A worker of a search that another process has begun, perhaps on another machine."""

from __future__ import annotations

import time
from typing import Any

from prefect import task

from tasks import children
from tasks.assignment import Assignment
from tasks.engines.local import start_child
from tasks.environment import environment
from tasks.reporting.failure import explain_stage


@task(name="trials", task_run_name="trials of worker {name}", on_failure=[explain_stage])
def work_on_trials(assignment: Assignment, name: str) -> None:
    """Train trials of the study of ``assignment`` until its time is up or nothing is left, as worker ``name``.

    Raises:
        RuntimeError: the process that trains them died; the message ends with its log.
    """
    work_on(assignment.model_dump(mode="json"), name)


def work_on(told: dict[str, Any], name: str) -> None:
    """Do what ``work_on_trials`` does; ``told`` is an Assignment in JSON."""
    assignment = Assignment.model_validate(told)
    work = environment().work / assignment.work
    work.mkdir(parents=True, exist_ok=True)
    child = start_child(assignment.model_dump_json(), work, name)
    with children.stopped_at_exit([child.process]):
        while (ended := child.succeeded()) is None:
            time.sleep(0.2)
    if not ended:
        raise RuntimeError(f"the worker died; its log ends:\n{child.log()}")
