"""What a report shows of forecasts: windows beside their truth, errors by horizon and by series, calibration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from tasks.reporting import charts, forecast_charts
from tasks.reporting.section import Section, Table

MOST_SERIES = 9
LONGEST_SERIES = 48


def sections(evaluated: Path) -> list[Section]:
    """Draw the evaluation that lies in the directory ``evaluated``."""
    evaluation = json.loads((evaluated / "evaluation.json").read_text(encoding="utf-8"))
    examples = json.loads((evaluated / "examples.json").read_text(encoding="utf-8"))
    series = _series(evaluated, evaluation["best_baseline"])
    return [*_windows(evaluation, examples), *_averages(evaluation), *_by_series(series, evaluation["best_baseline"])]


def _windows(evaluation: dict[str, Any], examples: list[dict[str, Any]]) -> list[Section]:
    if not examples:
        return []
    hint = "Sealed windows from the best to the worst by their error, evenly spread over the ranks."
    palette = charts.colours(evaluation["leaderboard"])
    drawn = forecast_charts.examples(examples, evaluation["best_baseline"], palette)
    return [Section("Forecasts against truth", hint, drawn)]


def _averages(evaluation: dict[str, Any]) -> list[Section]:
    palette = charts.colours(evaluation["leaderboard"])
    return [
        Section(
            "Error by horizon",
            "Mean scaled error at each step ahead. One that is far off starts hidden; click its name.",
            forecast_charts.by_horizon(evaluation["by_horizon"], palette),
            wide=False,
        ),
        Section(
            "Calibration",
            "How often the truth lies at or below each quantile.",
            forecast_charts.calibration(evaluation["quantiles"], evaluation["calibration"], palette),
            wide=False,
        ),
    ]


def _by_series(series: list[tuple[str, float, float]], baseline: str) -> list[Section]:
    if len(series) < 2:
        return []
    hardest = series[:MOST_SERIES]
    better = frozenset(
        (row, 1 if mine < theirs else 2) for row, (_, mine, theirs) in enumerate(hardest) if mine != theirs
    )
    rows = [[_cut(name), mine, theirs] for name, mine, theirs in hardest]
    return [
        Section(
            "Series by series",
            "Each point is a series, in units of MASE; below the line the model is better.",
            forecast_charts.by_series(series, baseline),
            wide=False,
        ),
        Section(
            "Hardest series",
            "Those with the largest error of the model, in units of MASE.",
            Table(["Series", "lstm", baseline], rows, bold=better),
            wide=False,
        ),
    ]


def _series(evaluated: Path, baseline: str) -> list[tuple[str, float, float]]:
    """Return name, the model's and the best baseline's error of each series that was observed, the worst first."""
    items = pl.read_parquet(evaluated / "items.parquet", columns=["item_id", "lstm", baseline])
    return items.filter(pl.col("lstm").is_finite()).sort("lstm", descending=True).rows()


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_SERIES else name[: LONGEST_SERIES - 1] + "…"
