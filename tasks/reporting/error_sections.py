"""Sections that the reports of several kinds share: what is taken for what, how sure the model is, the worst items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

import plotly.graph_objects as go

from tasks.kinds.items import counted
from tasks.reporting.charts import MODEL, OTHERS, TRUTH, plain, styled
from tasks.reporting.section import Section, Table

MOST_WRITTEN = 12
"""Labels up to which counts are written into the cells of a confusion matrix."""
MOST_LABELS = 40
SCALE = ((0.0, "rgba(59,124,255,0.0)"), (0.1, "rgba(59,124,255,0.28)"), (1.0, "rgba(59,124,255,1.0)"))


def confusion(matrix: dict[str, Any], noun: str = "items") -> Section:
    """Draw which label was taken for which: ``labels``, ``counts`` by truth and prediction, ``left_out``."""
    labels, counts = matrix["labels"], matrix["counts"]
    places = list(range(len(labels)))
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    hover = [
        [f"{plain(a)} taken for {plain(b)}: {counts[i][j]}" for j, b in enumerate(labels)] for i, a in enumerate(labels)
    ]
    written = [[count or "" for count in row] for row in counts] if len(labels) <= MOST_WRITTEN else None
    figure = go.Figure(
        go.Heatmap(
            z=shares, x=places, y=places, text=written, customdata=hover, colorscale=SCALE, zmin=0, zmax=1, xgap=1,
            ygap=1, showscale=False, texttemplate="%{text}" if written else None,
            hovertemplate="%{customdata} (%{z:.1%})<extra></extra>",
        )
    )  # fmt: skip
    names = [plain(label) for label in labels]
    # Places, not names, are the axis: two labels that are cut to the same name stay two.
    axis = {"tickvals": places, "ticktext": names, "showgrid": False, "ticklabeloverflow": "allow"}
    styled(figure, max(320, min(22 * len(labels) + 160, 820)))
    figure.update_xaxes(title={"text": "predicted", "standoff": 12}, range=[-0.5, len(labels) - 0.5], **axis)
    figure.update_yaxes(title={"text": "truth", "standoff": 12}, range=[len(labels) - 0.5, -0.5], **axis)
    hint = f"Each row shows what the {noun} of one label were taken for; the diagonal is right."
    if matrix["left_out"]:
        hint += f" The {len(labels)} labels with the most errors; {matrix['left_out']} more are left out."
    return Section("Confusion", hint, figure)


def calibration(bins: dict[str, list[float]], error: float | None, noun: str = "items") -> Section:
    """Draw how often the model is right when it is so sure; ``error`` is the expected calibration error."""
    figure = go.Figure()
    diagonal = {"color": TRUTH, "width": 1, "dash": "dash"}
    figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, name="perfect", hoverinfo="skip"))
    most = max(bins["count"], default=1.0)
    sizes = [6 + 14 * (count / most) ** 0.5 for count in bins["count"]]
    figure.add_trace(
        go.Scatter(
            x=bins["confidence"], y=bins["accuracy"], mode="lines+markers", name="lstm", customdata=bins["count"],
            line={"color": MODEL, "width": 2}, marker={"size": sizes},
            hovertemplate=f"sure %{{x:.0%}}, right %{{y:.0%}}, %{{customdata}} {noun}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(title="how sure", tickformat=".0%", range=[-0.03, 1.03])
    figure.update_yaxes(title="how often right", tickformat=".0%", range=[-0.03, 1.03])
    hint = f"Below the diagonal the model is too sure. A larger point stands for more {noun}."
    if error is not None:
        hint += f" Mean gap {100 * error:.1f} %."
    return Section("Calibration", hint, styled(figure, 380), wide=False)


def labels(rows: list[dict[str, Any]], noun: str = "items", label: str = "Label") -> Section:
    """List precision, recall and F1 of each label, the worst first."""
    headings = [label, noun.capitalize(), "Precision", "Recall", "F1"]
    cells = [[row["label"], row["items"], row["precision"], row["recall"], row["f1"]] for row in rows[:MOST_LABELS]]
    hint = f"The lowest F1 first. Precision: how many of those predicted are right; recall: how many {noun} were found."
    if len(rows) > MOST_LABELS:
        hint += f" {len(rows) - MOST_LABELS} more, with a higher F1, are left out."
    formats = dict.fromkeys(headings[2:], ".3f")
    return Section(f"Scores by {label.lower()}", hint, Table(headings, cells, formats), wide=False)


def examples(rows: list[dict[str, Any]], columns: dict[str, str], hint: str, **table: Any) -> Section:
    """List the worst items: ``columns`` are key -> heading."""
    cells = [[row.get(key) for key in columns] for row in rows]
    return Section("Worst items", hint, Table(list(columns.values()), cells, **table))


def stacked(counts: dict[str, dict[str, int]], title: str, hint: str, most: int = 30) -> Section:
    """Draw a bar for each name, made up of its counts by kind; names with the most of what is not ``right`` on top."""
    wrong = {name: sum(n for kind, n in kinds.items() if kind != "right") for name, kinds in counts.items()}
    names = sorted(counts, key=lambda name: (wrong[name], name))[-most:]
    kinds = list(dict.fromkeys(kind for held in counts.values() for kind in held))
    colours = {"right": "rgba(59,124,255,0.55)"}
    others = iter(OTHERS)
    figure = go.Figure()
    for kind in kinds:
        colour = colours.get(kind) or next(others)
        figure.add_trace(
            go.Bar(
                x=[counts[name].get(kind, 0) for name in names], y=list(range(len(names))), name=kind, orientation="h",
                marker_color=colour, customdata=[plain(name) for name in names],
                hovertemplate=f"%{{customdata}}: %{{x}} {kind}<extra></extra>",
            )
        )  # fmt: skip
    styled(figure, max(260, 24 * len(names) + 110)).update_layout(barmode="stack", legend_traceorder="normal")
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=[plain(name) for name in names], showgrid=False)
    return Section(title, hint, figure)


def agreement(truth: Sequence[float | None], predicted: Sequence[float | None], shown: list[str]) -> Section:
    """Draw predictions against truths; the diagonal is right.

    None stands for a number that is not finite; its item cannot be drawn and is counted in the hint.
    """
    pairs = zip(truth, predicted, shown, strict=True)
    known = [(a, b, text) for a, b, text in pairs if _is_finite(a) and _is_finite(b)]
    title, hint = "Predicted against true", "Each point is an item; the line is right." + _left_out(truth, known)
    if not known:
        return Section(title, hint, "No item has a finite prediction.", wide=False)
    numbers = [number for a, b, _ in known for number in (a, b)]
    low, high = min(numbers), max(numbers)
    figure = go.Figure()
    diagonal = {"color": TRUTH, "width": 1, "dash": "dash"}
    figure.add_trace(go.Scatter(x=[low, high], y=[low, high], mode="lines", line=diagonal, hoverinfo="skip"))
    figure.add_trace(
        go.Scatter(
            x=[a for a, _, _ in known], y=[b for _, b, _ in known], customdata=[plain(text) for _, _, text in known],
            mode="markers", marker={"color": MODEL, "size": 6, "opacity": 0.55},
            hovertemplate="%{customdata}<br>truth %{x:.4g}, predicted %{y:.4g}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(title="truth")
    figure.update_yaxes(title="predicted")
    figure.update_layout(showlegend=False)
    return Section(title, hint, styled(figure, 400), wide=False)


def residuals(errors: Sequence[float | None]) -> Section:
    """Draw how the errors are spread around 0; None stands for one that is not finite, and is counted in the hint."""
    known = [error for error in errors if _is_finite(error)]
    hint = "How far predictions lie above and below the truth." + _left_out(errors, known)
    if not known:
        return Section("Errors", hint, "No item has a finite prediction.", wide=False)
    figure = go.Figure(go.Histogram(x=known, nbinsx=40, marker_color=MODEL, hovertemplate="%{x}: %{y}<extra></extra>"))
    figure.add_vline(x=0, line={"color": TRUTH, "width": 1, "dash": "dash"})
    figure.update_xaxes(title="predicted - true")
    figure.update_yaxes(title="items")
    return Section("Errors", hint, styled(figure, 400), wide=False)


def _is_finite(number: float | None) -> TypeGuard[float]:
    return number is not None and math.isfinite(number)


def _left_out(asked: Sequence[Any], drawn: Sequence[Any]) -> str:
    """Return the sentence that says how many items are not drawn, after a blank; empty where all are."""
    missing = len(asked) - len(drawn)
    return f" {counted(missing, 'item')} without a finite prediction left out." if missing else ""
