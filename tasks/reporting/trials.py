"""The trials of a search as child runs in MLflow, where its pages compare them and draw parallel coordinates.

A trial is three requests, however many values it has: a run, a batch of all that is known of it, its end. The parent's
tag is written last; until then a second call goes on where the first was cut off.
"""

from __future__ import annotations

import logging
import math
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import optuna
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from optuna.trial import FrozenTrial, TrialState

from tasks.environment import environment
from tasks.kinds.registry import kind
from tasks.references import Model
from tasks.registry import client
from tasks.reporting.figures import search_of
from tasks.studies import begun, open_storage, progress

NUMBER, STATE, LOGGED = "carousel.trial", "carousel.state", "carousel.trials"
"""Tags of a child: its trial's number and state; of the parent: how many children it has."""
REQUESTS = 4
"""Trials that are written at a time, where a server is asked: it waits for its disk, and the next is on its way."""
MOST_VALUES = 900
"""Of a trial: MLflow takes 1,000 values, parameters and tags in a batch."""
_ENDED = {"FINISHED", "FAILED"}


def log_search(parent: str, model: Model) -> None:
    """Log the trials of the search that ``model`` was chosen from as children of run ``parent``."""
    if searched := search_of(model):
        metric = searched["config"]["metric"] or kind(model.kind).SEARCH_METRICS[0]
        log_trials(parent, searched["facts"]["study_name"], environment().studies_uri, metric)


def log_trials(parent: str, study_name: str, storage: str, metric: str) -> int:
    """Log each trial that has ended as a child of run ``parent``, and return how many there are.

    Args:
        parent: the id of the run.
        study_name: of the search.
        storage: of the study, as Optuna takes it.
        metric: what the trials were compared by; less is better.
    """
    # A line for each run would be printed, and cost a request.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    run = client().get_run(parent)
    if LOGGED in run.data.tags:
        return int(run.data.tags[LOGGED])
    try:
        study = optuna.load_study(study_name=study_name, storage=open_storage(storage))
    except KeyError:
        logging.getLogger("carousel.register").warning("the study storage lacks %s: its trials stay out", study_name)
        return 0
    trials = [trial for trial in begun(study) if trial.state.is_finished()]
    write = partial(_write, client(), run.info.experiment_id, parent, metric, _children(run.info.experiment_id, parent))
    served = client().tracking_uri.startswith("http")
    with ThreadPoolExecutor(REQUESTS if served else 1) as pool:
        list(pool.map(write, trials))
    client().set_tag(parent, LOGGED, str(len(trials)))
    return len(trials)


def _children(experiment: str, parent: str) -> dict[int, tuple[str, str]]:
    """Return the id and the status of the child for each trial that has one."""
    found: dict[int, tuple[str, str]] = {}
    query, page = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'", None
    while True:
        runs = client().search_runs([experiment], query, page_token=page)
        for run in runs:
            if NUMBER in run.data.tags:
                found[int(run.data.tags[NUMBER])] = (run.info.run_id, run.info.status)
        if not (page := runs.token):
            return found


def _write(
    mlflow: MlflowClient,
    experiment: str,
    parent: str,
    metric: str,
    children: dict[int, tuple[str, str]],
    trial: FrozenTrial,
) -> None:
    """Write one trial; times and values are its own, so that what is written twice is the same."""
    run_id, status = children.get(trial.number, ("", ""))
    if status in _ENDED:
        return
    began = _milliseconds(trial.datetime_start)
    if not run_id:
        tags = {MLFLOW_PARENT_RUN_ID: parent, NUMBER: str(trial.number), STATE: trial.state.name.lower()}
        run_id = mlflow.create_run(experiment, began, tags, f"trial {trial.number}").info.run_id
    ended = max(began, _milliseconds(trial.datetime_complete))
    params = [Param(name, str(value)) for name, value in trial.params.items()]
    mlflow.log_batch(run_id, _metrics(trial, metric, ended), params)
    outcome = "FAILED" if trial.state == TrialState.FAIL else "FINISHED"
    mlflow.set_terminated(run_id, outcome, ended)


def _metrics(trial: FrozenTrial, metric: str, time: int) -> list[Metric]:
    """Return the values by step, the best of them, and the seconds of training and validation."""
    told = progress(trial)
    steps = sorted(trial.intermediate_values.items())[-MOST_VALUES:]
    values = [Metric(f"validation_{metric}", value, time, step) for step, value in steps]
    if told.best:
        values.append(Metric(f"best_{metric}", told.best[-1], time, told.step))
    values.append(Metric("seconds", told.training + told.validation, time, 0))
    return [value for value in values if math.isfinite(value.value)]


def _milliseconds(time: datetime | None) -> int:
    return int(time.timestamp() * 1000) if time else 0
