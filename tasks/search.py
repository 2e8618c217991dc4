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
from pydantic import ConfigDict, Field

from tasks import children, space, store
from tasks.clock import total
from tasks.config import Config, Duration, seconds
from tasks.environment import environment
from tasks.errors import worth_retrying
from tasks.kinds.kind import LearnerOptions
from tasks.kinds.registry import kind
from tasks.progress import Progress
from tasks.references import Dataset, StudyResult
from tasks.reporting.failure import explain_stage

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

VERSION = 4
KEPT = 16
"""Best trials of which the result keeps recipe, weights and outputs."""
FIT_SHARE = 0.25
"""Share of the time budget that is left to ``fit``, at most."""
TAKEN_OVER = 5
"""Best trials of the search before that a retraining begins with."""
MOST_DEATHS = 5
"""Workers that may die one after the other without a rung climbed in between."""


class SearchConfig(Config):
    """The budget of the search and how it compares trials."""

    model_config = ConfigDict(title="Search")

    time_budget: Duration = Field(
        "10m",
        title="Time budget",
        description="Wall-clock time of search and fit together, such as 90s, 2m or 1h30m.",
    )
    max_trials: int = Field(
        1000, title="Trials", description="The search begins no more trials, pruned ones included.", ge=1
    )
    max_steps: int | None = Field(
        None,
        title="Optimiser steps",
        description="Length of the longest trial; none: as long as it gets better.",
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
    pruning: bool = Field(
        True, title="Pruning", description="Only the better half of the trials goes on after each rung of steps."
    )
    seed: int = Field(0, title="Seed", ge=0)


@task(
    name="search",
    task_run_name="search for {search.time_budget}",
    retries=1,
    retry_condition_fn=worth_retrying,
    on_failure=[explain_stage],
)
def search_models(dataset: Dataset, search: SearchConfig, previous: StudyResult | None = None) -> StudyResult:
    """Search the LSTM family on ``dataset``.

    A killed search goes on where it was: trials stand at their last rung, and only what is left of the time budget is
    spent.

    Args:
        dataset: what to learn.
        search: the budget, of which a part is left to ``fit``.
        previous: a search on an earlier state of the same data, whose best trials this one begins with.

    Raises:
        InputError: ``search.space`` names what is not searched, or a value that is none of its choices.
        RuntimeError: no trial reached its first validation, or workers keep dying; the message ends with their log.
    """
    source = store.path(dataset)
    start = store.path(previous) if previous else None
    inputs = (dataset.fingerprint, *([previous.fingerprint] if previous else []))
    key = store.Key("search", VERSION, search, inputs)
    metric = search.metric or kind(dataset.kind).SEARCH_METRICS[0]
    facts = store.commit(key, lambda out: _search(source, dataset.kind, metric, search, start, key, out))
    return StudyResult.of(key.uri, key.fingerprint, facts)


def _search(
    source: Path, problem: str, metric: str, search: SearchConfig, start: Path | None, key: store.Key, out: Path
) -> dict[str, Any]:
    from tasks import studies

    began = time.time()
    study = _open_study(f"search-{key.fingerprint}", source, problem, metric, search, start)
    spent = study.user_attrs.get("seconds", 0.0)
    # A search that was killed has spent what it had; its clock goes on from there.
    began -= spent
    count = min(environment().workers, search.max_trials)
    assignment = {
        "kind": problem,
        "metric": metric,
        "study_name": study.study_name,
        "dataset": str(source),
        "work": str(key.work),
        "began": began,
        "deadline": began + seconds(search.time_budget),
        "reserve": FIT_SHARE * seconds(search.time_budget),
        "workers": count,
        "search": search.model_dump(mode="json"),
    }
    (key.work / "assignment.json").write_text(json.dumps(assignment))
    _run_workers(study, key.work, metric, search, began, count)
    best = studies.ranked(study)[:KEPT]
    if not best:
        log = children.tail(key.work / "worker-0.log")
        raise RuntimeError(f"no trial came to its first validation; the first worker's log ends:\n{log}")
    studies.settle(study, KEPT)
    facts = _write_result(study, best, key.work, out)
    wall = time.time() - began
    clock = total(sorted(key.work.glob("clock-*.json")))
    left = max(0.0, seconds(search.time_budget) - wall)
    return facts | {"seconds": round(wall, 1), "seconds_left": round(left, 1), "workers": count, "clock": clock}


def _open_study(
    name: str, source: Path, problem: str, metric: str, search: SearchConfig, start: Path | None
) -> optuna.Study:
    """Create the study with its portfolio, or take it up again."""
    import optuna

    from tasks import studies

    optuna.logging.set_verbosity(optuna.logging.INFO if environment().verbose else optuna.logging.WARNING)
    environment().root.mkdir(parents=True, exist_ok=True)
    # Two first openings of one database would both create its tables.
    with FileLock(environment().root / "optuna.lock"):
        storage = studies.open_storage(environment().studies_uri)
        study = optuna.create_study(study_name=name, storage=storage, direction="minimize", load_if_exists=True)
    studies.release(study)
    if "portfolio" not in study.user_attrs:
        learner = kind(problem).learner(source, LearnerOptions(search.max_steps, metric))
        space.check(search.space, learner.suggest)
        for note in learner.notes():
            logging.getLogger("carousel.search").info(note)
        for point, beginning in _beginnings(start, source, problem):
            allowed = space.narrowed(point, search.space)
            if space.has(allowed, search.space, learner.suggest):
                study.enqueue_trial(allowed, user_attrs=beginning, skip_if_exists=True)
        for point in learner.portfolio():
            study.enqueue_trial(space.narrowed(point, search.space), skip_if_exists=True)
        study.set_user_attr("portfolio", True)
    return study


def _beginnings(start: Path | None, source: Path, problem: str) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Return parameters of the best trials of the search whose result stands at ``start``, and their weights.

    The weights are left out unless it is sure that they saw nothing of what ``source`` holds back.
    """
    if start is None:
        return []
    earlier = json.loads((start / store.MANIFEST).read_text())["inputs"][0]
    known = store.stored("prepare", earlier) is not None
    safe = known and kind(problem).unseen(source, environment().store / "prepare" / earlier)
    found = json.loads((start / "best.json").read_text())[:TAKEN_OVER]
    return [(one["params"], {"start": str(start / one["checkpoint"])} if safe else {}) for one in found]


def _run_workers(study: optuna.Study, work: Path, metric: str, search: SearchConfig, began: float, count: int) -> None:
    """Keep the workers running until each has ended of itself; a dead one's trial is taken up by its successor."""
    from tasks import studies

    workers = [_start_worker(work, i) for i in range(count)]
    budget = seconds(search.time_budget)
    deaths, noted, told = 0, 0.0, 0
    with children.stopped_at_exit(workers), Progress("search", search.max_trials, budget) as progress:
        while any(worker.poll() is None for worker in workers):
            time.sleep(0.1)
            for i, worker in enumerate(workers):
                if worker.poll():
                    studies.release(study, worker=str(i))
                    deaths, told = (1 if (now := studies.rungs_climbed(study)) > told else deaths + 1), now
                    if deaths > MOST_DEATHS:
                        log = children.tail(work / f"worker-{i}.log")
                        raise RuntimeError(f"search workers died {deaths} times in a row; the last log ends:\n{log}")
                    workers[i] = _start_worker(work, i)
            if (elapsed := time.time() - began) - noted > 2:
                noted = elapsed
                study.set_user_attr("seconds", elapsed)
                best = studies.ranked(study)
                value = f"best {metric} {studies.progress(best[0]).best[-1]:.4f}" if best else "first trials"
                progress.update(len(studies.begun(study)), elapsed, value)
    study.set_user_attr("seconds", time.time() - began)


def _start_worker(work: Path, index: int) -> subprocess.Popen[bytes]:
    log = work / f"worker-{index}.log"
    return children.start("tasks.search_worker", str(work / "assignment.json"), str(index), log=log)


def _write_result(study: optuna.Study, best: list[FrozenTrial], work: Path, out: Path) -> dict[str, Any]:
    """Write ``best.json``, and weights and outputs of the best trials."""
    from tasks import studies
    from tasks.trial_files import TrialFiles, name

    kept = []
    for trial in best:
        TrialFiles(work).copy_best(trial.number, out)
        told = studies.progress(trial)
        recipe = trial.user_attrs["recipe"]
        # What was validated best is what is kept: after as many steps.
        recipe = recipe | {"training": recipe["training"] | {"steps": told.step}}
        found = {"trial": trial.number, "value": told.best[-1], "values": trial.intermediate_values}
        found |= {"params": trial.params, "recipe": recipe, "continued": "start" in trial.user_attrs}
        kept.append(found | {"checkpoint": f"{name(trial.number)}.safetensors", "seconds": told.training})
    (out / "best.json").write_text(json.dumps(kept, indent=2))
    value = kept[0]["value"]
    return {"study_name": study.study_name, "trials": len(studies.begun(study)), "best_value": value}
