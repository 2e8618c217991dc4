"""Turns what a pipeline found into one HTML page that needs nothing from outside, whatever the problem kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from tasks.kinds.items import counted, cut
from tasks.kinds.metric import PERCENT, Metric, parse
from tasks.reporting import charts
from tasks.reporting.section import Section, Table
from tasks.reporting.study_summary import StudySummary

MOST_LINES = 12
"""Lines of a cell in fixed width; an even number, so that no truth of an alignment stands without its prediction."""


@dataclass(frozen=True)
class Findings:
    """What the page shows: the JSON that the stages wrote, the kind's sections, the study, and where time went.

    ``seconds`` are (what, seconds); ``fingerprints`` are (stage, fingerprint); ``notices`` are the data contract's
    findings.
    """

    table: dict[str, Any]
    evaluation: dict[str, Any]
    decision: dict[str, Any]
    sections: list[Section]
    model: dict[str, Any]
    study: StudySummary
    seconds: list[tuple[str, float]]
    fingerprints: list[tuple[str, str]]
    notices: list[dict[str, Any]]


class Tile(NamedTuple):
    """A figure under the headline."""

    title: str
    value: str
    note: str


@dataclass(frozen=True)
class Head:
    """What stands on top: ``outcome``, good, bad or even, is the colour of the verdict. Sentences have no full stop."""

    title: str
    lead: str
    outcome: str
    verdict: list[str]
    notes: list[str]


def render(findings: Findings) -> str:
    """Return the report of a pipeline."""
    evaluation = findings.evaluation
    metrics = parse(evaluation["metrics"])
    outcome = _outcome(evaluation)
    return filled(
        "report.html.j2",
        Head(evaluation["title"], evaluation["lead"], outcome, evaluation["verdict"], evaluation["notes"]),
        _tiles(evaluation, metrics),
        [_gate(findings.decision), *findings.sections],
        findings=findings,
        evaluation=evaluation,
        metrics=metrics,
        metrics_hint=_metrics_hint(metrics, evaluation),
        best={metric.name: _best(metric, evaluation["leaderboard"]) for metric in metrics},
        search=_paired(_search(findings.study)),
        recipe=_side_by_side(findings.model.get("members", [])),
        states=_states(findings.study),
    )


def filled(template: str, head: Head, tiles: list[Tile], sections: list[Section], **more: Any) -> str:
    """Return the page of ``template``, which is given ``more``. Names out of the data are escaped everywhere."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "value": formatted,
        "duration": _duration,
        "embedded": _embedded,
        "brief": brief,
        "cut": cut,
    }
    environment.tests |= {"table": lambda body: isinstance(body, Table), "number": _is_number}
    # plotly.js is our own dependency's text, the one thing on the page that is not escaped.
    plotly_js = Markup(get_plotlyjs())  # noqa: S704
    return environment.get_template(template).render(
        head=head, tiles=tiles, rows_of_sections=_paired(sections), plotly_js=plotly_js, **more
    )


def formatted(value: Any, format_: str = ".3f") -> str:
    """Return a cell's text; ``format_`` is a ``Metric``'s and applies to floats. Text stays as it is."""
    if value is None or value != value:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if format_ == PERCENT:
        text = f"{100 * value:.1f} %"
    elif isinstance(value, int):
        text = f"{value:,}"
    else:
        text = f"{value:,{format_}}" if abs(value) < 1000 else f"{value:,.0f}"
    return text.replace("-", "−")


def brief(cell: Any, fixed: bool = False) -> Any:
    """Return a table's cell with its text cut; one in fixed width line by line, at most ``MOST_LINES`` of them."""
    if not isinstance(cell, str):
        return cell
    if not fixed:
        return cut(cell)
    lines = cell.split("\n")
    shown = [cut(line) for line in lines[:MOST_LINES]]
    if more := len(lines) - len(shown):
        shown.append(f"… and {counted(more, 'line')} more")
    return "\n".join(shown)


def _gate(decision: dict[str, Any]) -> Section:
    """Return the decision, and each condition with what was asked and found."""
    said = f"{'Passed' if decision['passed'] else 'Not passed'}: {decision['reason']}."
    rows = [
        [one["name"].capitalize(), one["asked"], one["found"], "met" if one["passed"] else "not met"]
        for one in decision["checks"]
    ]
    return Section("The gate to champion", said, Table(["Condition", "Asked", "Found", ""], rows))


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _tiles(evaluation: dict[str, Any], metrics: list[Metric]) -> list[Tile]:
    """Return the headline figures: the model's, the best baseline's, and what the paired test says of the two."""
    headline, last = metrics[0], metrics[-1]
    rows = {row["name"]: row for row in evaluation["leaderboard"]}
    model = next(row for row in evaluation["leaderboard"] if row["kind"] == "lstm")
    tiles = [Tile(headline.title, formatted(model[headline.name], headline.format), "lstm, sealed test")]
    if (best := evaluation["best_baseline"]) is not None:
        against = evaluation["tests"]["best_baseline"]
        low, high = formatted(against["low"]), formatted(against["high"])
        won = "–" if against["won"] is None else f"{100 * against['won']:.0f} %"
        tiles += [
            Tile("Best baseline", formatted(rows[best][headline.name], headline.format), best),
            Tile(f"{evaluation['noun'].capitalize()}s won", won, f"against {best}"),
            Tile(f"Difference in {evaluation['error']}", formatted(against["difference"]), f"95 %: {low} to {high}"),
        ]
    if last is not headline:
        tiles.append(Tile(last.title[:1].upper() + last.title[1:], formatted(model[last.name], last.format), "lstm"))
    return tiles


def _metrics_hint(metrics: list[Metric], evaluation: dict[str, Any]) -> str:
    """Return which way each metric points, and what those are that need a word."""
    higher = [metric.title for metric in metrics if metric.higher_is_better]
    lower = [metric.title for metric in metrics if metric.higher_is_better is False]
    noun = evaluation["noun"]
    fewer = [f"{row['name']} on {row['items']:,} of them" for row in evaluation["leaderboard"] if row.get("items")]
    parts = [f"All on the same sealed {noun}s{''.join(f', {one}' for one in fewer)}."]
    parts += [f"More is better: {', '.join(higher)}."] if higher else []
    parts += [f"Less is better: {', '.join(lower)}."] if lower else []
    return " ".join([*parts, *(f"{metric.title}: {metric.hint}." for metric in metrics if metric.hint)])


def _best(metric: Metric, leaderboard: list[dict[str, Any]]) -> float | None:
    """Return the best value of a leaderboard's column; None where there is no better or worse."""
    known = [row[metric.name] for row in leaderboard if row.get(metric.name) is not None]
    return min(known, key=metric.cost) if known and metric.higher_is_better is not None else None


def _outcome(evaluation: dict[str, Any]) -> str:
    """Return good, bad or even: does the page's headline say that the model won?"""
    if not evaluation["beats_baselines"]:
        return "bad"
    test = evaluation["tests"].get("best_baseline") or evaluation["tests"].get("champion")
    return "good" if test and test["outcome"] == "better" else "even"


def _paired(sections: list[Section]) -> list[list[Section]]:
    """Return the page's rows: a wide section alone, narrow ones in twos."""
    rows: list[list[Section]] = []
    for section in sections:
        if rows and not section.wide and len(rows[-1]) == 1 and not rows[-1][0].wide:
            rows[-1].append(section)
        else:
            rows.append([section])
    return rows


def _search(study: StudySummary) -> list[Section]:
    counted = ", ".join(f"{count} {state}" for state, count, _ in _states(study))
    hint = f"{len(study.trials)} trials{f': {counted}' if counted else ''}. Validation part; lower is better."
    valued = any(trial.value is not None for trial in study.trials)
    ranked = charts.importance(study.importance) if study.importance else f"{study.importance_note}."
    rungs = "Each line is a trial that climbs; where it ends it was frozen, ended, or time was up."
    lines = "Each line is a trial, through the values of the parameters that matter most."
    drawn = [("Rungs", rungs, study.rungs), ("Parameters", lines, study.parameters)]
    return [
        Section("Search", hint, charts.search_history(study) if valued else "No trial reported a value.", wide=False),
        Section(
            "Parameter importance",
            "Share of the variation between trials that a parameter explains.",
            ranked,
            wide=False,
        ),
        *(Section(title, hint, charts.styled(plot, 380), wide=True) for title, hint, plot in drawn if plot is not None),
    ]


def _embedded(section: Section) -> Markup:
    # plotly writes <, > and / of its JSON as escapes, so nothing in the data can end the script element.
    assert isinstance(section.body, go.Figure)
    part = to_html(
        section.body,
        full_html=False,
        include_plotlyjs=False,
        div_id=f"plot-{section.name}",
        default_height=f"{section.body.layout.height or 360}px",
        config={"displayModeBar": False, "responsive": True},
    )
    return Markup(part)  # noqa: S704


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


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
