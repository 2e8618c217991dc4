"""Stage ``fit``: Lightning trains the best recipes on all devices, in child processes of its own."""

from __future__ import annotations

import json
import subprocess
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Literal

from prefect import task
from pydantic import Field

from tasks import children, store
from tasks.config import Config
from tasks.environment import Environment, environment
from tasks.errors import worth_retrying
from tasks.kinds.registry import kind
from tasks.progress import Progress
from tasks.references import Dataset, Model, StudyResult

VERSION = 1


class FitConfig(Config):
    """How the final model is trained."""

    members: int = Field(
        4,
        title="Members",
        description="Models that are trained anew, with seeds of their own, and averaged.",
        ge=1,
        le=32,
    )
    tolerance: float = Field(
        0.03,
        title="Tolerance",
        description="How much worse than the best trial a member's recipe may be, as a share.",
        ge=0,
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field("32-true", title="Precision")
    checkpoint_every: int = Field(100, title="Steps between checkpoints", ge=1)
    seed: int = Field(0, title="Seed", ge=0)


@task(name="fit", task_run_name="fit {fit.members} members", retries=1, retry_condition_fn=worth_retrying)
def fit_model(dataset: Dataset, study: StudyResult, fit: FitConfig) -> Model:
    """Train the best recipes of ``study`` on everything before the sealed part.

    A killed fit goes on from its last checkpoint; members that were trained stand.

    Raises:
        RuntimeError: a training died; the message ends with its log.
    """
    source, found = store.path(dataset), store.path(study)
    key = store.Key("fit", VERSION, fit, (dataset.fingerprint, study.fingerprint))
    facts = store.commit(key, lambda out: _fit(source, found, dataset.kind, fit, key.work, out))
    return Model(key.uri, key.fingerprint, dataset.kind, facts["members"], facts["parameters"])


def _fit(source: Path, study: Path, problem: str, fit: FitConfig, work: Path, out: Path) -> dict[str, Any]:
    recipes = _chosen(json.loads((study / "best.json").read_text()), fit)
    env = environment()
    # On one device members train side by side, a processor each; over several devices one after the other.
    abreast = min(len(recipes), env.workers) if env.devices == 1 else 1
    jobs = [_write_job(source, problem, recipe, fit, env, work, member) for member, recipe in enumerate(recipes)]
    with Progress("fit", len(jobs)) as progress:
        _run(jobs, work, abreast, progress)
    trained = [json.loads((work / f"member-{member}.json").read_text()) for member in range(len(jobs))]
    for member in range(len(jobs)):
        (out / f"member-{member}.safetensors").write_bytes((work / f"member-{member}.safetensors").read_bytes())
    kind(problem).describe(source, recipes, out)
    (out / "recipes.json").write_text(json.dumps(recipes, indent=2))
    return {
        "members": len(recipes),
        "parameters": sum(facts["parameters"] for facts in trained),
        "seconds": sum(facts["seconds"] for facts in trained),
        "trained": trained,
    }


def _chosen(trials: list[dict[str, Any]], fit: FitConfig) -> list[dict[str, Any]]:
    """Return a recipe for each member: the best trials, those within the tolerance again and again if they are few."""
    worst = trials[0]["value"] * (1 + fit.tolerance)
    good = [trial["recipe"] for trial in trials if trial["value"] <= worst]
    return list(islice(cycle(good), fit.members))


def _write_job(
    source: Path, problem: str, recipe: dict[str, Any], fit: FitConfig, env: Environment, work: Path, member: int
) -> Path:
    checkpoints = work / f"checkpoints-{member}"
    checkpoints.mkdir(exist_ok=True)
    job = {
        "kind": problem,
        "dataset": str(source),
        "recipe": recipe,
        "seed": fit.seed + member,
        "precision": fit.precision,
        "checkpoint_every": fit.checkpoint_every,
        "devices": env.devices,
        "threads": 1,
        "checkpoints": str(checkpoints),
        "weights": str(work / f"member-{member}.safetensors"),
    }
    path = work / f"job-{member}.json"
    path.write_text(json.dumps(job))
    return path


def _run(jobs: list[Path], work: Path, abreast: int, progress: Progress) -> None:
    """Run the jobs whose weights are missing, ``abreast`` at a time."""
    waiting = [member for member in range(len(jobs)) if not (work / f"member-{member}.safetensors").exists()]
    running: dict[int, subprocess.Popen[bytes]] = {}
    began = time.time()
    started: list[subprocess.Popen[bytes]] = []
    with children.stopped_at_exit(started):
        while waiting or running:
            while waiting and len(running) < abreast:
                member = waiting.pop(0)
                child = children.start("tasks.fit_worker", str(jobs[member]), log=work / f"fit-{member}.log")
                running[member] = child
                started.append(child)
            time.sleep(0.1)
            for member in [member for member, child in running.items() if child.poll() is not None]:
                if running.pop(member).returncode:
                    log = children.tail(work / f"fit-{member}.log")
                    raise RuntimeError(f"training of member {member} died; its log ends:\n{log}")
            done = len(jobs) - len(waiting) - len(running)
            progress.update(done, time.time() - began, f"{len(running)} in training")
