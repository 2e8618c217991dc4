"""How alike a champion and its retraining are on the sealed windows, and what the gate's test sees at their number.

    python benchmarks/gate.py examples/weather.yaml --budget 80s --earlier 336
    python benchmarks/gate.py examples/tourism.yaml --budget 60s

The champion is trained without the last ``--earlier`` time steps; the other goes on from its search with all data. With
0 both are searched anew on the same data. Then their errors are drawn anew, whole periods (or series, if each has one
window) with replacement, the two swapped by a coin in each: so neither is better. Times 0.9, one is 10 % better. The
shares of 1,000 draws that ``compare`` finds better are the rate of false promotions and the power. The errors
themselves stand in the result, for ``tests/tasks/test_gate.py``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carousel.experiment import load
from tasks import store
from tasks.evaluate import EvaluateConfig, evaluate_model
from tasks.fit import FitConfig, fit_model
from tasks.ingest import ingest_table
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.references import Dataset, Model, StudyResult
from tasks.scoring.clusters import FEWEST, Clusters
from tasks.scoring.comparison import compare
from tasks.search import search_models
from tasks.search_config import SearchConfig

RESULT = Path(__file__).parent / "results" / "gate.json"
DRAWS = 1000


def prepared(experiment: dict[str, Any], earlier: int, home: Path) -> Dataset:
    """Prepare the experiment's data without the last ``earlier`` time steps."""
    data = experiment["data"]
    if earlier:
        csv = data.source.endswith(".csv")
        frame = pl.read_csv(data.source, infer_schema=False) if csv else pl.read_parquet(data.source)
        stamps = frame[data.timestamp].unique().sort()
        before = frame.filter(pl.col(data.timestamp) < stamps[-earlier])
        source = home / f"earlier{Path(data.source).suffix}"
        before.write_csv(source) if csv else before.write_parquet(source)
        data = data.model_copy(update={"source": str(source)})
    return prepare_dataset.fn(ingest_table.fn(data), experiment["problem"], experiment.get("split", SplitConfig()))


def trained(dataset: Dataset, budget: str, seed: int, previous: StudyResult | None) -> tuple[StudyResult, Model]:
    study = search_models.fn(dataset, SearchConfig(time_budget=budget, seed=seed), previous)
    return study, fit_model.fn(dataset, study, FitConfig())


def errors(model: Model, dataset: Dataset) -> np.ndarray:
    """Return the model's errors on the sealed windows: [series, dates]."""
    evaluation = evaluate_model.fn(model, dataset, None, EvaluateConfig(baselines=["last_value"]))
    windows = pl.read_parquet(store.path(evaluation) / "windows.parquet").sort("item_id", "end")
    return windows["lstm"].to_numpy().reshape(windows["item_id"].n_unique(), -1)


def alike(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Describe two models' log errors [series, dates]; ``shared`` is the part of a date in their difference."""
    mine, other = np.log(ours), np.log(theirs)
    ratio = mine - other
    series, dates = ratio.shape
    found = {"spread": other.std(), "correlation": np.corrcoef(mine.ravel(), other.ravel())[0, 1], "ratio": ratio.std()}
    if series > 1 and dates > 1:
        between = series * ratio.mean(axis=0).var(ddof=1)
        within = ((ratio - ratio.mean(axis=0)) ** 2).sum() / (dates * (series - 1))
        found["shared"] = (between - within) / (between + (series - 1) * within)
    return {name: round(float(value), 3) for name, value in found.items()}


def promoted(ours: np.ndarray, theirs: np.ndarray, gain: float, count: int) -> float:
    """Return the share of draws of ``count`` periods, or series, in which a model with ``gain`` less error passes."""
    if ours.shape[1] < FEWEST:
        ours, theirs = ours.T, theirs.T
    theirs = theirs * ours.mean() / theirs.mean()
    rng, passed, rows = np.random.default_rng(0), 0, len(ours)
    clusters = [Clusters("unit", np.tile(np.arange(count), rows))]
    for _ in range(DRAWS):
        drawn, swapped = rng.integers(0, ours.shape[1], count), rng.random(count) < 0.5
        mine = np.where(swapped, theirs[:, drawn], ours[:, drawn]) * (1 - gain)
        other = np.where(swapped, ours[:, drawn], theirs[:, drawn])
        found = compare("a", "b", mine.ravel(), other.ravel(), np.ones(mine.size), clusters=clusters)
        passed += found.outcome == "better"
    return passed / DRAWS


def _compact(known: dict[str, Any]) -> str:
    """Return JSON with each list of numbers on a line."""
    return (
        re.sub(
            r"\[\s+([-\d.,\se]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", json.dumps(known, indent=1)
        )
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--budget", default="80s")
    parser.add_argument("--earlier", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    experiment, rows = load(arguments.experiment), []
    with tempfile.TemporaryDirectory() as home:
        os.environ["CAROUSEL_HOME"] = home
        newest = prepared(experiment, 0, Path(home))
        earlier = prepared(experiment, arguments.earlier, Path(home))
        for seed in range(arguments.seeds):
            study, champion = trained(earlier, arguments.budget, seed, None)
            again = study if arguments.earlier else None
            _, challenger = trained(newest, arguments.budget, seed if again else seed + 1000, again)
            theirs, ours = errors(champion, newest), errors(challenger, newest)
            units = max(ours.shape) if ours.shape[1] < FEWEST else ours.shape[1]
            row = {"errors": [round(float(ours.mean()), 4), round(float(theirs.mean()), 4)], **alike(ours, theirs)}
            row |= {f"{gain:.0%} better of {count}": promoted(ours, theirs, gain, count)
                    for count in (units // 2, units) for gain in (0.0, 0.1)}  # fmt: skip
            print(json.dumps(row), flush=True)
            rows.append(row | {"challenger": ours.round(4).tolist(), "champion": theirs.round(4).tolist()})
    told = {"date": datetime.date.today().isoformat(), "machine": platform.processor() or platform.machine()}
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    known[arguments.experiment.stem] = told | {"budget": arguments.budget, "earlier": arguments.earlier, "rows": rows}
    RESULT.write_text(_compact(known))


if __name__ == "__main__":
    main()
