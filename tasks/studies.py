"""The study as this project keeps it: one Optuna trial for each point, running for as long as it may be taken further.

Normal Optuna throughout. What is ours stands in user attributes of a trial:

    recipe      everything that its training is a function of, but data and seed
    progress    how far it is: ``Progress``
    worker      who trains it now, or has ended it; empty: nobody
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialModel, TrialUserAttributeModel
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict
from sqlalchemy import and_, event, select

from tasks.halving import Standing

BEAT, SILENCE = 10, 60
"""Seconds between a worker's signs of life for its trial, and without any after which it has lost it."""

MOST_ATTEMPTS = 3
"""How often workers may die of a trial without a rung climbed in between."""


class Progress(BaseModel):
    """How far a trial is.

    ``best`` holds for each finished rung its best value until then; ``step`` is where the best one was, whose weights
    and outputs are kept; ``attempts`` counts the workers that died of it since its last rung.
    """

    model_config = ConfigDict(frozen=True)

    best: list[float] = []
    step: int = 0
    training: float = 0.0
    validation: float = 0.0
    attempts: int = 0


def open_storage(uri: str, silence: int | None = None) -> RDBStorage:
    """Open the study storage; SQLite gets a write-ahead log: many times faster, and as safe if a process is killed.

    With ``silence`` it knows for which trials nobody has signed for so many seconds. Optuna warns of such a storage
    where trials are begun, since nothing but its own loop signs by itself: ``SignsOfLife`` does it here.
    """
    with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
        storage = RDBStorage(uri, heartbeat_interval=silence and BEAT, grace_period=silence)
    if uri.startswith("sqlite"):

        @event.listens_for(storage.engine, "connect")
        def _write_ahead(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

        storage.engine.dispose()
    return storage


def progress(trial: FrozenTrial) -> Progress:
    """Return how far ``trial`` is."""
    return Progress.model_validate(trial.user_attrs.get("progress", {}))


def begun(study: optuna.Study) -> list[FrozenTrial]:
    """Return all trials that a worker has begun, in order of their numbers."""
    return [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]


@dataclass(frozen=True)
class Entry:
    """What is known of a trial without reading it whole; ``worker`` is who trains it or has ended it, or empty."""

    trial_id: int
    number: int
    state: TrialState
    worker: str
    progress: Progress

    @property
    def busy(self) -> bool:
        """Say whether a worker trains it now."""
        return self.state == TrialState.RUNNING and bool(self.worker)


def entries(study: optuna.Study) -> list[Entry]:
    """Return how far the trials are that a worker has begun, in order of their numbers.

    One statement reads them all. Optuna would read each unfinished trial whole, with all its parameters and values, at
    each look, and many trials of a long search are frozen (``benchmarks/LOG.md``).
    """
    told, names = TrialUserAttributeModel, ("worker", "progress")
    query = (
        select(TrialModel.trial_id, TrialModel.number, TrialModel.state, told.key, told.value_json)
        .outerjoin(told, and_(told.trial_id == TrialModel.trial_id, told.key.in_(names)))
        .where(TrialModel.study_id == study._study_id, TrialModel.state != TrialState.WAITING)
    )
    found: dict[int, tuple[int, TrialState]] = {}
    attributes: dict[tuple[int, str], str] = {}
    with database(study).engine.connect() as connection:
        for trial_id, number, state, key, value in connection.execute(query):
            found[number] = trial_id, state
            if key is not None:
                attributes[number, key] = value
    return [
        Entry(
            trial_id,
            number,
            state,
            worker=json.loads(attributes.get((number, "worker"), '""')),
            progress=_parsed(attributes.get((number, "progress"), "{}")),
        )
        for number, (trial_id, state) in sorted(found.items())
    ]


def first_waiting(study: optuna.Study) -> int | None:
    """Return the id of the trial that was enqueued first of those that no worker has begun."""
    query = select(TrialModel.trial_id).where(
        TrialModel.study_id == study._study_id, TrialModel.state == TrialState.WAITING
    )
    with database(study).engine.connect() as connection:
        return connection.execute(query.order_by(TrialModel.trial_id).limit(1)).scalar()


def database(study: optuna.Study) -> RDBStorage:
    """Return the database of ``study``, which Optuna wraps in a cache of finished trials."""
    storage = study._storage
    found = getattr(storage, "_backend", storage)
    assert isinstance(found, RDBStorage), "a search keeps its study in a database"
    return found


@lru_cache(maxsize=65_536)
def _parsed(progress: str) -> Progress:
    return Progress.model_validate_json(progress)


def standings(told: list[Entry]) -> list[Standing]:
    """Return how trials stand against each other; those that failed stand nowhere."""
    return [
        Standing(one.number, tuple(one.progress.best), one.busy, open=one.state == TrialState.RUNNING)
        for one in told
        if one.state != TrialState.FAIL
    ]


def leading(told: list[Entry]) -> list[Entry]:
    """Return the entries that have a value, best first, whether their trials ended or were left."""
    valued = [one for one in told if one.state != TrialState.FAIL and one.progress.best]
    return sorted(valued, key=lambda one: (one.progress.best[-1], one.number))


def ranked(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that have a value, best first, whether they ended or were left."""
    trials = study.get_trials(deepcopy=False)
    return [trials[one.number] for one in leading(entries(study))]


def rungs_climbed(study: optuna.Study) -> int:
    """Return how many rungs all trials have climbed together."""
    return sum(len(one.progress.best) for one in entries(study))


def set_progress(study: optuna.Study, trial: FrozenTrial | optuna.Trial, **changes: Any) -> None:
    """Change how far ``trial`` is."""
    told = trial.user_attrs.get("progress", {})
    handle(study, trial).set_user_attr("progress", Progress.model_validate({**told, **changes}).model_dump())


def handle(study: optuna.Study, trial: FrozenTrial | optuna.Trial) -> optuna.Trial:
    """Return what reports for ``trial``, which may have been begun by another process."""
    return trial if isinstance(trial, optuna.Trial) else optuna.Trial(study, trial._trial_id)


def release(study: optuna.Study, worker: str | None = None) -> None:
    """Give back the trials whose process is gone: they go on from their last rung, unless too many died of them.

    Args:
        study: the study.
        worker: the worker that died; none: the whole search ended, which is no trial's fault.
    """
    for trial in _held(study):
        if worker in (None, trial.user_attrs["worker"]):
            _give_back(study, trial, blamed=worker is not None)


def release_silent(study: optuna.Study, storage: RDBStorage) -> list[int]:
    """Give back the trials for which no worker has signed for as long as ``storage`` says, and return their numbers."""
    silent = set(storage._get_stale_trial_ids(study._study_id))
    lost = [trial for trial in _held(study) if trial._trial_id in silent]
    for trial in lost:
        _give_back(study, trial, blamed=True)
    return [trial.number for trial in lost]


def _held(study: optuna.Study) -> list[FrozenTrial]:
    return [database(study).get_trial(one.trial_id) for one in entries(study) if one.busy]


def _give_back(study: optuna.Study, trial: FrozenTrial, blamed: bool) -> None:
    attempts = progress(trial).attempts + blamed
    set_progress(study, trial, attempts=attempts)
    if attempts >= MOST_ATTEMPTS:
        handle(study, trial).set_user_attr("failure", f"its worker died {attempts} times")
        study.tell(trial.number, state=TrialState.FAIL)
    else:
        handle(study, trial).set_user_attr("worker", "")


def settle(study: optuna.Study, kept: set[int]) -> None:
    """End every trial that is left: those of the numbers ``kept`` are complete, the others were pruned by them."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        found = progress(trial).best
        if trial.number in kept:
            study.tell(trial.number, found[-1])
        else:
            study.tell(trial.number, state=TrialState.PRUNED if found else TrialState.FAIL)
