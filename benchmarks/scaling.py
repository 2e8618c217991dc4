"""What a second worker brings: optimiser steps of a search with one worker and with two, in the same time.

    python benchmarks/scaling.py --seconds 60 --rounds 3

Every trial is the same point of the space, so that steps cost the same. Beside it stands what the processors give at
all: plain training loops in one process and in two at once, without a search.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import torch
from portfolio import learner, prepared

from tasks import store, studies
from tasks.environment import environment
from tasks.search import search_models
from tasks.search_config import SearchConfig

RESULT = Path(__file__).parent / "results" / "scaling.json"
DATA_SET = "m1_monthly"
POINT: dict[str, Any] = {
    "seasons": [5], "patch_length": [12], "skip": ["season"], "skip_seasons": [2], "theta": [False], "damped": [False],
    "highway": [False], "correction": [True], "scaling": ["standard"], "core": ["stacked_lstm"], "hidden_size": [64],
    "num_layers": [2], "projection": [False], "dropout": [0.0], "dropout_mask": ["step"], "weight_drop": [0.0],
    "residual": [True], "layer_norm": [True], "head": ["direct"], "mlp_size": [0], "batch_size": [128],
}  # fmt: skip
MAX_STEPS = 800


def searched(workers: int, seconds: float, seed: int) -> dict[str, float]:
    """Return what a search of ``seconds`` does with so many workers."""
    with tempfile.TemporaryDirectory() as home:
        dataset = prepared(DATA_SET, Path(home))
        os.environ["CAROUSEL_WORKERS"] = str(workers)
        config = SearchConfig(time_budget=f"{seconds:g}s", max_steps=MAX_STEPS, space=POINT, seed=seed)
        began = time.perf_counter()
        result = search_models.fn(dataset, config)
        took = time.perf_counter() - began
        facts = store.manifest(result)["facts"]
        study = optuna.load_study(
            study_name=facts["study_name"], storage=studies.open_storage(environment().studies_uri)
        )
        steps = sum(max(trial.intermediate_values, default=0) for trial in studies.begun(study))
        inside = facts["clock"]["training"] + facts["clock"]["validation"]
    return {
        "steps": steps,
        "steps_per_second": steps / took,
        "trials": facts["trials"],
        "inside": inside / took / workers,
    }


def plain(seconds: float, home: Path) -> float:
    """Return the steps per second of a training without a search."""
    study = optuna.create_study()
    study.enqueue_trial({name: values[0] for name, values in POINT.items()} | {"learning_rate": 3e-3})
    training = learner(DATA_SET, home).begin(learner(DATA_SET, home).suggest(study.ask()), 0)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        training.advance()
    return training.step / (time.perf_counter() - began)


def abreast(processes: int, seconds: float) -> float:
    """Return the steps per second of so many plain trainings together."""
    # A fork of a process in which torch has computed would wait for its threads for ever.
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as home, ProcessPoolExecutor(processes, spawn) as pool:
        list(pool.map(plain, [0.1] * processes, [Path(home)] * processes))
        return sum(pool.map(plain, [seconds] * processes, [Path(home)] * processes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rounds = []
    for number in range(arguments.rounds):
        one, two = (searched(workers, arguments.seconds, number) for workers in (1, 2))
        ceiling = abreast(2, arguments.seconds / 4) / abreast(1, arguments.seconds / 4)
        rounds.append({"one": one, "two": two, "ratio": two["steps"] / one["steps"], "plain": ceiling})
        print(json.dumps(rounds[-1]), flush=True)
    medians = {name: round(statistics.median(one[name] for one in rounds), 3) for name in ("ratio", "plain")}
    print(medians)
    record = {"date": datetime.date.today().isoformat(), "machine": platform.machine(), "torch": torch.__version__}
    RESULT.write_text(json.dumps(record | medians | {"rounds": rounds}, indent=2) + "\n")


if __name__ == "__main__":
    main()
