"""Stage ``search``: Optuna looks for the best LSTM within a budget, in worker processes that live through the study."""

from __future__ import annotations

import json
import logging
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from prefect import task

from tasks import children, space, store
from tasks.clock import total
from tasks.config import seconds
from tasks.crew import Crew
from tasks.environment import environment
from tasks.errors import worth_retrying
from tasks.kinds.kind import LearnerOptions
from tasks.kinds.registry import kind
from tasks.references import MANIFEST, Dataset, Reference, StudyResult
from tasks.reporting.failure import explain_stage
from tasks.search_config import SearchConfig
from tasks.shared import SharedStore, shared_store, work_folder

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from tasks.trial_files import TrialFiles

VERSION = 5
KEPT = 16
"""Trials of which the result keeps recipe, weights and outputs, the best one of each kind first."""
FIT_SHARE = 0.25
"""Share of the time budget that is left to ``fit``, at most."""
TAKEN_OVER = 5
"""Best trials of the search before that a retraining begins with."""


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
    start = store.path(previous) if previous else None
    inputs = (dataset.fingerprint, *([previous.fingerprint] if previous else []))
    key = store.Key("search", VERSION, search, inputs)
    metric = search.metric or kind(dataset.kind).SEARCH_METRICS[0]
    facts = store.commit(key, lambda out: _search(dataset, metric, search, start, key, out))
    return StudyResult.of(key.uri, key.fingerprint, facts)


def _search(
    dataset: Dataset, metric: str, search: SearchConfig, start: Path | None, key: store.Key, out: Path
) -> dict[str, Any]:
    from tasks import studies
    from tasks.engines.registry import engine
    from tasks.trial_files import TrialFiles

    env, began = environment(), time.time()
    shared = shared_store() if env.study_storage or env.engine != "local" else None
    name = _study_name(key.work, shared)
    (env.work / name).mkdir(parents=True, exist_ok=True)
    files = TrialFiles(env.work / name, shared)
    study = _open_study(name, store.path(dataset), dataset.kind, metric, search, start)
    # A search that was killed has spent what it had; its clock goes on from there.
    began -= study.user_attrs.get("seconds", 0.0)
    count = _count(search, env.engine != "local")
    assignment = {
        "kind": dataset.kind,
        "metric": metric,
        "study_name": name,
        "dataset": dataset.to_json(),
        "work": name,
        "began": began,
        "deadline": began + seconds(search.time_budget),
        "reserve": FIT_SHARE * seconds(search.time_budget),
        "workers": count,
        "shared": shared is not None,
        "search": search.model_dump(mode="json"),
    }
    hired = engine(json.dumps(assignment), key.work, count)
    if not hired.apart:
        studies.release(study)
    Crew(study, hired, search, metric, began).work(count)
    best = _kept(study)
    if not best:
        log = children.tail(key.work / "worker-0.log")
        told = f"no trial came to its first validation{_failures(study)}; the first worker's log ends:"
        raise RuntimeError(f"{told}\n{log}")
    studies.settle(study, {trial.number for trial in best})
    facts = _write_result(study, best, files, out)
    wall = time.time() - began
    clock = total([path for path in files.fetch(".json") if path.name.startswith("clock-")])
    left = max(0.0, seconds(search.time_budget) - wall)
    return facts | {"seconds": round(wall, 1), "seconds_left": round(left, 1), "workers": count, "clock": clock}


def _kept(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that ``fit`` may choose from, best first."""
    from tasks import studies
    from tasks.variety import kind_of, varied

    trials = study.get_trials(deepcopy=False)
    ranked = studies.leading(studies.entries(study))
    kept = varied(ranked, lambda one: kind_of(trials[one.number].user_attrs["recipe"]), KEPT)
    return [trials[one.number] for one in kept]


def _failures(study: optuna.Study) -> str:
    """Say how many trials failed, and what the first of them said."""
    from tasks import studies

    failed = [said for trial in studies.begun(study) if (said := trial.user_attrs.get("failure"))]
    return f", {len(failed)} failed, the first one since {failed[0]}" if failed else ""


def _study_name(work: Path, shared: SharedStore | None) -> str:
    """Return the name of the search's study, which is as old as the files of its trials, and lives as long.

    A killed search finds it in ``work``, or where machines share a store there. Without it there are no files, so that
    a study that is still in the database could not be taken up.
    """
    file, place = work / "study", f"{work_folder(work)}/study"
    if shared is not None and shared.get(place, file):
        return file.read_text()
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.write_text(f"{work.name}-{uuid.uuid4().hex[:8]}")
        partial.replace(file)
    if shared is not None:
        shared.put(file, place)
        # Of two machines that begin at once both may still get their own name: then each searches by itself.
        shared.get(place, file)
    return file.read_text()


def _count(search: SearchConfig, apart: bool) -> int:
    """Return how many workers to start: no more than trials, or on this machine than shares of its GPUs."""
    from tasks.devices import places

    here = None if apart else places()
    return min(environment().workers, search.max_trials, *([here] if here else []))


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
    earlier = json.loads((start / MANIFEST).read_text())["inputs"][0]
    known = store.stored("prepare", earlier) is not None
    safe = known and kind(problem).unseen(source, store.path(Reference(f"prepare/{earlier}", earlier)))
    found = json.loads((start / "best.json").read_text())[:TAKEN_OVER]
    uri = f"search/{start.name}"
    return [(one["params"], {"start": f"{uri}/{one['checkpoint']}"} if safe else {}) for one in found]


def _write_result(study: optuna.Study, best: list[FrozenTrial], files: TrialFiles, out: Path) -> dict[str, Any]:
    """Write ``best.json``, and weights and outputs of the best trials."""
    from tasks import studies
    from tasks.trial_files import name

    kept = []
    for trial in best:
        files.copy_best(trial.number, out)
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
