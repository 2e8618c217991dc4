"""Stage ``promote``: somebody makes a version champion, or answers the question that a run waits with."""

from __future__ import annotations

import json
from typing import Literal

from prefect import task
from prefect.input import RunInput
from pydantic import Field

from tasks import aliases, store
from tasks.errors import worth_retrying
from tasks.references import Decision, Evaluation, ModelVersion, Report
from tasks.registry import client, decision, reference
from tasks.reporting.failure import explain_stage
from tasks.reporting.outcome import links, outcome
from tasks.reporting.shown import show


class Approval(RunInput):
    """The answer to the question whether a version that passed the gate becomes champion. None is given by default."""

    answer: Literal["promote", "keep the champion"] = Field(
        title="Answer", description="promote: the version becomes champion, if the champion is still the one it beat."
    )
    comment: str = Field("", title="Comment", description="For the version and for the log of the model's aliases.")


def can_ask() -> bool:
    """Say whether the run that this is called in may be suspended until Prefect's user interface has an answer."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None


def ask(version: ModelVersion, evaluation: Evaluation, judged: Decision, report: Report) -> Approval:
    """Suspend this run until Prefect's user interface, which shows the evidence, has an answer; return that.

    The process ends, and nothing is held: the answer may come in a week, and the run is started again to give it here.
    A run that is killed after that, and is taken up again, may ask again.
    """
    from prefect.flow_runs import suspend_flow_run

    facts = json.loads((store.path(evaluation) / "evaluation.json").read_text(encoding="utf-8"))
    evidence = json.loads((store.path(judged) / "decision.json").read_text(encoding="utf-8"))
    seen = outcome(version, facts, evidence, links(version, store.path(report) / "report.html"))
    question = Approval.with_initial_data(description=f"{seen}\n\nShall it become champion?")
    # A question for each version: a run that finds other data when it goes on does not take the answer for theirs.
    return suspend_flow_run(wait_for_input=question, key=f"approve-{version.fingerprint}")


@task(
    name="settle",
    task_run_name="settle {version.name} version {version.version}",
    retries=1,
    retry_condition_fn=worth_retrying,
    on_failure=[explain_stage],
)
def settle_version(version: ModelVersion, approval: Approval) -> ModelVersion:
    """Make ``version`` champion, or not, as ``approval`` says; who decided meanwhile by other means has decided."""
    aliases.answer(version, approval.answer == "promote", _by(), approval.comment)
    return _told(version)


@task(name="promote", task_run_name="promote {version.name} version {version.version}", on_failure=[explain_stage])
def promote_version(version: ModelVersion, why: str, force: bool) -> ModelVersion:
    """Make ``version`` champion if it passed the gate against the present one; ``force``: whatever the gate said.

    Raises:
        InputError: it is the champion, the gate did not let it pass, or it was never compared with the present one.
    """
    aliases.promote(version, _by(), why, force)
    return _told(version)


def _by() -> str:
    """Return who decides, for the log: Prefect does not say who is at its user interface."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = context.flow_run.name if context and context.flow_run else "without a name"
    return f"Prefect, run {run}"


def _told(version: ModelVersion) -> ModelVersion:
    """Return ``version`` as it is now, and show it beside the run."""
    now = reference(client().get_model_version(version.name, version.version))
    show(f"# {now.name} version {now.version}: {decision(now)}", "decision", "Who is champion now")
    return now
