"""What a monitor concludes: three families of tests, each at its share of the significance.

A run with nothing wrong shall raise no alarm in 19 of 20 cases. The inputs, the error and the coverage share that: each
family is tested at a third (Bonferroni), and within a family Holm corrects for how many tests there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from tasks.monitoring import drift, live
from tasks.monitoring.drift import Finding
from tasks.monitoring.live import Live

FAMILIES = 3


@dataclass(frozen=True)
class Watched:
    """What was found of the inputs, not corrected yet.

    ``of`` says how much was new, ``notes`` what was not compared.
    """

    findings: list[Finding]
    of: str
    notes: list[str]


def conclude(
    watched: Watched, error: str, registered: pl.DataFrame, since: pl.DataFrame, significance: float
) -> dict[str, Any]:
    """Return the content of ``health.json``, but for the names of model and version.

    Args:
        watched: of the inputs.
        error: what an error is called, such as MASE.
        registered: of the sealed part, as ``tasks.monitoring.live`` takes it.
        since: of past predictions, likewise.
        significance: the share of runs that may raise an alarm though nothing is wrong.
    """
    each = significance / FAMILIES
    findings = sorted(drift.holm(watched.findings, each), key=_order)
    figures = [live.errors(error, registered, since, each), live.coverage(registered, since, each)]
    known = [figure for figure in figures if figure is not None]
    reasons = [told(one) for one in known if one.degraded] + [said(one) for one in findings if one.drifted]
    return {
        "degraded": bool(reasons),
        "reasons": reasons,
        "new": watched.of,
        "tested": sum(one.p_value is not None for one in findings),
        "significance": significance,
        "drift": [_finite(asdict(one)) for one in findings],
        "live": [_finite(asdict(one)) for one in known],
        "notes": [*watched.notes, *_silence(known)],
    }


def said(finding: Finding) -> str:
    """Say in a sentence without a full stop what changed."""
    column, effect = finding.column, finding.effect
    name, _, which = finding.feature.partition(":")
    more, size = ("more" if effect > 0 else "less"), abs(effect)
    sentences = {
        "level": f"the level of {column} is {size:.2g} of its usual spread {'higher' if effect > 0 else 'lower'}",
        "spread": f"{column} varies {more} than it did: by {_factor(effect)}",
        "season": f"the season of {column} is another: {100 * size:.0f} % {more} of the usual one is there",
        "stuck": f"{column} repeats itself in {100 * size:.0f} % {more} of its steps",
        "missing": f"{column} is missing in {100 * size:.0f} % {more} of its steps",
        "unseen": f"{100 * size:.0f} % {more} of {column} was never seen before",
        "share": f"{which!r} is {100 * size:.0f} % {more} of {column}",
    }
    sentence = sentences.get(name, f"{name} of {column} changed by {effect:+.3g}")
    return f"{sentence} (p = {finding.p_value:.2g})"


def told(figure: Live) -> str:
    """Say in a sentence without a full stop how past predictions did."""
    many = figure.by if figure.units == 1 or figure.by == "series" else f"{figure.by}s"
    bound = f"at least {figure.low:.3g}" if figure.name == "coverage" else f"at most {figure.high:.3g}"
    return (
        f"{figure.name} of past predictions is {figure.now:.3g}, at registration {figure.registered:.3g}; "
        f"{bound} would be usual (p = {figure.p_value:.2g} by {figure.units} {many})"
    )


def _factor(effect: float) -> str:
    """Return a difference of logarithms in words."""
    return f"a factor of {2.718281828**effect:.2g}"


def _order(finding: Finding) -> tuple[bool, float, str, str]:
    p_value = 2.0 if finding.p_value is None else finding.p_value
    return not finding.drifted, p_value, finding.column, finding.feature


def _silence(figures: Sequence[Live]) -> list[str]:
    if not figures:
        return ["no past prediction has its truth yet"]
    return [f"{one.name}: {one.note}" for one in figures if one.note]


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """Return ``values`` with None for what is not a number: JSON knows none."""
    return {key: None if value != value else value for key, value in values.items()}
