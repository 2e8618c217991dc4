"""A worker of a search with parts of it off, for ``ablation.py``: ``ABLATED`` names functions of this file."""

from __future__ import annotations

import math
import os
import sys
from typing import Any

from models import forecaster_space
from tasks import halving, search_worker
from tasks.kinds.forecast_learner import ForecastLearner

ABLATED = "ABLATED"


def offering_all() -> None:
    """Let the search try what it tries by default only where it is named."""
    forecaster_space.offered = lambda trial, choices, others: [*choices, *others]


def without_portfolio() -> None:
    """Let the search begin with what the sampler draws."""
    ForecastLearner.portfolio = lambda learner: []  # type: ignore[method-assign]


def without_thawing() -> None:
    """Let a trial that is not among the better half of its rung end there, and those that are go on at once."""

    def ends(trial: halving.Standing, trials: Any, share: float) -> bool:
        cohort = halving._cohort(trials, trial.rung)
        return trial.rung > 0 and trial not in cohort[: math.ceil(len(cohort) * share)]

    def survivor(trials: Any, rungs: int, share: float) -> halving.Standing | None:
        return next((one for one in trials if halving._waiting(one) and 0 < one.rung < rungs), None)

    halving.is_out, halving.thawed = ends, survivor
    halving.best_waiting = lambda trials, rungs: None


def change_this_process() -> None:
    """Turn off what ``ABLATED`` names, in this process."""
    known = {one.__name__: one for one in (offering_all, without_portfolio, without_thawing)}
    for name in os.environ[ABLATED].split():
        known[name]()


if __name__ == "__main__":
    change_this_process()
    search_worker.main(*sys.argv[1:])
