"""What each part of the search is worth: each one off by itself, same data, same time, on data of development.

    python benchmarks/ablation.py run --budget 90
    python benchmarks/ablation.py report

Data sets are those of ``portfolio.py``, which ``forecasting.py`` compares nobody on, so that what is decided here is
decided without its test parts. Each cell is one run of search and fit with two workers; the figure is MASE on the
sealed part over that of the whole search, the geometric mean over the data sets. One run differs from another by a
percent or so, on the weather's 84 windows by several. The whole search tries all cores and distributions that there
are, "default" those of a search that names none. Each run has a process of its own, and its workers are those of
``ablated_worker.py``, so that what is off is off in all of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ablated_worker import ABLATED, change_this_process
from portfolio import DATA_SETS, prepared

from models import bundle
from models.panel import Panel
from tasks import store
from tasks.engines.local import LocalEngine
from tasks.engines.registry import ENGINES
from tasks.fit import FitConfig, fit_model
from tasks.kinds.forecast_dataset import ForecastDataset
from tasks.references import Dataset, StudyResult
from tasks.scoring import metrics
from tasks.search import search_models
from tasks.search_config import SearchConfig

RESULT = Path(__file__).parent / "results" / "ablation.json"
WHOLE = "whole"


class Variant(NamedTuple):
    """What is off: by configuration, or by changes, the names of functions of ``ablated_worker``."""

    search: dict[str, Any] | None = None
    changes: tuple[str, ...] = ("offering_all",)


VARIANTS = {
    WHOLE: Variant(),
    "no portfolio": Variant(changes=("offering_all", "without_portfolio")),
    "no halving": Variant({"pruning": False}),
    "no freeze-thaw": Variant(changes=("offering_all", "without_thawing")),
    "no xLSTM": Variant({"space": {"core": ["stacked_lstm", "cell_lstm", "dilated_lstm"]}}),
    "no cell LSTM": Variant({"space": {"core": ["stacked_lstm", "dilated_lstm", "xlstm"]}}),
    "stacked LSTM alone": Variant({"space": {"core": ["stacked_lstm"]}}),
    "quantiles alone": Variant({"space": {"distribution": ["quantiles"]}}),
    "default": Variant(changes=()),
    "default without Theta": Variant({"space": {"theta": [False]}}, changes=()),
    "default without damped trend": Variant({"space": {"damped": [False]}}, changes=()),
}
ALONE = "no ensemble"


class AblatedEngine(LocalEngine):
    """The local engine with other workers."""

    module = "ablated_worker"


def run_variant(data_set: str, name: str, budget: float, seed: int) -> dict[str, float]:
    """Return MASE on the sealed part by ``fit``, and for the whole search without an ensemble, too."""
    change_this_process()
    ENGINES["local"] = lambda assignment, work, count: AblatedEngine(assignment, work)
    fits = {name: FitConfig()} | ({ALONE: FitConfig(members=1)} if name == WHOLE else {})
    with tempfile.TemporaryDirectory() as home:
        dataset = prepared(data_set, Path(home))
        config = SearchConfig(time_budget=f"{budget:g}s", seed=seed, **(VARIANTS[name].search or {}))
        study = search_models.fn(dataset, config)
        return {fitted: _mase(dataset, study, fit) for fitted, fit in fits.items()}


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
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    here = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    for data_set, name in itertools.product(data_sets, names):
        told = known.setdefault(f"{budget:g}", {}).setdefault(data_set, {})
        while (seed := len(told.setdefault(name, []))) < runs:
            command = [sys.executable, __file__, "one", data_set, name, f"{budget:g}", str(seed)]
            env = os.environ | here | {ABLATED: " ".join(VARIANTS[name].changes)}
            printed = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
            for fit, mase in (found := json.loads(printed.splitlines()[-1])).items():
                told.setdefault(fit, []).append(round(mase, 5))
            RESULT.write_text(json.dumps(known) + "\n")
            print(data_set, seed, found, flush=True)


def report() -> str:
    """Return a Markdown table of what was run, with every run's figure; ratios are to the first line's."""
    lines = []
    for budget, told in json.loads(RESULT.read_text()).items():
        names = [name for name in [*VARIANTS, ALONE] if all(cells.get(name) for cells in told.values())]
        if not names:
            continue
        lines += [f"| {budget} s | {' | '.join(told)} | against {names[0]} |", "|---" * (len(told) + 2) + "|"]
        for name in names:
            ratios = [_mean(cells[name]) / _mean(cells[names[0]]) for cells in told.values()]
            shown = " | ".join("; ".join(f"{mase:.3f}" for mase in one[name]) for one in told.values())
            lines.append(f"| {name} | {shown} | {_mean(ratios):.3f} |")
    return "\n".join(lines)


def _mean(values: list[float]) -> float:
    """Return the geometric mean."""
    return float(np.exp(np.log(values).mean()))


def main() -> None:
    if sys.argv[1:2] == ["one"]:
        data_set, name, budget, seed = sys.argv[2:]
        print(json.dumps(run_variant(data_set, name, float(budget), int(seed))))
        return
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
    main()
