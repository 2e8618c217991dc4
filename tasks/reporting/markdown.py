"""The leaderboard and the gate's conditions as Markdown tables: for the model card and the run's outcome in Prefect."""

from __future__ import annotations

from typing import Any

from tasks.kinds.metric import parse


def leaderboard(evaluation: dict[str, Any]) -> str:
    """Return a row for each contestant of ``evaluation.json``, best first, with the metrics that are brief."""
    metrics = [metric for metric in parse(evaluation["metrics"]) if metric.brief]
    head = f"| model | {' | '.join(metric.title for metric in metrics)} |\n|---|{'---:|' * len(metrics)}"
    rows = [[row["name"], *(metric.shown(row[metric.name]) for metric in metrics)] for row in evaluation["leaderboard"]]
    return "\n".join([head, *(f"| {' | '.join(cells)} |" for cells in rows)])


def conditions(decision: dict[str, Any]) -> str:
    """Return a row for each check of ``decision.json``: what was asked and what was found."""
    rows = [
        f"| {one['name']} | {one['asked']} | {one['found']} | {'met' if one['passed'] else '**not met**'} |"
        for one in decision["checks"]
    ]
    return "\n".join(["| gate | asked | found | |", "|---|---|---|---|", *rows])
