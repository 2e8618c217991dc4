"""The charts of a report: plain values in, plotly figures out.

Colours are legible on white and on black: the page decides on text and grid by its style sheet.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tasks.reporting.study_summary import StudySummary

MODEL, INTERVAL, TRUTH, CHAMPION = "#3b7cff", "rgba(59,124,255,0.22)", "#7f8a99", "#d9a01d"
OTHERS = ("#e0723a", "#3fa66b", "#a06bd1", "#1fa3b5", "#c2527e")
LONGEST_NAME = 34
FAR_OFF = 2.0
MOST_POINTS = 2000
WIDE = 5.0


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


def examples(drawn: list[dict[str, Any]], baseline: str, palette: dict[str, str]) -> go.Figure:
    """Draw windows with some history: truth, median, 80 % interval, and the best baseline's median."""
    columns = min(2, len(drawn))
    titles = [f"{plain(window['item_id'])}  ·  {window['rank']}, MASE {_short(window['mase'])}" for window in drawn]
    rows = (len(drawn) + 1) // 2
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=titles, vertical_spacing=0.32 / max(rows, 2), horizontal_spacing=0.08
    )
    for place, window in enumerate(drawn):
        for trace in _window(window, baseline, palette, first=place == 0):
            figure.add_trace(trace, row=place // columns + 1, col=place % columns + 1)
        origin = window["times"][len(window["history"])]
        row, column = place // columns + 1, place % columns + 1
        figure.add_vline(x=origin, line={"color": TRUTH, "width": 1, "dash": "dot"}, row=row, col=column)
    figure.update_annotations(font_size=13)
    return _styled(figure, 275 * rows + 40, legend_y=1 + 40 / (275 * rows))


def _window(window: dict[str, Any], baseline: str, palette: dict[str, str], first: bool) -> list[go.Scatter]:
    times, seen = window["times"], len(window["history"])
    ahead, quantiles = times[seen:], window["quantiles"]
    shared: dict[str, Any] = {"showlegend": first, "mode": "lines"}
    edge = {"width": 0}
    traces = [
        go.Scatter(x=ahead, y=quantiles["0.9"], line=edge, hoverinfo="skip", mode="lines", showlegend=False),
        go.Scatter(
            x=ahead, y=quantiles["0.1"], line=edge, fill="tonexty", fillcolor=INTERVAL, hoverinfo="skip",
            name="80 % interval", legendgroup="interval", **shared,
        ),
        go.Scatter(
            x=times, y=[*window["history"], *window["actual"]], name="truth", legendgroup="truth",
            line={"color": TRUTH, "width": 1.6}, **shared,
        ),
    ]  # fmt: skip
    if baseline in window["others"]:
        line = {"color": palette[baseline], "width": 1.4, "dash": "dot"}
        traces.append(
            go.Scatter(x=ahead, y=window["others"][baseline], name=baseline, legendgroup="b", line=line, **shared)
        )
    median = {"color": MODEL, "width": 2.2}
    traces.append(go.Scatter(x=ahead, y=quantiles["0.5"], name="lstm", legendgroup="lstm", line=median, **shared))
    return traces


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
    return _styled(figure, 340)


def plain_params(params: dict[str, Any]) -> str:
    return "<br>".join(f"{plain(name)} = {plain(_short(value))}" for name, value in params.items())


def importance(shares: dict[str, float]) -> go.Figure:
    """Draw the share of the metric's variance that each parameter explains, the largest on top."""
    rising = sorted(shares.items(), key=lambda pair: pair[1])[-12:]
    names, values = [plain(name) for name, _ in rising], [share for _, share in rising]
    figure = go.Figure(go.Bar(x=values, y=names, orientation="h", marker_color=MODEL, hovertemplate="%{y}: %{x:.0%}"))
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(showgrid=False)
    return _styled(figure, 340)


def by_horizon(errors: dict[str, list[float | None]], palette: dict[str, str]) -> go.Figure:
    """Draw each forecaster's scaled error at each step of the horizon; one that is far off starts hidden."""
    figure = go.Figure()
    means = {name: _mean(values) for name, values in errors.items()}
    hidden = {name for name, mean in means.items() if mean > FAR_OFF * min(means.values())}
    for name, values in errors.items():
        line = {"color": palette[name], "width": 2.6 if palette[name] == MODEL else 1.5}
        steps = list(range(1, len(values) + 1))
        visible = "legendonly" if name in hidden else True
        figure.add_trace(go.Scatter(x=steps, y=values, name=name, line=line, mode=_mode(values), visible=visible))
    figure.update_xaxes(title="step of the horizon")
    figure.update_yaxes(title="error, in units of MASE", rangemode="tozero")
    return _styled(figure, 360)


def calibration(levels: list[float], observed: dict[str, list[float | None]], palette: dict[str, str]) -> go.Figure:
    """Draw the share of truths at or below each quantile against its level; the diagonal is perfect."""
    figure = go.Figure()
    diagonal = {"color": TRUTH, "width": 1, "dash": "dash"}
    figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, name="perfect", hoverinfo="skip"))
    for name, shares in observed.items():
        model = palette[name] == MODEL
        line = {"color": palette[name], "width": 2.6 if model else 1.2}
        figure.add_trace(
            go.Scatter(x=levels, y=shares, name=name, line=line, mode="lines+markers" if model else "lines")
        )
    figure.update_xaxes(title="quantile level", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(title="truths at or below it", tickformat=".0%", range=[0, 1])
    return _styled(figure, 360)


def by_series(series: list[tuple[str, float, float]], baseline: str) -> go.Figure:
    """Draw the model's error of each series against the best baseline's: below the diagonal the model is better."""
    drawn = series[:: -(-len(series) // MOST_POINTS)]
    theirs, mine = [row[2] for row in drawn], [row[1] for row in drawn]
    low, high = 0.9 * min(*theirs, *mine), 1.1 * max(*theirs, *mine)
    figure = go.Figure()
    diagonal = {"color": TRUTH, "width": 1, "dash": "dash"}
    figure.add_trace(go.Scatter(x=[low, high], y=[low, high], mode="lines", line=diagonal, hoverinfo="skip"))
    figure.add_trace(
        go.Scatter(
            x=theirs, y=mine, mode="markers", marker={"color": MODEL, "size": 6, "opacity": 0.55},
            text=[plain(row[0]) for row in drawn],
            hovertemplate="%{text}<br>lstm %{y:.3f}<br>other %{x:.3f}<extra></extra>",
        )
    )  # fmt: skip
    if max(*theirs, *mine) > WIDE * min(*theirs, *mine) > 0:
        ticks = [digit * 10.0**power for power in range(-6, 7) for digit in (1, 2, 5)]
        figure.update_xaxes(type="log", tickvals=ticks)
        figure.update_yaxes(type="log", tickvals=ticks)
    figure.update_xaxes(title=f"error of {plain(baseline)}")
    figure.update_yaxes(title="error of lstm")
    figure.update_layout(showlegend=False)
    return _styled(figure, 360)


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def _mode(values: Sequence[Any]) -> str:
    return "markers" if len(values) == 1 else "lines"


def _range(values: Sequence[float | None]) -> list[float] | None:
    """Return an axis range that a few disasters do not stretch."""
    known = sorted(value for value in values if value is not None)
    if len(known) < 2 or known[0] == known[-1]:
        return None
    top = min(known[-1], known[0] + 3 * (known[int(0.75 * (len(known) - 1))] - known[0]) or known[-1])
    room = 0.06 * (top - known[0])
    return [known[0] - room, top + room]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _styled(figure: go.Figure, height: int, legend_y: float = 1.02) -> go.Figure:
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
