"""What each part of the search is worth: each one off by itself, same data, same time, on data of development.

    python benchmarks/ablation.py run --budget 90
    python benchmarks/ablation.py report

Data sets are those of ``portfolio.py``, which ``forecasting.py`` compares nobody on, so that what is decided here is
decided without its test parts. Each cell is one run of search and fit with two workers; the figure is MASE on the
sealed part over that of the whole search, the geometric mean over the data sets. One run differs from another by a
percent or so, on the weather's 84 windows by several. The whole search tries all cores and distributions that there
are, "default" those of a search that names none. Workers run through this file, which changes them before they begin.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from portfolio import DATA_SETS, prepared

from models import bundle, forecaster
from models.panel import Panel
from tasks import children, halving, search, store
from tasks.fit import FitConfig, fit_model
from tasks.kinds.forecast_dataset import ForecastDataset
from tasks.kinds.forecast_learner import ForecastLearner
from tasks.references import Dataset, StudyResult
from tasks.scoring import metrics
from tasks.search import search_models
from tasks.search_config import SearchConfig

RESULT = Path(__file__).parent / "results" / "ablation.json"
WHOLE = "whole"


class Variant(NamedTuple):
    """What is off: by configuration, by an empty portfolio, or by changes in the workers: names of functions here."""

    search: dict[str, Any] | None = None
    portfolio: bool = True
    changes: tuple[str, ...] = ("offering_all",)


VARIANTS = {
    WHOLE: Variant(),
    "no portfolio": Variant(portfolio=False),
    "no halving": Variant({"pruning": False}),
    "no freeze-thaw": Variant(changes=("offering_all", "without_thawing")),
    "no xLSTM": Variant({"space": {"core": ["stacked_lstm", "cell_lstm", "dilated_lstm"]}}),
    "no cell LSTM": Variant({"space": {"core": ["stacked_lstm", "dilated_lstm", "xlstm"]}}),
    "stacked LSTM alone": Variant({"space": {"core": ["stacked_lstm"]}}),
    "quantiles alone": Variant({"space": {"distribution": ["quantiles"]}}),
    "default": Variant(changes=()),
    "default without Theta": Variant({"space": {"theta": [False]}}, changes=()),
}
ALONE = "no ensemble"


def offering_all() -> None:
    """Let the search try what it tries by default only where it is named."""
    forecaster.offered = lambda trial, choices, others: [*choices, *others]


def without_thawing() -> None:
    """Let a trial that is not among the better half of its rung end there, and those that are go on at once."""

    def ends(trial: halving.Standing, trials: Any, share: float) -> bool:
        cohort = halving._cohort(trials, trial.rung)
        return trial.rung > 0 and trial not in cohort[: math.ceil(len(cohort) * share)]

    def survivor(trials: Any, rungs: int, share: float) -> halving.Standing | None:
        return next((one for one in trials if halving._waiting(one) and 0 < one.rung < rungs), None)

    halving.is_out, halving.thawed = ends, survivor
    halving.best_waiting = lambda trials, rungs: None


def run_variant(
    variant: Variant, dataset: Dataset, budget: float, seed: int, fits: dict[str, FitConfig]
) -> dict[str, float]:
    """Return MASE on the sealed part for each of ``fits`` of one search."""
    module = children.start

    def start(name: str, *arguments: str, **options: Any) -> Any:
        if name == "tasks.search_worker":
            return module("ablation", ",".join(variant.changes) or "none", *arguments, **options)
        return module(name, *arguments, **options)

    empty: Callable[[Any], list[Any]] = lambda learner: []  # noqa: E731
    portfolio = ForecastLearner.portfolio if variant.portfolio else empty
    with patch.object(search.children, "start", start), patch.object(ForecastLearner, "portfolio", portfolio):
        config = SearchConfig(time_budget=f"{budget:g}s", seed=seed, **(variant.search or {}))
        study = search_models.fn(dataset, config)
    return {name: _mase(dataset, study, fit) for name, fit in fits.items()}


def _mase(dataset: Dataset, study: StudyResult, fit: FitConfig) -> float:
    opened = ForecastDataset(store.path(dataset))
    panel = Panel.open(store.path(dataset) / "sealed")
    items, ends = opened.test_windows()
    quantiles = bundle.load(store.path(fit_model.fn(dataset, study, fit))).predict(panel, items, ends)
    truth = panel.truth(torch.from_numpy(items), torch.from_numpy(ends), opened.facts.horizon).numpy()
    scale = panel.error_scale.numpy()[items]
    return metrics.score(truth, quantiles, opened.facts.quantiles, scale, items).mase


def run(budget: float, runs: int, data_sets: list[str], names: list[str]) -> None:
    """Run each variant until it has so many figures, by seeds of their own; each is written as soon as it is there."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for data_set, name in itertools.product(data_sets, names):
        told = known.setdefault(f"{budget:g}", {}).setdefault(data_set, {})
        fits = {name: FitConfig()} | ({ALONE: FitConfig(members=1)} if name == WHOLE else {})
        while (seed := len(told.setdefault(name, []))) < runs:
            with tempfile.TemporaryDirectory() as home:
                found = run_variant(VARIANTS[name], prepared(data_set, Path(home)), budget, seed, fits)
            for fit, mase in found.items():
                told.setdefault(fit, []).append(round(mase, 5))
            RESULT.write_text(json.dumps(known) + "\n")
            print(data_set, seed, found, flush=True)


def report() -> str:
    """Return a Markdown table of what was run, with every run's figure."""
    lines = []
    for budget, told in json.loads(RESULT.read_text()).items():
        names = [name for name in [*VARIANTS, ALONE] if all(name in cells for cells in told.values())]
        lines += [f"| {budget} s | {' | '.join(told)} | against whole |", "|---" * (len(told) + 2) + "|"]
        for name in names:
            ratios = [_mean(cells[name]) / _mean(cells[WHOLE]) for cells in told.values()]
            shown = " | ".join("; ".join(f"{mase:.3f}" for mase in one[name]) for one in told.values())
            lines.append(f"| {name} | {shown} | {_mean(ratios):.3f} |")
    return "\n".join(lines)


def _mean(values: list[float]) -> float:
    """Return the geometric mean."""
    return float(np.exp(np.log(values).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("act", choices=["run", "report"])
    parser.add_argument("--budget", type=float, default=90)
    parser.add_argument("--runs", type=int, default=1, help="of each variant, each with a seed of its own")
    parser.add_argument("--data-sets", nargs="+", choices=DATA_SETS, default=DATA_SETS)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    arguments = parser.parse_args()
    if arguments.act == "run":
        run(arguments.budget, arguments.runs, arguments.data_sets, arguments.variants)
    print(report())


if __name__ == "__main__":
    known = {function.__name__: function for function in (offering_all, without_thawing)}
    if sys.argv[1] == "none" or set(sys.argv[1].split(",")) <= set(known):
        for change in sys.argv[1].split(","):
            known.get(change, lambda: None)()
        from tasks import search_worker
        from tasks.assignment import Assignment

        children.die_with_parent()
        torch.set_num_threads(1)
        assignment = Assignment.model_validate_json(Path(sys.argv[2]).read_text())
        search_worker.Worker(assignment, sys.argv[3]).run()
    else:
        main()
