"""The study storage and how a study goes on after a crash: normal Optuna throughout."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event

RETAKE_OF, ATTEMPT = "retake_of", "attempt"
"""User attributes of a trial that repeats one whose process died: that one's number, and how often it was tried."""
MOST_ATTEMPTS = 3


def open_storage(uri: str) -> RDBStorage:
    """Open the study storage; SQLite gets a write-ahead log: many times faster, and as safe if a process is killed."""
    storage = RDBStorage(uri)
    if uri.startswith("sqlite"):

        @event.listens_for(storage.engine, "connect")
        def _write_ahead(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

        storage.engine.dispose()
    return storage


def retake(study: optuna.Study, worker: str | None = None) -> None:
    """Fail trials whose process is gone and enqueue their parameters again, up to ``MOST_ATTEMPTS`` times.

    Args:
        study: the study.
        worker: the worker that died; none: every running trial is an orphan.
    """
    repeated = _repeated(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if worker is not None and trial.user_attrs.get("worker") != worker:
            continue
        attempt = trial.user_attrs.get(ATTEMPT, 1)
        if trial.number not in repeated and attempt < MOST_ATTEMPTS:
            study.enqueue_trial(trial.params, user_attrs={RETAKE_OF: trial.number, ATTEMPT: attempt + 1})
        study.tell(trial.number, state=TrialState.FAIL)


def counted(study: optuna.Study, *states: TrialState) -> list[FrozenTrial]:
    """Return the trials in ``states`` (none: all), but not those that another one repeats."""
    repeated = _repeated(study)
    return [t for t in study.get_trials(deepcopy=False, states=states or None) if t.number not in repeated]


def _repeated(study: optuna.Study) -> set[int]:
    trials = study.get_trials(deepcopy=False)
    return {trial.user_attrs[RETAKE_OF] for trial in trials if RETAKE_OF in trial.user_attrs}


def ranked(study: optuna.Study) -> list[FrozenTrial]:
    """Return trials that have a value and a checkpoint, best first: complete ones or, without any, those cut off."""
    complete = counted(study, TrialState.COMPLETE)
    if complete:
        return sorted(complete, key=lambda trial: (trial.value, trial.number))
    cut = [trial for trial in counted(study, TrialState.PRUNED) if "checkpoint" in trial.user_attrs]
    return sorted(cut, key=lambda trial: (trial.value, trial.number))
