"""The outcome of a run as a Markdown artifact in Prefect: leaderboard, decision, links to version and report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tasks.environment import environment
from tasks.references import ModelVersion
from tasks.registry import client, decision
from tasks.reporting.markdown import conditions, leaderboard
from tasks.reporting.shown import show


def publish(version: ModelVersion, evaluation: Path, judged: Path, report: Path) -> None:
    """Show the outcome beside the run that this is called in, if there is one.

    Args:
        version: what was registered.
        evaluation: directory of the evaluation.
        judged: directory of the gate's decision.
        report: the page, also an artifact of the version's MLflow run.
    """
    facts = json.loads((evaluation / "evaluation.json").read_text())
    evidence = json.loads((judged / "decision.json").read_text())
    text = outcome(version, facts, evidence, links(version, report))
    show(text, "leaderboard", "What the sealed test part said")


def outcome(version: ModelVersion, facts: dict[str, Any], evidence: dict[str, Any], links: str) -> str:
    """Return the artifact's Markdown from ``evaluation.json`` and ``decision.json``."""
    sections = [
        f"# {version.name} version {version.version}: {decision(version)}",
        "\n".join(f"- {sentence}" for sentence in facts["verdict"]),
        conditions(evidence),
        leaderboard(facts),
        links,
    ]
    return "\n\n".join(sections)


def links(version: ModelVersion, report: Path) -> str:
    """Return links into MLflow's pages or, without a server, where the report lies."""
    tracking = environment().tracking_uri
    if not tracking.startswith("http"):
        return f"Report: `{report}`, also an artifact of MLflow run `{version.run_id}`."
    experiment = client().get_run(version.run_id).info.experiment_id
    run = f"{tracking}/#/experiments/{experiment}/runs/{version.run_id}"
    registered = f"{tracking}/#/models/{version.name}/versions/{version.version}"
    return f"[Model version]({registered}) · [MLflow run]({run}) · [Report]({run}/artifacts/report.html)"
