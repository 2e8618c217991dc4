"""The charts of a report on forecasts: plain values in, plotly figures out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tasks.reporting.charts import MODEL, TRUTH, plain, short, styled

INTERVAL = "rgba(59,124,255,0.22)"
FAR_OFF = 2.0
MOST_POINTS = 2000
WIDE = 5.0


def examples(drawn: list[dict[str, Any]], baseline: str, palette: dict[str, str]) -> go.Figure:
    """Draw windows with some history: truth, median, 80 % interval, and the best baseline's median."""
    columns = min(2, len(drawn))
    titles = [f"{plain(window['item_id'])}  ·  {window['rank']}, MASE {short(window['mase'])}" for window in drawn]
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
    return styled(figure, 275 * rows + 40, legend_y=1 + 40 / (275 * rows))


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
    return styled(figure, 360)


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
    return styled(figure, 360)


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
    return styled(figure, 360)


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def _mode(values: Sequence[Any]) -> str:
    return "markers" if len(values) == 1 else "lines"
