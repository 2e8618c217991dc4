"""The charts that every report has, and what all charts share: plain values in, plotly figures out.

Colours are legible on white and on black: the page decides on text and grid by its style sheet.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from tasks.reporting.study_summary import StudySummary

MODEL, TRUTH, CHAMPION = "#3b7cff", "#7f8a99", "#d9a01d"
OTHERS = ("#e0723a", "#3fa66b", "#a06bd1", "#1fa3b5", "#c2527e")
LONGEST_NAME = 34


def colours(leaderboard: list[dict[str, Any]]) -> dict[str, str]:
    """Return a colour for each forecaster, the same in every chart."""
    fixed = {"lstm": MODEL, "champion": CHAMPION}
    baselines = sorted(row["name"] for row in leaderboard if row["kind"] == "baseline")
    chosen = {name: OTHERS[place % len(OTHERS)] for place, name in enumerate(baselines)}
    return chosen | {row["name"]: fixed[row["kind"]] for row in leaderboard if row["kind"] in fixed}


def plain(text: object) -> str:
    """Return ``text`` as plotly shows it literally: plotly reads a subset of HTML in every label."""
    shown = str(text)
    shown = shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 1] + "…"
    return html.escape(shown, quote=False)


def search_history(study: StudySummary) -> go.Figure:
    """Draw each trial's value in its order, the pruned ones marked, and the best so far."""
    figure = go.Figure()
    complete = [trial for trial in study.of_state("complete") if trial.value is not None]
    pruned = [trial for trial in study.of_state("pruned") if trial.value is not None]
    for trials, name, marker in (
        (pruned, "pruned", {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": TRUTH}}),
        (complete, "complete", {"size": 8, "color": MODEL}),
    ):
        figure.add_trace(
            go.Scatter(
                x=[t.number for t in trials], y=[t.value for t in trials], mode="markers", name=name, marker=marker,
                text=[plain_params(t.params) for t in trials], hovertemplate="trial %{x}: %{y:.4f}<br>%{text}",
            )
        )  # fmt: skip
    best = [min(t.value for t in complete[: place + 1] if t.value is not None) for place in range(len(complete))]
    line = {"color": MODEL, "width": 1.5, "shape": "hv"}
    numbers = [trial.number for trial in complete]
    figure.add_trace(go.Scatter(x=numbers, y=best, mode="lines", name="best so far", line=line, hoverinfo="skip"))
    last = max((trial.number for trial in study.trials), default=0)
    figure.update_xaxes(title="trial", range=[-0.5, last + 0.5], tickformat="d", dtick=1 if last < 12 else None)
    figure.update_layout(showlegend=True)
    figure.update_yaxes(title="validation metric", range=_range([t.value for t in (*complete, *pruned)]))
    return styled(figure, 340)


def plain_params(params: dict[str, Any]) -> str:
    """Return a line for each parameter, as plotly shows it literally."""
    return "<br>".join(f"{plain(name)} = {plain(short(value))}" for name, value in params.items())


def importance(shares: dict[str, float]) -> go.Figure:
    """Draw the share of the metric's variance that each parameter explains, the largest on top."""
    rising = sorted(shares.items(), key=lambda pair: pair[1])[-12:]
    names, values = [plain(name) for name, _ in rising], [share for _, share in rising]
    figure = go.Figure(go.Bar(x=values, y=names, orientation="h", marker_color=MODEL, hovertemplate="%{y}: %{x:.0%}"))
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(showgrid=False)
    return styled(figure, 340)


def _range(values: Sequence[float | None]) -> list[float] | None:
    """Return an axis range that a few disasters do not stretch."""
    known = sorted(value for value in values if value is not None)
    if len(known) < 2 or known[0] == known[-1]:
        return None
    top = min(known[-1], known[0] + 3 * (known[int(0.75 * (len(known) - 1))] - known[0]) or known[-1])
    room = 0.06 * (top - known[0])
    return [known[0] - room, top + room]


def short(value: Any) -> str:
    """Return ``value`` with at most three digits that count."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def styled(figure: go.Figure, height: int, legend_y: float = 1.02) -> go.Figure:
    """Give ``figure`` the look of the page."""
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 56, "r": 12, "t": 40, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12, "color": TRUTH},
        legend={"orientation": "h", "x": 0, "y": legend_y, "yanchor": "bottom"},
        hovermode="closest",
    )
    grid = {"gridcolor": "rgba(127,138,153,0.25)", "zeroline": False, "automargin": True}
    figure.update_xaxes(
        showgrid=False, zeroline=False, ticks="outside", ticklen=4, tickcolor="rgba(127,138,153,0.5)", automargin=True
    )
    figure.update_yaxes(**grid)
    return figure
