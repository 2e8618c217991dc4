"""How far the trials of an ensemble go on with newer data, too, in the time that is left for it.

What a trial's step took is known from the search. Where time does not suffice for all members, each of them goes on for
fewer steps, down to a part that is still worth having; below that those that count least stay as the search left them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SHARE, FEWEST = 0.3, 20
"""Steps that a trial goes on for: a share of those that it has taken, but no fewer than some."""
ENOUGH = 0.5
"""Part of those steps that is worth having."""
PROBE_SHARE = 0.25
"""Share of a trial's steps after which newer and older data are compared."""
START, OVERHEAD = 8.0, 1.2
"""Seconds before a fit takes its first step, and how many times as long as a trial's a step takes in ``fit``."""
PARTS = [1.0 - 0.05 * step for step in range(11)]


@dataclass(frozen=True)
class Goal:
    """Steps that a member is to take, and how many of them are ``enough`` if time is up before."""

    steps: int
    enough: int


@dataclass(frozen=True)
class Compared:
    """A trial of ``recipe`` came to ``value`` in ``steps`` and ``seconds``: what older data are compared by."""

    recipe: dict[str, Any]
    steps: int
    value: float
    seconds: float


def compared(trials: Sequence[dict[str, Any]]) -> Compared | None:
    """Return the first of the trials that began from nothing, early in its training; None: there is none."""
    trial = next((trial for trial in trials if not trial["continued"]), None)
    if trial is None:
        return None
    least = PROBE_SHARE * trial["recipe"]["training"]["steps"]
    steps = min(step for step in map(int, trial["values"]) if step >= least)
    return Compared(trial["recipe"], steps, trial["values"][str(steps)], steps * _seconds_a_step(trial))


def goals(trials: Sequence[dict[str, Any]], before: Compared | None, seconds: float, abreast: int) -> list[Goal]:
    """Return how far each trial goes on, so that all are done within ``seconds``.

    Args:
        trials: entries of a study's ``best.json``, in the order in which they are trained.
        before: a training that comes first.
        seconds: that the fit has.
        abreast: trainings at a time.
    """
    wanted = [max(FEWEST, round(SHARE * trial["recipe"]["training"]["steps"])) for trial in trials]
    needed = [OVERHEAD * steps * _seconds_a_step(trial) for steps, trial in zip(wanted, trials, strict=True)]
    first = [before.seconds] if before else []
    fitting = (part for part in PARTS if _end([*first, *(part * one for one in needed)], abreast) <= seconds - START)
    part = next(fitting, PARTS[-1])
    return [Goal(max(1, round(part * steps)), max(1, round(ENOUGH * steps))) for steps in wanted]


def _seconds_a_step(trial: dict[str, Any]) -> float:
    """Return what a step of ``trial`` took in the search."""
    return trial["seconds"] / max(map(int, trial["values"]))


def _end(seconds: Sequence[float], abreast: int) -> float:
    """Return when the last of some tasks ends; each begins as soon as one of the places ``abreast`` is free."""
    free = [0.0] * abreast
    for one in seconds:
        free[free.index(min(free))] += one
    return max(free)
