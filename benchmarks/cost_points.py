"""What one point of ``cost.py`` does in a process of its own: ``python benchmarks/cost_points.py STAGE ARGUMENTS``.

All of them are the stages themselves on data that ``generate`` has written below CAROUSEL_HOME. The last line printed
is JSON: what the stage wants to have told beside its cost.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = 50
"""Optimiser steps of the one trial."""


def generate(folder: Path, rows: int, items: int, shards: int, seed: int = 0) -> None:
    """Write a panel as parquet shards, each a stretch of time of all items: an id, an hour, a target, a covariate."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    rng, steps = np.random.default_rng(seed), rows // items
    ids = pa.array([f"item-{i:07d}" for i in range(items)])
    level, begins = rng.normal(100, 20, items), rng.integers(0, 24, items)
    folder.mkdir(parents=True)
    for shard, span in enumerate(np.array_split(np.arange(steps), min(shards, steps))):
        number = np.repeat(np.arange(items), len(span))
        hours = np.datetime64("2010-01-01", "us") + (begins[:, None] + span).ravel().astype("timedelta64[h]")
        season = 10 * np.sin(2 * np.pi * (np.tile(span, items) % 24) / 24)
        values = np.round(level[number] + season + rng.normal(0, 3, len(number)), 2)
        columns = [ids.take(pa.array(number)), pa.array(hours), pa.array(values), pa.array(rng.random(len(number)))]
        table = pa.Table.from_arrays(columns, names=["item", "hour", "target", "price"])
        parquet.write_table(table, folder / f"shard-{shard:03d}.parquet")


def ingest(folder: str) -> dict[str, Any]:
    from tasks.ingest import SeriesData, ingest_table

    columns = {"item_id": "item", "timestamp": "hour", "target": "target", "known_covariates": "price"}
    table = ingest_table.fn(SeriesData(source=folder, **columns))  # type: ignore[arg-type]
    return {"rows": table.rows, "items": table.items}


def prepare(horizon: str) -> dict[str, Any]:
    from models.problem import Forecast
    from tasks.prepare import SplitConfig, prepare_dataset
    from tasks.references import Table

    made = _made("ingest")
    facts = json.loads((made / "manifest.json").read_text())["facts"]
    table = Table(f"ingest/{made.name}", made.name, facts["rows"], facts["items"])
    prepare_dataset.fn(table, Forecast(horizon=int(horizon)), SplitConfig())
    return {}


def trial() -> dict[str, Any]:
    """Open the data set as a search worker does, train the portfolio's first point, validate it, and leave a model."""
    import optuna
    import torch

    from models import bundle
    from tasks.environment import environment
    from tasks.kinds.kind import LearnerOptions
    from tasks.kinds.registry import kind

    torch.set_num_threads(1)
    began, dataset = time.perf_counter(), _made("prepare")
    learner = kind("forecast").learner(dataset, LearnerOptions(STEPS, "mase"))
    recipe = learner.suggest(optuna.trial.FixedTrial(learner.portfolio()[0]))
    training = learner.begin(recipe, 0)
    opened, began = time.perf_counter() - began, time.perf_counter()
    while training.step < STEPS:
        training.advance()
    trained, began = time.perf_counter() - began, time.perf_counter()
    value = learner.value([learner.outputs(training.average)])
    model = environment().root / "model"
    model.mkdir(exist_ok=True)
    kind("forecast").describe(dataset, [recipe.model_dump(mode="json")], [1], model)
    bundle.save_weights(training.average, model / "member-0.safetensors")
    validated = time.perf_counter() - began
    return {"open": opened, "a_step": trained / STEPS, "validation": validated, "mase": value}


def evaluate(*baselines: str) -> dict[str, Any]:
    """Open the sealed part with the model that ``trial`` left."""
    from tasks.environment import environment
    from tasks.kinds.registry import kind

    root = environment().root
    (root / "evaluated").mkdir(exist_ok=True)
    kind("forecast").evaluate(_made("prepare"), root / "model", None, None, list(baselines), 1, root / "evaluated")
    told = json.loads((root / "evaluated" / "evaluation.json").read_text())
    return {"seconds": {one["name"]: one["seconds"] for one in told["leaderboard"]}}


def contest(*baselines: str) -> dict[str, Any]:
    """Open the sealed part with the baselines that take longest."""
    return evaluate(*baselines)


def study(trials: str) -> dict[str, Any]:
    """Search with trainings that take no time."""
    import cost_study

    return cost_study.study(trials)


def crowd(workers: str) -> dict[str, Any]:
    """Let so many workers share a study in PostgreSQL, with trainings that sleep."""
    import cost_study

    return cost_study.crowd(int(workers))


def member(assignment: str, name: str) -> dict[str, Any]:
    """Be one of these workers."""
    import cost_study

    return cost_study.member(Path(assignment), name)


def _made(stage: str) -> Path:
    """Return the one output of ``stage``."""
    from tasks.environment import environment

    (made,) = (environment().store / stage).glob("*/manifest.json")
    return made.parent


def main() -> None:
    stages: dict[str, Callable[..., dict[str, Any]]] = {
        act.__name__: act for act in (ingest, prepare, trial, evaluate, contest, study, crowd, member)
    }
    told = stages[sys.argv[1]](*sys.argv[2:])
    accounts = dict(line.split(": ") for line in Path(f"/proc/{os.getpid()}/io").read_text().splitlines())
    print(json.dumps(told | {"written": int(accounts["write_bytes"])}))


if __name__ == "__main__":
    main()
