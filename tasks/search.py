"""Stage ``search``: Optuna looks for the best LSTM within a budget, in worker processes that live through the study."""

from __future__ import annotations

import json
import logging
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from filelock import FileLock
from prefect import task
from pydantic import Field

from tasks import children, space, store
from tasks.config import Config, Duration, seconds
from tasks.environment import environment
from tasks.errors import worth_retrying
from tasks.kinds.kind import LearnerOptions
from tasks.kinds.registry import kind
from tasks.progress import Progress
from tasks.references import Dataset, StudyResult

if TYPE_CHECKING:
    import optuna

VERSION = 1
KEPT = 8
"""Best trials whose recipe and checkpoint the result keeps."""
MOST_RESTARTS = 5


class SearchConfig(Config):
    """The budget of the search and how it compares trials."""

    time_budget: Duration = Field(
        "10m", title="Time budget", description="Wall-clock time of the search, such as 90s, 2m or 1h30m."
    )
    max_trials: int = Field(
        100, title="Trials", description="The search ends after as many trials, pruned ones included.", ge=1
    )
    max_steps: int | None = Field(
        None,
        title="Optimiser steps",
        description="Length of the longest trial; none: chosen by the size of the data.",
        ge=10,
    )
    space: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        {},
        title="Space",
        description="Values of parameters of the search, such as head: [direct]; what is not named is searched whole.",
    )
    metric: str | None = Field(
        None, title="Metric", description="What trials are compared by on the validation part; none: the kind's first."
    )
    pruning: bool = Field(True, title="Pruning", description="Stop a trial that falls behind the median of its peers.")
    seed: int = Field(0, title="Seed", ge=0)


@task(name="search", task_run_name="search for {search.time_budget}", retries=1, retry_condition_fn=worth_retrying)
def search_models(dataset: Dataset, search: SearchConfig) -> StudyResult:
    """Search the LSTM family on ``dataset``.

    A killed search goes on where it was: finished trials stand, those that were cut off are run again, and only what
    is left of the time budget is spent.

    Raises:
        InputError: ``search.space`` names what is not searched, or a value that is none of its choices.
        RuntimeError: no trial reached its first validation, or workers keep dying; the message ends with their log.
    """
    source = store.path(dataset)
    key = store.Key("search", VERSION, search, (dataset.fingerprint,))
    metric = search.metric or kind(dataset.kind).SEARCH_METRICS[0]
    facts = store.commit(key, lambda out: _search(source, dataset.kind, metric, search, key, out))
    return StudyResult(key.uri, key.fingerprint, facts["study_name"], facts["trials"], facts["best_value"])


def _search(source: Path, problem: str, metric: str, search: SearchConfig, key: store.Key, out: Path) -> dict[str, Any]:
    from tasks import studies

    study = _open_study(f"search-{key.fingerprint}", source, problem, metric, search)
    spent = study.user_attrs.get("seconds", 0.0)
    assignment = {
        "kind": problem,
        "metric": metric,
        "study_name": study.study_name,
        "storage": environment().studies_uri,
        "dataset": str(source),
        "work": str(key.work),
        "deadline": time.time() + seconds(search.time_budget) - spent,
        "search": search.model_dump(mode="json"),
    }
    (key.work / "assignment.json").write_text(json.dumps(assignment))
    _run_workers(study, key.work, metric, search, spent)
    best = studies.ranked(study)
    if not best:
        log = children.tail(key.work / "worker-0.log")
        raise RuntimeError(f"no trial came to its first validation; the first worker's log ends:\n{log}")
    return _write_result(study, best[:KEPT], key.work, out)


def _open_study(name: str, source: Path, problem: str, metric: str, search: SearchConfig) -> optuna.Study:
    """Create the study with its portfolio, or take it up again."""
    import optuna

    from tasks import studies

    optuna.logging.set_verbosity(optuna.logging.INFO if environment().verbose else optuna.logging.WARNING)
    environment().root.mkdir(parents=True, exist_ok=True)
    # Two first openings of one database would both create its tables.
    with FileLock(environment().root / "optuna.lock"):
        storage = studies.open_storage(environment().studies_uri)
        study = optuna.create_study(study_name=name, storage=storage, direction="minimize", load_if_exists=True)
    studies.retake(study)
    if "portfolio" not in study.user_attrs:
        learner = kind(problem).learner(source, LearnerOptions(search.max_steps, metric))
        space.check(search.space, learner.suggest)
        for note in learner.notes():
            logging.getLogger("carousel.search").info(note)
        for point in learner.portfolio():
            study.enqueue_trial(space.narrowed(point, search.space), skip_if_exists=True)
        study.set_user_attr("portfolio", True)
    return study


def _run_workers(study: optuna.Study, work: Path, metric: str, search: SearchConfig, spent: float) -> None:
    """Keep the workers running until each has ended of itself; a dead one's trial is run again by its successor."""
    from tasks import studies

    count = min(environment().workers, search.max_trials)
    workers = [_start_worker(work, i) for i in range(count)]
    restarts, began, noted = 0, time.time(), 0.0
    with (
        children.stopped_at_exit(workers),
        Progress("search", search.max_trials, seconds(search.time_budget)) as progress,
    ):
        while any(worker.poll() is None for worker in workers):
            time.sleep(0.2)
            for i, worker in enumerate(workers):
                if worker.poll():
                    studies.retake(study, worker=str(i))
                    restarts += 1
                    if restarts > MOST_RESTARTS:
                        log = children.tail(work / f"worker-{i}.log")
                        raise RuntimeError(f"search workers died {restarts} times; the last one's log ends:\n{log}")
                    workers[i] = _start_worker(work, i)
            elapsed = spent + time.time() - began
            if elapsed - noted > 2:
                noted = elapsed
                study.set_user_attr("seconds", elapsed)
                done = [t for t in studies.counted(study) if t.state.is_finished()]
                values = [t.value for t in studies.ranked(study)]
                progress.update(len(done), elapsed, f"best {metric} {values[0]:.4f}" if values else "first trials")
    study.set_user_attr("seconds", spent + time.time() - began)


def _start_worker(work: Path, index: int) -> subprocess.Popen[bytes]:
    log = work / f"worker-{index}.log"
    return children.start("tasks.search_worker", str(work / "assignment.json"), str(index), log=log)


def _write_result(study: optuna.Study, best: list[Any], work: Path, out: Path) -> dict[str, Any]:
    """Write ``best.json`` and the checkpoints of the best trials."""
    from tasks import studies

    kept = []
    for trial in best:
        checkpoint = trial.user_attrs["checkpoint"]
        (out / checkpoint).write_bytes((work / checkpoint).read_bytes())
        kept.append(
            {
                "trial": trial.number,
                "value": trial.value,
                "recipe": trial.user_attrs["recipe"],
                "checkpoint": checkpoint,
            }
        )
    (out / "best.json").write_text(json.dumps(kept, indent=2))
    trials = [t for t in studies.counted(study) if t.state.is_finished()]
    training = sum(t.user_attrs.get("seconds", 0.0) for t in trials)
    return {
        "study_name": study.study_name,
        "trials": len(trials),
        "best_value": best[0].value,
        "seconds": round(study.user_attrs["seconds"], 1),
        "trial_seconds": round(training, 1),
    }
