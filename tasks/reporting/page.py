"""Turns what a pipeline found into one HTML page that needs nothing from outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from tasks.reporting import charts
from tasks.reporting.study_summary import StudySummary

TEMPLATE = "report.html.j2"
_UNITS = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "q": "quarter",
    "y": "year",
}


@dataclass(frozen=True)
class Findings:
    """What the page shows: the JSON files that the stages wrote, the study, and where time went.

    ``series`` are (name, the model's error, the best baseline's), the worst first; ``seconds`` are (what, seconds);
    ``fingerprints`` are (stage, fingerprint); ``notices`` are the data contract's findings.
    """

    table: dict[str, Any]
    evaluation: dict[str, Any]
    examples: list[dict[str, Any]]
    series: list[tuple[str, float, float]]
    model: dict[str, Any]
    study: StudySummary
    seconds: list[tuple[str, float]]
    fingerprints: list[tuple[str, str]]
    notices: list[dict[str, Any]]


def render(findings: Findings) -> str:
    """Return the page. Names out of the data are escaped wherever they stand."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": _number, "duration": _duration, "percent": _percent, "steps": _steps}
    evaluation = findings.evaluation
    model = next(row for row in evaluation["leaderboard"] if row["kind"] == "lstm")
    return environment.get_template(TEMPLATE).render(
        findings=findings,
        evaluation=evaluation,
        model=model,
        best=next(row for row in evaluation["leaderboard"] if row["name"] == evaluation["best_baseline"]),
        against=evaluation["tests"]["best_baseline"],
        outcome=_outcome(evaluation),
        lowest=_lowest(evaluation["leaderboard"]),
        plots=_plots(findings),
        recipe=_side_by_side(findings.model.get("members", [])),
        states=_states(findings.study),
        # plotly.js is our own dependency's text, the one thing on the page that is not escaped.
        plotly_js=Markup(get_plotlyjs()),  # noqa: S704
    )


def _plots(findings: Findings) -> dict[str, Markup]:
    evaluation, study = findings.evaluation, findings.study
    palette = charts.colours(evaluation["leaderboard"])
    figures: dict[str, go.Figure] = {
        "horizon": charts.by_horizon(evaluation["by_horizon"], palette),
        "calibration": charts.calibration(evaluation["quantiles"], evaluation["calibration"], palette),
    }
    if findings.examples:
        figures["examples"] = charts.examples(findings.examples, evaluation["best_baseline"], palette)
    if any(trial.value is not None for trial in study.trials):
        figures["history"] = charts.search_history(study)
    if len(findings.series) > 1:
        figures["series"] = charts.by_series(findings.series, evaluation["best_baseline"])
    if study.importance:
        figures["importance"] = charts.importance(study.importance)
    return {name: _embedded(name, figure) for name, figure in figures.items()}


def _embedded(name: str, figure: go.Figure) -> Markup:
    # plotly writes <, > and / of its JSON as escapes, so nothing in the data can end the script element.
    part = to_html(
        figure,
        full_html=False,
        include_plotlyjs=False,
        div_id=f"plot-{name}",
        default_height=f"{figure.layout.height}px",
        config={"displayModeBar": False, "responsive": True},
    )
    return Markup(part)  # noqa: S704


def _outcome(evaluation: dict[str, Any]) -> str:
    """Return good, bad or even: does the page's headline say that the model won?"""
    if not evaluation["beats_baselines"]:
        return "bad"
    return "good" if evaluation["tests"]["best_baseline"]["outcome"] == "better" else "even"


def _lowest(leaderboard: list[dict[str, Any]]) -> dict[str, float | None]:
    """Return the best value of each column of the leaderboard in which less is better."""
    best: dict[str, float | None] = {}
    for column in ("mase", "wql", "smape", "mae", "rmse"):
        known = [row[column] for row in leaderboard if row.get(column) is not None]
        best[column] = min(known) if known else None
    return best


def _side_by_side(members: list[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Return one row for each leaf of the members' nested configurations."""
    flat = [dict(_leaves(member)) for member in members]
    names = dict.fromkeys(name for leaves in flat for name in leaves)
    return [(name, [leaves.get(name, "") for leaves in flat]) for name in names]


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        inner = [_leaves(below, f"{path}.{name}" if path else str(name)) for name, below in value.items()]
        return [leaf for leaves in inner for leaf in leaves]
    return [(path, f"{value:.4g}" if isinstance(value, float) else str(value))]


def _states(study: StudySummary) -> list[tuple[str, int, float]]:
    """Return how many trials ended in each state and the seconds that they took together."""
    states = dict.fromkeys(trial.state for trial in study.trials)
    return [(state, len(rows), sum(row.seconds for row in rows)) for state in states if (rows := study.of_state(state))]


def _number(value: float | None, digits: int = 3) -> str:
    if value is None:
        return "–"
    text = f"{value:,.{digits}f}" if abs(value) < 1000 else f"{value:,.0f}"
    return text.replace("-", "−")


def _steps(count: int, frequency: str) -> str:
    """Return ``count`` steps of ``frequency`` in words: 24 months, 24 steps of 15 minutes."""
    unit = _UNITS.get(frequency.lstrip("0123456789"), "step")
    width = int(frequency[: len(frequency) - len(frequency.lstrip("0123456789"))] or 1)
    plural = unit if count == 1 and width == 1 else f"{unit}s"
    return f"{count} {plural}" if width == 1 else f"{count} steps of {width} {plural}"


def _percent(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
