"""Which trial is trained next: successive halving over rungs of optimiser steps, in which nothing is thrown away.

A trial climbs a ladder of rungs, each twice as many steps as the one before. After every rung it is frozen: its
checkpoint stands, and a worker chooses anew, the best of those that may go on, or a fresh one. Asynchronous successive
halving (Li et al. 2020) in the form that promotes; thawing as in Swersky et al. 2014, by rank instead of a model.

::

    rung   0   1       2               3     steps ->
    #12    o---o-------o---------------o     best half of a rung goes on
    #13    o---o-------*                     frozen: thawed if its rank allows, or at the end
    #14    o---x                             out: too far behind for anything to let it go on
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CERTAIN = 8
"""Trials of a rung from which on the worse half of those that may not climb is out for good."""

PATIENCE = 2
"""Rungs without a better value after which a trial has converged."""


@dataclass(frozen=True)
class Standing:
    """How far a trial is. ``best`` holds for each rung that it has finished its best value until then; less is better.

    ``busy``: a worker trains it. ``open``: it may go on; else it has converged, failed, or is out.
    """

    number: int
    best: tuple[float, ...] = ()
    busy: bool = False
    open: bool = True

    @property
    def rung(self) -> int:
        """The rung that it would climb next."""
        return len(self.best)

    @property
    def converged(self) -> bool:
        """Say whether its newest rungs brought nothing better."""
        return len(self.best) > PATIENCE and self.best[-1 - PATIENCE] <= self.best[-1]


def thawed(trials: Sequence[Standing], rungs: int, share: float) -> Standing | None:
    """Return the trial that should go on before a new one is begun, if there is one.

    Args:
        trials: of the study.
        rungs: of the whole ladder.
        share: part of the trials of a rung that may climb the next one, such as 1/2.
    """
    for rung in reversed(range(1, rungs)):
        cohort = _cohort(trials, rung)
        for trial in cohort[: int(len(cohort) * share)]:
            if _waiting(trial) and trial.rung == rung:
                return trial
    return None


def best_waiting(trials: Sequence[Standing], rungs: int) -> Standing | None:
    """Return the trial with the best value of those that may go on: what is left of a budget is spent on it."""
    waiting = [trial for trial in trials if _waiting(trial) and 0 < trial.rung < rungs]
    return min(waiting, key=lambda trial: (trial.best[-1], trial.number), default=None)


def is_out(trial: Standing, trials: Sequence[Standing], share: float) -> bool:
    """Say whether ``trial`` stands so far behind at its rung that nothing would let it go on."""
    cohort = _cohort(trials, trial.rung)
    if trial.rung == 0 or len(cohort) < CERTAIN:
        return False
    return trial not in cohort[: int(len(cohort) * (1 + share) / 2)]


def _cohort(trials: Sequence[Standing], rung: int) -> list[Standing]:
    """Return the trials that have finished as many rungs, by their value there, best first."""
    there = [trial for trial in trials if trial.rung >= rung]
    return sorted(there, key=lambda trial: (trial.best[rung - 1], trial.number))


def _waiting(trial: Standing) -> bool:
    return trial.open and not trial.busy
