"""What a monitor found as a page and as Markdown: the tests of the inputs, and errors then and now."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import polars as pl

from tasks.kinds.items import counted
from tasks.reporting import charts
from tasks.reporting.page import Head, Tile, filled, formatted
from tasks.reporting.section import Section, Table

HEADINGS = ["Column", "Feature", "Change", "Usual from", "Usual to", "p, corrected", ""]
MOST_ROWS = 200


def render(told: dict[str, Any], registered: pl.DataFrame, since: pl.DataFrame) -> str:
    """Return the page.

    Args:
        told: content of ``health.json``.
        registered: errors of the sealed part, as ``tasks.monitoring.live`` has them.
        since: likewise of past predictions.
    """
    drawn = [_over_time(told, registered, since)] if since["period"].drop_nulls().n_unique() else []
    tests = f"{counted(told['tested'], 'test')} of its inputs, {len(told['live'])} of what it said"
    lead = f"New since it was trained: {told['new']}. {tests}."
    return filled(
        "health.html.j2",
        Head(_title(told), lead, "bad" if told["degraded"] else "good", _verdict(told), told["notes"]),
        _tiles(told),
        [_live(told), *drawn, _drift(told)],
        said=f"with nothing changed, at most {told['significance']:.0%} of runs raise an alarm",
    )


def markdown(told: dict[str, Any]) -> str:
    """Return ``health.json`` as Markdown for Prefect."""
    lines = [f"# {_title(told)}: {'degraded' if told['degraded'] else 'well'}", ""]
    lines += [f"- {sentence}" for sentence in [*_verdict(told), *told["notes"]]]
    if told["live"]:
        lines += ["", "| | at registration | now | usual | p |", "|---|---:|---:|---:|---:|"]
        lines += [
            f"| {one['name']} | {formatted(one['registered'])} | {formatted(one['now'])} | "
            f"{formatted(one['low'])} to {formatted(one['high'])} | {formatted(one['p_value'], '.2g')} |"
            for one in told["live"]
        ]
    return "\n".join(lines)


def _title(told: dict[str, Any]) -> str:
    return f"Health of {told['model']} version {told['version']}"


def _verdict(told: dict[str, Any]) -> list[str]:
    return told["reasons"] or ["Nothing is found to have changed since it was registered"]


def _tiles(told: dict[str, Any]) -> list[Tile]:
    drifted = sum(one["drifted"] for one in told["drift"])
    tiles = [Tile("Inputs", counted(drifted, "change"), f"in {counted(told['tested'], 'test')}")]
    for one in told["live"]:
        note = f"at registration {formatted(one['registered'])}"
        tiles.append(Tile(one["name"][:1].upper() + one["name"][1:], formatted(one["now"]), note))
    return tiles


def _live(told: dict[str, Any]) -> Section:
    hint = (
        "Past predictions whose truth is in, against the sealed part at registration. Usual is where the figure would "
        "lie in 95 of 100 cases if nothing had changed."
    )
    if not told["live"]:
        return Section("What it predicted", hint, "No past prediction has its truth yet.")
    headings = ["", "At registration", "Now", "Usual from", "Usual to", "p", "Of", "Independent", ""]
    rows = [
        [one["name"], one["registered"], one["now"], one["low"], one["high"], one["p_value"], one["count"],
         f"{one['units']} by {one['by']}", "degraded" if one["degraded"] else ""]
        for one in told["live"]
    ]  # fmt: skip
    return Section("What it predicted", hint, Table(headings, rows, {"p": ".2g"}))


def _over_time(told: dict[str, Any], registered: pl.DataFrame, since: pl.DataFrame) -> Section:
    """Draw the mean error of each period, then and now, in their order."""
    figure, first = go.Figure(), 0
    for name, frame, colour in (("sealed part", registered, charts.TRUTH), ("since", since, charts.MODEL)):
        means = frame.group_by("period").agg(pl.col("error").mean()).sort("period")["error"].to_list()
        places = list(range(first, first + len(means)))
        figure.add_trace(go.Scatter(x=places, y=means, mode="lines+markers", name=name, line={"color": colour}))
        first += len(means)
    figure.update_xaxes(title="period")
    figure.update_yaxes(title=told["live"][0]["name"] if told["live"] else "error", rangemode="tozero")
    hint = "Each point is the mean over all series of the forecasts that begin within one horizon."
    return Section("Error over time", hint, charts.styled(figure, 320))


def _drift(told: dict[str, Any]) -> Section:
    hint = (
        "Level is in the column's usual spread, spread a difference of logarithms, season a share of the usual one, "
        "the rest are shares of steps or the feature itself. Usual is where 95 of 100 changes lay before."
    )
    if not told["tested"]:
        return Section("Its inputs", hint, "Too little is new, or known, to be compared.")
    rows = [
        [one["column"], one["feature"], one["effect"], one["low"], one["high"], one["p_value"],
         "drifted" if one["drifted"] else ""]
        for one in told["drift"][:MOST_ROWS]
    ]  # fmt: skip
    return Section("Its inputs", hint, Table(HEADINGS, rows, {"p, corrected": ".2g"}))
