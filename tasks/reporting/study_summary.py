"""What a report says of an Optuna study, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from tasks.studies import begun, open_storage, progress, ranked, view

FEWEST_FOR_IMPORTANCE = 4


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
    """Trials that have ended, in order of their numbers; ``importance`` is empty where ``importance_note`` says why."""

    name: str
    trials: list[TrialRow]
    importance: dict[str, float]
    importance_note: str | None = None

    def of_state(self, state: str) -> list[TrialRow]:
        return [trial for trial in self.trials if trial.state == state]


def summarise(uri: str, name: str) -> StudySummary:
    """Read study ``name`` from the storage at ``uri``."""
    study = optuna.load_study(study_name=name, storage=open_storage(uri))
    trials = [_row(trial) for trial in begun(study) if trial.state.is_finished()]
    importance, note = _importance(study)
    return StudySummary(name, trials, importance, note)


def _row(trial: FrozenTrial) -> TrialRow:
    told = progress(trial)
    value = told.best[-1] if told.best else None
    return TrialRow(trial.number, trial.state.name.lower(), value, told.training + told.validation, dict(trial.params))


def _importance(study: optuna.Study) -> tuple[dict[str, float], str | None]:
    valued = len(ranked(study))
    if valued < FEWEST_FOR_IMPORTANCE:
        return {}, f"{valued} of at least {FEWEST_FOR_IMPORTANCE} trials with a value: too few to rank the parameters"
    try:
        importance = optuna.importance.get_param_importances(view(study))
    except (ValueError, RuntimeError) as error:
        return {}, f"Optuna could not rank the parameters: {error}"
    known = {name: float(share) for name, share in importance.items() if share == share}
    if not any(known.values()):
        return {}, "no parameter that all trials share made a difference"
    return known, None
