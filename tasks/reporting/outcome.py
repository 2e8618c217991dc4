"""The outcome of a run as a Markdown artifact in Prefect: leaderboard, decision, links to version and report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tasks.environment import environment
from tasks.references import ModelVersion
from tasks.registry import DECISION, client
from tasks.reporting.markdown import leaderboard


def publish(version: ModelVersion, evaluation: Path, report: Path) -> None:
    """Show the outcome beside the task run that this is called in, if there is one.

    Args:
        version: what was registered.
        evaluation: directory of the evaluation.
        report: the page, also an artifact of the version's MLflow run.
    """
    from prefect.context import TaskRunContext

    if TaskRunContext.get() is None:
        return
    from prefect.artifacts import create_markdown_artifact

    facts = json.loads((evaluation / "evaluation.json").read_text())
    text = _outcome(version, facts, _links(version, report))
    create_markdown_artifact(text, key="leaderboard", description="What the sealed test part said")


def _outcome(version: ModelVersion, facts: dict[str, Any], links: str) -> str:
    decision = client().get_model_version(version.name, version.version).tags[DECISION]
    sections = [
        f"# {version.name} version {version.version}: {decision}",
        "\n".join(f"- {sentence}" for sentence in facts["verdict"]),
        leaderboard(facts),
        links,
    ]
    return "\n\n".join(sections)


def _links(version: ModelVersion, report: Path) -> str:
    """Return links into MLflow's pages or, without a server, where the report lies."""
    tracking = environment().tracking_uri
    if not tracking.startswith("http"):
        return f"Report: `{report}`, also an artifact of MLflow run `{version.run_id}`."
    experiment = client().get_run(version.run_id).info.experiment_id
    run = f"{tracking}/#/experiments/{experiment}/runs/{version.run_id}"
    registered = f"{tracking}/#/models/{version.name}/versions/{version.version}"
    return f"[Model version]({registered}) · [MLflow run]({run}) · [Report]({run}/artifacts/report.html)"
