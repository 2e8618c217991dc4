"""What a report says of an Optuna study, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tasks.studies import counted, open_storage

FEWEST_FOR_IMPORTANCE = 4


@dataclass(frozen=True)
class TrialRow:
    """One trial: ``value`` is its metric, for a pruned one the last that it reported; lower is better."""

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
    ended = counted(study, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    trials = [_row(trial) for trial in sorted(ended, key=lambda trial: trial.number)]
    importance, note = _importance(study)
    return StudySummary(name, trials, importance, note)


def _row(trial: FrozenTrial) -> TrialRow:
    value = trial.value if trial.state == TrialState.COMPLETE else None
    if value is None and trial.intermediate_values:
        value = trial.intermediate_values[max(trial.intermediate_values)]
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    return TrialRow(trial.number, trial.state.name.lower(), value, seconds, dict(trial.params))


def _importance(study: optuna.Study) -> tuple[dict[str, float], str | None]:
    complete = len(counted(study, TrialState.COMPLETE))
    if complete < FEWEST_FOR_IMPORTANCE:
        return {}, f"{complete} of at least {FEWEST_FOR_IMPORTANCE} complete trials: too few to rank the parameters"
    try:
        importance = optuna.importance.get_param_importances(study)
    except (ValueError, RuntimeError) as error:
        return {}, f"Optuna could not rank the parameters: {error}"
    known = {name: float(share) for name, share in importance.items() if share == share}
    if not any(known.values()):
        return {}, "no parameter that all trials share made a difference"
    return known, None
