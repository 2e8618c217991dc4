"""The points of a study as samplers and importances shall see them: each one done, with the best value it has reached.

Optuna would rank trials that still run, or were pruned, behind all others.
"""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from tasks.studies import Entry, database, leading

MOST_DRAWN_FROM = 500
"""Points that a sampler looks at: what it needs for one more would else grow with the search."""


class Points:
    """The points of ``study``. Each is read once: what was drawn does not change."""

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self._read: dict[int, FrozenTrial] = {}

    def view(self, told: list[Entry], seed: int = 0, most: int | None = None) -> optuna.Study:
        """Return a passing study of the points of ``told``, or of ``most``: the best and a fair part of the others.

        Its sampler draws by ``seed``. What failed is left out.
        """
        passing = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8))
        points = [one for one in told if one.state != TrialState.FAIL]
        for one in points if most is None else _fewer(points, most):
            if (point := self._point(one)).params:
                found = one.progress.best
                passing.add_trial(
                    create_trial(
                        state=TrialState.COMPLETE if found else TrialState.RUNNING,
                        value=found[-1] if found else None,
                        params=point.params,
                        distributions=point.distributions,
                    )
                )
        return passing

    def recipe(self, one: Entry) -> dict[str, Any]:
        """Return the recipe of a trial that has a value."""
        return self._point(one).user_attrs["recipe"]

    def _point(self, one: Entry) -> FrozenTrial:
        if one.number in self._read:
            return self._read[one.number]
        found = database(self.study).get_trial(one.trial_id)
        if one.progress.best:
            # Before its first value its parameters may not be written yet.
            self._read[one.number] = found
        return found


def _fewer(told: list[Entry], most: int) -> list[Entry]:
    """Return about ``most`` of the entries, in their order: the best half of as many, and every k-th other."""
    best = {one.number for one in leading(told)[: most // 2]}
    others = [one.number for one in told if one.number not in best]
    kept = best | set(others[:: max(1, -(-len(others) // (most - len(best))))])
    return [one for one in told if one.number in kept]
