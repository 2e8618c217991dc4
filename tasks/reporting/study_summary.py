"""What a report says of an Optuna study: plain values, and Optuna's own plots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import optuna
import plotly.graph_objects as go
from optuna.trial import FrozenTrial

from tasks.points import Points
from tasks.studies import begun, entries, open_storage, progress, ranked

FEWEST_FOR_IMPORTANCE = 4
MOST_DRAWN = 7
"""Parameters side by side in a plot, the most important ones."""


@dataclass(frozen=True)
class TrialRow:
    """One trial: ``value`` is the best that its metric has been; lower is better."""

    number: int
    state: str
    value: float | None
    seconds: float
    params: dict[str, Any]


@dataclass(frozen=True)
class StudySummary:
    """Trials that have ended, in order of their numbers; ``importance`` is empty where ``importance_note`` says why.

    ``rungs`` draws the values of each trial over its steps, ``parameters`` each trial as a line through what it drew.
    """

    name: str
    trials: list[TrialRow]
    importance: dict[str, float]
    importance_note: str | None = None
    rungs: go.Figure | None = None
    parameters: go.Figure | None = None

    def of_state(self, state: str) -> list[TrialRow]:
        return [trial for trial in self.trials if trial.state == state]


def summarise(uri: str, name: str) -> StudySummary:
    """Read study ``name`` from the storage at ``uri``."""
    study = optuna.load_study(study_name=name, storage=open_storage(uri))
    trials = [_row(trial) for trial in begun(study) if trial.state.is_finished()]
    seen = Points(study).view(entries(study))
    importance, note = _importance(seen)
    plots = _plots(study, seen, list(importance)) if ranked(study) else {}
    return StudySummary(name, trials, importance, note, **plots)


def _plots(study: optuna.Study, seen: optuna.Study, important: list[str]) -> dict[str, go.Figure]:
    """Return Optuna's plots of a study with values; ``seen`` holds all its points."""
    from optuna.visualization import plot_intermediate_values, plot_parallel_coordinate

    shared = set.intersection(*(set(trial.params) for trial in seen.trials))
    drawn = [name for name in important if name in shared][:MOST_DRAWN]
    plots = {"rungs": plot_intermediate_values(study).update_layout(title=None, showlegend=False)}
    if len(drawn) > 1:
        plots["parameters"] = plot_parallel_coordinate(seen, params=drawn).update_layout(title=None)
    return plots


def _row(trial: FrozenTrial) -> TrialRow:
    told = progress(trial)
    value = told.best[-1] if told.best else None
    return TrialRow(trial.number, trial.state.name.lower(), value, told.training + told.validation, dict(trial.params))


def _importance(seen: optuna.Study) -> tuple[dict[str, float], str | None]:
    valued = len([trial for trial in seen.trials if trial.value is not None])
    if valued < FEWEST_FOR_IMPORTANCE:
        return {}, f"{valued} of at least {FEWEST_FOR_IMPORTANCE} trials with a value: too few to rank the parameters"
    try:
        importance = optuna.importance.get_param_importances(seen)
    except (ValueError, RuntimeError) as error:
        return {}, f"Optuna could not rank the parameters: {error}"
    known = {name: float(share) for name, share in importance.items() if share == share}
    if not any(known.values()):
        return {}, "no parameter that all trials share made a difference"
    return known, None
