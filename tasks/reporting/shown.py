"""What Prefect's user interface shows beside a run: Markdown artifacts. That they cannot be shown stops no run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, TaskRun

log = logging.getLogger("carousel.prefect")


def show(text: str, key: str, description: str, beside: FlowRun | TaskRun | None = None) -> None:
    """Show Markdown beside a run; None: the flow or task run that this is called in, if there is one."""
    from prefect.artifacts import MarkdownArtifact
    from prefect.client.schemas.objects import TaskRun
    from prefect.context import FlowRunContext, TaskRunContext

    if beside is None and FlowRunContext.get() is None and TaskRunContext.get() is None:
        return
    place: dict[str, Any] = {}
    if isinstance(beside, TaskRun):
        place = {"task_run_id": beside.id, "flow_run_id": beside.flow_run_id}
    elif beside is not None:
        place = {"flow_run_id": beside.id}
    try:
        MarkdownArtifact(key=key, markdown=text, description=description, **place).create()
    except Exception as error:
        log.warning("Prefect does not show %r (%s)", key, f"{type(error).__name__}: {error}"[:200])


def echo(experiment: dict[str, Any]) -> None:
    """Show what is run, every default filled in, as the experiment file that would run it again."""
    text = yaml.safe_dump(experiment, sort_keys=False, allow_unicode=True, width=120)
    show(f"```yaml\n{text}```", "experiment", "What this run was asked for, all defaults filled in")
