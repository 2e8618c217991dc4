"""What a report shows of every kind of sequences: whether long ones are harder than short ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import polars as pl

from tasks.reporting.charts import colours, styled
from tasks.reporting.section import Section

GROUPS = 8
FEWEST = 20


def by_length(evaluated: Path) -> list[Section]:
    """Draw the mean error of the model and of its rivals over groups of items of similar length."""
    evaluation = json.loads((evaluated / "evaluation.json").read_text(encoding="utf-8"))
    names = [row["name"] for row in evaluation["leaderboard"]]
    items = pl.read_parquet(evaluated / "items.parquet", columns=["steps", *(f"error {name}" for name in names)])
    edges = np.unique(np.quantile(items["steps"].to_numpy(), np.linspace(0, 1, GROUPS + 1)))
    if len(items) < FEWEST or len(edges) < 3:
        return []
    group = np.clip(np.searchsorted(edges, items["steps"].to_numpy(), side="right") - 1, 0, len(edges) - 2)
    means = items.with_columns(group=pl.Series(group)).group_by("group").mean().sort("group")
    figure, palette = go.Figure(), colours(evaluation["leaderboard"])
    for name in names:
        line = {"color": palette[name], "width": 2.6 if name == "lstm" else 1.5}
        error = means[f"error {name}"].to_list()
        figure.add_trace(go.Scatter(x=means["steps"].to_list(), y=error, name=name, line=line, mode="lines+markers"))
    figure.update_xaxes(title="steps of an item")
    figure.update_yaxes(title=evaluation["error"], rangemode="tozero")
    hint = f"Mean {evaluation['error']} of items of similar length, shortest to longest."
    return [Section("Error by length", hint, styled(figure, 340))]
