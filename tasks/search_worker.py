"""One worker of a search: asks, trains, reports and tells until the budget is spent. ``python -m tasks.search_worker``.

It lives through the study, so a trial costs its training and nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import torch
from filelock import FileLock
from optuna.trial import TrialState
from pydantic import BaseModel, ConfigDict

from tasks.children import die_with_parent
from tasks.config import seconds
from tasks.kinds.kind import Learner, LearnerOptions
from tasks.kinds.registry import kind
from tasks.search import SearchConfig
from tasks.space import Narrowed
from tasks.studies import counted, open_storage

CHECKS = 10
"""Validations of a trial, evenly over its steps; trials of different lengths are compared at equal shares of them."""

SLOWEST = 1 / 6
"""Share of the time budget that one trial may take."""


class Assignment(BaseModel):
    """What a worker is told. ``deadline`` is a time on ``time.time``'s clock."""

    model_config = ConfigDict(frozen=True)

    kind: str
    metric: str
    study_name: str
    storage: str
    dataset: Path
    work: Path
    deadline: float
    search: SearchConfig


def main(assignment: Assignment, worker: str) -> None:
    """Run trials until the deadline or until ``max_trials`` are taken."""
    torch.set_num_threads(1)
    options = LearnerOptions(assignment.search.max_steps, assignment.metric)
    learner = kind(assignment.kind).learner(assignment.dataset, options)
    storage = open_storage(assignment.storage)
    study = optuna.load_study(study_name=assignment.study_name, storage=storage)
    # A resumed study must not draw the same points again.
    seed = assignment.search.seed + 1000 * len(study.get_trials(deepcopy=False)) + int(worker)
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=8)
    study.pruner = _pruner(assignment.search)
    lock = FileLock(assignment.work / "ask.lock")
    while (trial := _ask(study, assignment, lock, worker)) is not None:
        run_trial(study, trial, learner, assignment)


def _pruner(search: SearchConfig) -> optuna.pruners.BasePruner:
    if not search.pruning:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=3)


def _ask(study: optuna.Study, assignment: Assignment, lock: FileLock, worker: str) -> optuna.Trial | None:
    """Take the next trial, or none when the budget is spent."""
    with lock:
        taken = [t for t in counted(study) if t.state != TrialState.WAITING]
        late = time.time() >= assignment.deadline and any(t.state.is_finished() for t in taken)
        if len(taken) >= assignment.search.max_trials or late:
            return None
        trial = study.ask()
        trial.set_user_attr("worker", worker)
        return trial


def run_trial(study: optuna.Study, trial: optuna.Trial, learner: Learner, assignment: Assignment) -> None:
    """Train one trial and tell the study how it ended; the checkpoint is written before the study knows of it."""
    began = time.time()
    recipe = learner.suggest(Narrowed(trial, assignment.search.space))
    trial.set_user_attr("recipe", recipe.model_dump(mode="json"))
    value, state = float("nan"), TrialState.COMPLETE
    try:
        for check, (_, value) in enumerate(learner.train(recipe, assignment.search.seed, CHECKS), start=1):
            if value != value:
                break
            trial.report(value, check)
            if trial.should_prune() or _too_slow(time.time() - began, check, study, assignment):
                state = TrialState.PRUNED
                break
            if time.time() >= assignment.deadline:
                state = TrialState.PRUNED if check < CHECKS else TrialState.COMPLETE
                break
    except torch.OutOfMemoryError as error:
        value = float("nan")
        trial.set_user_attr("failure", str(error))
    if value != value:
        state = TrialState.FAIL
    else:
        learner.save(assignment.work / f"trial-{trial.number}.safetensors")
        trial.set_user_attr("checkpoint", f"trial-{trial.number}.safetensors")
    trial.set_user_attr("seconds", round(time.time() - began, 3))
    study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)


def _too_slow(elapsed: float, check: int, study: optuna.Study, assignment: Assignment) -> bool:
    """Say whether the whole trial would take more than its share of the budget, as it would again in fit.

    The first trial to finish may take any time.
    """
    if elapsed * CHECKS / check <= seconds(assignment.search.time_budget) * SLOWEST:
        return False
    return bool(counted(study, TrialState.COMPLETE))


def read_assignment(path: Path) -> Assignment:
    values: dict[str, Any] = json.loads(path.read_text())
    return Assignment.model_validate(values)


if __name__ == "__main__":
    die_with_parent()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    main(read_assignment(Path(sys.argv[1])), sys.argv[2])
