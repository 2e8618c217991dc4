"""What each part of the search is worth: each one off by itself, same data, same time, on data of development.

    python benchmarks/ablation.py run --budget 90
    python benchmarks/ablation.py report

Data sets are those of ``portfolio.py``, which ``forecasting.py`` compares nobody on, so that what is decided here is
decided without its test parts. Each cell is one run of search and fit with two workers; the figure is MASE on the
sealed part over that of the whole search, the geometric mean over the data sets. One run differs from another by a
percent or so. A variant that touches the workers runs them through this file, which changes them before they begin.
"""

from __future__ import annotations

import argparse
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

from models import bundle
from models.panel import Panel
from tasks import children, halving, search, store
from tasks.fit import FitConfig, fit_model
from tasks.kinds.forecast_dataset import ForecastDataset
from tasks.kinds.forecast_learner import ForecastLearner
from tasks.references import Dataset, StudyResult
from tasks.scoring import metrics
from tasks.search import SearchConfig, search_models

RESULT = Path(__file__).parent / "results" / "ablation.json"
WHOLE = "whole"


class Variant(NamedTuple):
    """What is off: by configuration, by an empty portfolio, or in the workers."""

    search: dict[str, Any] | None = None
    portfolio: bool = True
    worker: str | None = None


VARIANTS = {
    WHOLE: Variant(),
    "no portfolio": Variant(portfolio=False),
    "no halving": Variant({"pruning": False}),
    "no freeze-thaw": Variant(worker="without_thawing"),
    "no xLSTM": Variant({"space": {"core": ["stacked_lstm", "cell_lstm", "dilated_lstm"]}}),
    "stacked LSTM alone": Variant({"space": {"core": ["stacked_lstm"]}}),
    "quantiles alone": Variant({"space": {"distribution": ["quantiles"]}}),
}
ALONE = "no ensemble"


def without_thawing() -> None:
    """Let a trial that is not among the better half of its rung end there, and those that are go on at once."""

    def ends(trial: halving.Standing, trials: Any, share: float) -> bool:
        cohort = halving._cohort(trials, trial.rung)
        return trial.rung > 0 and trial not in cohort[: math.ceil(len(cohort) * share)]

    def survivor(trials: Any, rungs: int, share: float) -> halving.Standing | None:
        return next((one for one in trials if halving._waiting(one) and 0 < one.rung < rungs), None)

    halving.is_out, halving.thawed = ends, survivor
    halving.best_waiting = lambda trials, rungs: None


def run_variant(variant: Variant, dataset: Dataset, budget: float, fits: dict[str, FitConfig]) -> dict[str, float]:
    """Return MASE on the sealed part for each of ``fits`` of one search."""
    module = children.start

    def start(name: str, *arguments: str, **options: Any) -> Any:
        if name == "tasks.search_worker" and variant.worker is not None:
            return module("ablation", variant.worker, *arguments, **options)
        return module(name, *arguments, **options)

    empty: Callable[[Any], list[Any]] = lambda learner: []  # noqa: E731
    portfolio = ForecastLearner.portfolio if variant.portfolio else empty
    with patch.object(search.children, "start", start), patch.object(ForecastLearner, "portfolio", portfolio):
        study = search_models.fn(dataset, SearchConfig(time_budget=f"{budget:g}s", **(variant.search or {})))
    return {name: _mase(dataset, study, fit) for name, fit in fits.items()}


def _mase(dataset: Dataset, study: StudyResult, fit: FitConfig) -> float:
    opened = ForecastDataset(store.path(dataset))
    panel = Panel.open(store.path(dataset) / "sealed")
    items, ends = opened.test_windows()
    quantiles = bundle.load(store.path(fit_model.fn(dataset, study, fit))).predict(panel, items, ends)
    truth = panel.truth(torch.from_numpy(items), torch.from_numpy(ends), opened.facts.horizon).numpy()
    scale = panel.error_scale.numpy()[items]
    return metrics.score(truth, quantiles, opened.facts.quantiles, scale, items).mase


def run(budget: float, names: list[str]) -> None:
    """Run what has no figure yet; each is written as soon as it is there."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for data_set in DATA_SETS:
        for name in names:
            told = known.setdefault(f"{budget:g}", {}).setdefault(data_set, {})
            if name in told:
                continue
            fits = {name: FitConfig()} | ({ALONE: FitConfig(members=1)} if name == WHOLE else {})
            with tempfile.TemporaryDirectory() as home:
                told |= run_variant(VARIANTS[name], prepared(data_set, Path(home)), budget, fits)
            RESULT.write_text(json.dumps(known, indent=1) + "\n")
            print(data_set, name, told, flush=True)


def report() -> str:
    """Return a Markdown table of what was run."""
    lines = []
    for budget, told in json.loads(RESULT.read_text()).items():
        names = [name for name in [*VARIANTS, ALONE] if all(name in cells for cells in told.values())]
        lines += [f"| {budget} s | {' | '.join(told)} | against whole |", "|---" * (len(told) + 2) + "|"]
        for name in names:
            ratios = [cells[name] / cells[WHOLE] for cells in told.values()]
            cells = " | ".join(f"{one[name]:.3f}" for one in told.values())
            lines.append(f"| {name} | {cells} | {float(np.exp(np.log(ratios).mean())):.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("act", choices=["run", "report"])
    parser.add_argument("--budget", type=float, default=90)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    arguments = parser.parse_args()
    if arguments.act == "run":
        run(arguments.budget, arguments.variants)
    print(report())


if __name__ == "__main__":
    if sys.argv[1] == without_thawing.__name__:
        without_thawing()
        from tasks import search_worker

        children.die_with_parent()
        torch.set_num_threads(1)
        assignment = search_worker.Assignment.model_validate_json(Path(sys.argv[2]).read_text())
        search_worker.Worker(assignment, sys.argv[3]).run()
    else:
        main()
