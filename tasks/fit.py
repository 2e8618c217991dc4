"""Stage ``fit``: the best trials become an ensemble, which Lightning trains anew on all devices and all data."""

from __future__ import annotations

import json
import math
import subprocess
import time
from pathlib import Path
from typing import Any, Literal

from prefect import task
from pydantic import ConfigDict, Field

from tasks import children, ensemble, refit, store
from tasks.config import Config
from tasks.environment import environment
from tasks.errors import InputError, worth_retrying
from tasks.fit_files import FitFiles
from tasks.fit_worker import together
from tasks.kinds.kind import Learner, LearnerOptions
from tasks.kinds.registry import kind
from tasks.progress import Progress
from tasks.pulse import DIRECTORY, Watch
from tasks.references import MANIFEST, Dataset, Model, StudyResult
from tasks.reporting.failure import explain_stage

VERSION = 5
SPARE = 2.0
"""Seconds of the time budget that are left for writing the result."""
LOG = 40
"""Lines of the log that a failure quotes: torchrun's summary, and before it what the ranks said."""


class FitConfig(Config):
    """How the final model is made."""

    model_config = ConfigDict(title="Fit")

    members: int = Field(
        8, title="Members", description="Most networks that predict together; 1: a single one.", ge=1, le=64
    )
    max_parameters: int | None = Field(
        None, title="Parameters", description="Most parameters of all members together; none: no limit.", ge=1
    )
    max_latency_ms: float | None = Field(
        None,
        title="Latency",
        description="Most milliseconds that predicting one item may take on one processor; none: no limit.",
        gt=0,
    )
    refit: Literal["auto", "always", "never"] = Field(
        "auto",
        title="Refit",
        description="Train the members further, on the validation part, too; auto: if newer data help.",
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "auto"] = Field(
        "32-true", title="Precision", description="auto: bf16-mixed on a GPU that computes in it, 32-true elsewhere."
    )
    accumulate: int = Field(
        1,
        title="Parts of a step",
        description="Parts in which each device reads its share of a step's batch: less memory, the same training.",
        ge=1,
    )
    checkpoint_every: int = Field(100, title="Steps between checkpoints", ge=1)
    seed: int = Field(0, title="Seed", ge=0)


@task(
    name="fit",
    task_run_name="fit at most {fit.members} members",
    retries=1,
    retry_condition_fn=worth_retrying,
    on_failure=[explain_stage],
)
def fit_model(dataset: Dataset, study: StudyResult, fit: FitConfig) -> Model:
    """Choose the trials of ``study`` that predict best together, and train them on, with all before the sealed part.

    It takes no longer than the search left of the time budget. Where that does not suffice, members take fewer steps;
    one that comes to less than half of its steps is the trial itself, as the search has left it. A killed fit goes on
    from its last checkpoint, on any machine that shares the store; members that were trained stand.

    Raises:
        InputError: no trial is within the limits on parameters and latency.
        RuntimeError: a training died or hung; the message ends with its log.
    """
    source, found = store.path(dataset), store.path(study)
    key = store.Key("fit", VERSION, fit, (dataset.fingerprint, study.fingerprint))
    facts = store.commit(key, lambda out: _fit(source, found, dataset.kind, fit, study.seconds_left, key.work, out))
    return Model(key.uri, key.fingerprint, dataset.kind, facts["members"], facts["parameters"])


def _fit(
    source: Path, study: Path, problem: str, fit: FitConfig, seconds_left: float, work: Path, out: Path
) -> dict[str, Any]:
    files = FitFiles.at(work)
    began = files.begin()
    deadline = began + seconds_left - SPARE
    trials = json.loads((study / "best.json").read_text())
    search = json.loads((study / MANIFEST).read_text())["config"]
    search["metric"] = search["metric"] or kind(problem).SEARCH_METRICS[0]
    chosen = _chosen(source, study, problem, trials, search, fit, work)
    files.share(work / "chosen.json", began)
    counts = sorted(chosen["counts"].items(), key=lambda pair: -pair[1])
    parts = [(trials[int(place)], count) for place, count in counts]
    jobs: list[dict[str, Any]] = []
    if fit.refit != "never" and time.time() < deadline:
        jobs = _write_jobs(source, study, problem, parts, search, fit, (began, deadline), work)
        _run(jobs, work, deadline)
    helps = _newer_data_help(work)
    recipes = [trial["recipe"] for trial, _ in parts]
    weights = [study / trial["checkpoint"] for trial, _ in parts]
    refitted = {member: path for member, job in enumerate(jobs) if helps and (path := Path(job["weights"])).exists()}
    for member, path in refitted.items():
        weights[member] = path
    for member, path in enumerate(weights):
        (out / f"member-{member}.safetensors").write_bytes(path.read_bytes())
    kind(problem).describe(source, recipes, [count for _, count in parts], out)
    (out / "recipes.json").write_text(json.dumps(recipes, indent=2))
    trained_facts = [json.loads(path.read_text()) for path in sorted(work.glob("member-*.json"))]
    return {
        "members": len(parts),
        "parameters": sum(map(_parameters, weights)),
        "value": chosen["value"],
        "best_trial": trials[0]["value"],
        "newer_data_help": helps,
        "refitted": len(refitted),
        "seconds": round(time.time() - began, 1),
        "trained": trained_facts,
    }


def _chosen(
    source: Path,
    study: Path,
    problem: str,
    trials: list[dict[str, Any]],
    search: dict[str, Any],
    fit: FitConfig,
    work: Path,
) -> dict[str, Any]:
    """Return how often each trial counts in the ensemble, by its place, and the ensemble's value."""
    from tasks.trial_files import read_outputs

    path = work / "chosen.json"
    if not path.exists():
        learner = kind(problem).learner(source, LearnerOptions(search["max_steps"], search["metric"]))
        outputs = [read_outputs(study, trial["trial"]) for trial in trials]
        costs = [_cost(learner, study, trial, fit) for trial in trials]
        limit = ensemble.Cost(fit.max_parameters or float("inf"), (fit.max_latency_ms or float("inf")) / 1000)
        found = ensemble.select(outputs, learner.value, fit.members, costs, limit)
        if found is None:
            raise _too_large(costs, fit)
        path.write_text(json.dumps({"counts": found.counts, "value": found.value}))
    return json.loads(path.read_text())


def _cost(learner: Learner, study: Path, trial: dict[str, Any], fit: FitConfig) -> ensemble.Cost:
    """Return what a trial's network takes; what is not limited is not measured."""
    latency = 0.0
    if fit.max_latency_ms is not None:
        latency = learner.latency(learner.begin(learner.recipe(trial["recipe"]), 0).model)
    return ensemble.Cost(_parameters(study / trial["checkpoint"]), latency)


def _parameters(weights: Path) -> int:
    from safetensors import safe_open

    with safe_open(weights, "pt") as tensors:
        shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    return sum(map(math.prod, shapes))


def _too_large(costs: list[ensemble.Cost], fit: FitConfig) -> InputError:
    smallest = f"the smallest of the best trials has {min(cost.parameters for cost in costs):,.0f} parameters"
    if fit.max_latency_ms is not None:
        smallest += f", the fastest takes {1000 * min(cost.latency for cost in costs):.1f} ms"
    rule = "fit.max_parameters and fit.max_latency_ms must leave room for one network"
    return InputError(rule, smallest, "raise them, or narrow search.space to smaller models")


def _write_jobs(
    source: Path,
    study: Path,
    problem: str,
    parts: list[tuple[dict[str, Any], int]],
    search: dict[str, Any],
    fit: FitConfig,
    times: tuple[float, float],
    work: Path,
) -> list[dict[str, Any]]:
    """Write ``jobs.json``: a training for each trial of the ensemble, those that count most first."""
    trials = [trial for trial, _ in parts]
    compared = refit.compared(trials) if fit.refit == "auto" else None
    # By the time that the whole fit has, not by what is left of it: one that was killed goes on as it would have.
    goals = refit.goals(trials, compared, times[1] - times[0], _abreast(len(parts)))
    jobs = [
        {
            "recipe": trial["recipe"] | {"training": trial["recipe"]["training"] | {"steps": goal.steps}},
            "enough": goal.enough,
            "start": str(study / trial["checkpoint"]),
            "seed": fit.seed + member,
            "checkpoints": str(work / f"checkpoints-{member}"),
            "weights": str(work / f"member-{member}.safetensors"),
        }
        for member, (trial, goal) in enumerate(zip(trials, goals, strict=True))
    ]
    described = {
        "kind": problem,
        "metric": search["metric"],
        "dataset": str(source),
        "work": str(work),
        "jobs": jobs,
        "probe": _probe(compared, search["seed"], work) if compared else None,
        "precision": fit.precision,
        "accumulate": fit.accumulate,
        "checkpoint_every": fit.checkpoint_every,
        "devices": environment().devices,
        "began": times[0],
        "deadline": times[1],
    }
    (work / "jobs.json").write_text(json.dumps(described))
    return jobs


def _probe(compared: refit.Compared, seed: int, work: Path) -> dict[str, Any]:
    """Return what to compare newer and older data by."""
    told = {"recipe": compared.recipe, "steps": compared.steps, "known": compared.value}
    return told | {"seed": seed, "result": str(work / "older.json")}


def _abreast(jobs: int) -> int:
    """Return how many trainings run at a time: over several devices one, on one device a processor each."""
    env = environment()
    return min(jobs, 1 if together(env.devices) else env.workers)


def _run(jobs: list[dict[str, Any]], work: Path, deadline: float) -> None:
    """Run the jobs in processes that take one after the other, until all are done or time is up."""
    for claim in work.glob("*.claim"):
        claim.unlink()
    watch = Watch(work / "signs", environment().patience)
    workers = [_start_worker(work, place, watch) for place in range(_abreast(len(jobs)))]
    began = time.time()
    with children.stopped_at_exit(workers), Progress("fit", max(1, len(jobs))) as progress:
        while any(worker.poll() is None for worker in workers) and time.time() < deadline:
            time.sleep(0.1)
            _raise_failure(workers, watch, work)
            done = sum(Path(job["weights"]).exists() for job in jobs)
            progress.update(done, time.time() - began, "members trained")


def _start_worker(work: Path, place: int, watch: Watch) -> subprocess.Popen[bytes]:
    log, jobs = work / f"fit-{place}.log", work / "jobs.json"
    return children.start("tasks.fit_worker", str(jobs), log=log, variables={DIRECTORY: str(watch.directory)})


def _raise_failure(workers: list[subprocess.Popen[bytes]], watch: Watch, work: Path) -> None:
    """Raise RuntimeError with the end of the log if a worker has died, or it or one of its ranks hangs."""
    for place, worker in enumerate(workers):
        if worker.poll():
            raise RuntimeError(f"training died; its log ends:\n{children.tail(work / f'fit-{place}.log', LOG)}")
    silent = watch.silent()
    if silent is not None:
        process, name = silent
        place = next((place for place, worker in enumerate(workers) if worker.pid == process), 0)
        workers[place].kill()
        what = f"{name} (process {process}) gave no sign of life for {watch.patience:g} s"
        raise RuntimeError(f"training hung: {what}; its log ends:\n{children.tail(work / f'fit-{place}.log', LOG)}")


def _newer_data_help(work: Path) -> bool:
    """Say whether a member learned more from data up to the validation part than from older ones; unknown: yes."""
    older = work / "older.json"
    return not older.exists() or json.loads(older.read_text())["newer data help"]
