"""What Prefect's user interface shows of a failure: rule, received and remedy of all that is wrong; how to go on."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from tasks.errors import input_errors
from tasks.reporting.shown import show

if TYPE_CHECKING:
    from prefect import Flow, Task
    from prefect.client.schemas.objects import FlowRun, State, TaskRun

MENDED = (
    "When it is mended press *Retry* on the flow run, or start another one if the remedy changes what was asked for: "
    "neither computes again what a stage has computed."
)
FAULT = "It is not the input. *Retry* on the flow run goes on from here: no stage computes again what it has computed."


def explain_stage(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> None:
    """Show why ``run`` failed beside it; a hook of every stage."""
    error = state.result(raise_on_failure=False)
    show(explanation(task.name, error), "failure", f"Why {task.name} failed", run)


def explain_flow(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Show why ``flow_run`` failed beside it, unless a stage has; a hook of every flow."""
    error = state.result(raise_on_failure=False)
    if not _left_a_stage(error):
        show(explanation(flow.name, error), "failure", f"Why {flow.name} failed", flow_run)


def explanation(name: str, error: BaseException) -> str:
    """Return as Markdown why what is called ``name`` failed."""
    breaches = input_errors(error)
    if not breaches:
        return f"# {name} failed\n\n```\n{type(error).__name__}: {error}\n```\n\n{FAULT}"
    parts = [f"# {name} failed"]
    for number, breach in enumerate(breaches, 1):
        parts += [f"## {number} of {len(breaches)}"] if len(breaches) > 1 else []
        told = {"rule": breach.rule, "received": breach.received, "remedy": breach.remedy}
        parts.append(
            "\n".join(["| | |", "|---|---|", *(f"| **{key}** | {_cell(text)} |" for key, text in told.items())])
        )
    return "\n\n".join([*parts, MENDED])


def _cell(text: str) -> str:
    """Return ``text`` as it looks in a table of Markdown."""
    special = {"|": "\\|", "\n": "<br>", "*": "\\*", "_": "\\_", "<": "&lt;", "`": "\\`", "$": "\\$"}
    return "".join(special.get(character, character) for character in text)


def _left_a_stage(error: BaseException) -> bool:
    """Say whether ``error`` came out of a task, whose own hook has explained it."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") == "prefect.task_engine" for frame, _ in frames)
