"""Carousel beside the libraries that one could pick instead: same data, split, metric code, cores and wall-clock.

    sh benchmarks/peers/install.sh
    python benchmarks/forecasting.py --systems carousel autolstm deepar_tft autogluon_best autoets autotheta \\
        seasonal_naive --data DIR --budget 600 m3 tourism bike_sharing vic_electricity etth1
    python benchmarks/forecasting.py --report

DIR holds ``skforecast/{bike_sharing,vic_electricity}.csv`` and ``ett/ETTh1.csv``; m3 and tourism come from a package.
Every system is a process: it trains once on what lies before the test part, and forecasts each sealed window from what
lies before that. MASE, WQL and the rest are Carousel's own metric code on everybody's quantiles. "Used" is what a
system took of the budget (Carousel: the stages search and fit), so more than asked is an overrun; forecasting the
windows is not in it. ``results/forecasting.json`` keeps the newest result of each data set, system and budget.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from forecast_data import DATA_SETS, Contest, prepare
from peers import process

from tasks.scoring.metrics import score

RESULT = Path(__file__).parent / "results" / "forecasting.json"
ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
MOST_OVERRUN, FORECASTING_SECONDS = 5, 1800
"""A system that takes this many budgets, and so long for starting and forecasting, is stopped."""
KEY = ("data_set", "system", "budget_seconds", "items", "stride")


class System(NamedTuple):
    """A program of ``peers/``, and the virtual environment that it runs in; none: this one."""

    program: str
    argument: str | None = None
    environment: str | None = None


SYSTEMS = {
    "carousel": System("carousel_pipeline.py"),
    "autolstm": System("auto_lstm.py", environment="neuralforecast"),
    "deepar_tft": System("autogluon_models.py", "deepar_tft", "autogluon"),
    "autogluon_best": System("autogluon_models.py", "best_quality", "autogluon"),
    "autoets": System("statistical.py", "autoets"),
    "autotheta": System("statistical.py", "autotheta"),
    "seasonal_naive": System("statistical.py", "seasonal_naive"),
}


def measure(name: str, contest: Contest, budget: float, venvs: Path, work: Path, log: Path) -> dict[str, Any]:
    """Let a system forecast the windows of ``contest``; return its scores, time and memory.

    A system that fails, or does not end, has ``failed`` instead of scores.
    """
    system = SYSTEMS[name]
    asked = {**contest.request, "budget": budget, "threads": len(os.sched_getaffinity(0)), "seed": 0}
    (work / "request.json").write_text(json.dumps(asked))
    python = sys.executable if system.environment is None else str(venvs / system.environment / "bin" / "python")
    command = [python, str(PEERS / system.program), str(work / "request.json"), str(work)]
    command += [] if system.argument is None else [system.argument]
    variables = {"PYTHONPATH": str(ROOT)} if system.environment is None else {}
    used = process.run(command, log, MOST_OVERRUN * budget + FORECASTING_SECONDS, variables)
    measured = {"wall_seconds": round(used.seconds, 1), "peak_mb": round(used.peak_mb)}
    if used.returncode != 0:
        return {**measured, "failed": "stopped" if used.returncode is None else f"exit status {used.returncode}"}
    facts = json.loads((work / "facts.json").read_text())
    quantiles_WFQ = np.load(work / "quantiles.npy")
    seconds = {key: round(facts.pop(key), 1) for key in ("fit_seconds", "predict_seconds")}
    scored: dict[str, Any] = {"metrics": _scores(contest, quantiles_WFQ)}
    if contest.standard_steps is not None:
        scored["standardised"] = _standardised(contest, quantiles_WFQ)
    return {**scored, **seconds, **measured, "facts": facts}


def _scores(contest: Contest, quantiles_WFQ: np.ndarray) -> dict[str, float]:
    """Score the data set's own windows as the stage ``evaluate`` does."""
    own = contest.tabled_W
    truth_WF, items_W = _truth(contest)[own], contest.items_W[own]
    scale_W, levels = contest.panel.error_scale.numpy()[items_W], contest.dataset.facts.quantiles
    scores = score(truth_WF, quantiles_WFQ[own], levels, scale_W, items_W)
    return {metric: round(value, 5) for metric, value in asdict(scores).items()}


def _standardised(contest: Contest, quantiles_WFQ: np.ndarray) -> dict[str, float]:
    """Return errors over all windows as the literature has them: of values standardised by the first months."""
    levels = contest.dataset.facts.quantiles
    firsts = [contest.panel.history(item, contest.standard_steps or 0) for item in range(contest.panel.items)]
    std_W = np.array([first.std() for first in firsts])[contest.items_W]
    found: dict[str, float] = {"windows": len(contest.items_W)}
    points = {"mean": quantiles_WFQ.mean(axis=2), "median": quantiles_WFQ[:, :, levels.index(0.5)]}
    for name, point_WF in points.items():
        error_WF = (point_WF - _truth(contest)) / std_W[:, None]
        found[f"mse_of_{name}"] = round(float((error_WF**2).mean()), 5)
        found[f"mae_of_{name}"] = round(float(np.abs(error_WF).mean()), 5)
    return found


def _truth(contest: Contest) -> np.ndarray:
    items_W, ends_W = torch.from_numpy(contest.items_W), torch.from_numpy(contest.ends_W)
    return contest.panel.truth(items_W, ends_W, contest.dataset.facts.horizon).numpy()


def record(entry: dict[str, Any], results: Path) -> None:
    """Write ``entry`` to the results in the place of one of the same ``KEY``."""
    written = json.loads(results.read_text()) if results.exists() else []
    kept = [one for one in written if any(one[key] != entry[key] for key in KEY)]
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps([*kept, entry], indent=2) + "\n")


def report(entries: list[dict[str, Any]]) -> str:
    """Return the entries as a Markdown table, the data sets in their order and the best MASE of each first."""
    lines = [
        "| data set | system | MASE | WQL | sMAPE | coverage 80 % | MSE, standardised | used / asked | peak |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    places = list(DATA_SETS)
    for one in sorted(entries, key=lambda one: (places.index(one["data_set"]), one["budget_seconds"], _mase(one))):
        lines.append(f"| {' | '.join(_row(one))} |")
    return "\n".join(lines)


def _mase(entry: dict[str, Any]) -> float:
    return entry["metrics"]["mase"] if "metrics" in entry else float("inf")


def _row(entry: dict[str, Any]) -> list[str]:
    subset = "" if entry["items"] is None else f", {entry['items']} series"
    left = entry.get("facts", {}).get("windows_not_reached", 0)
    stand_in = f" (seasonal naive for {left:,} windows)" if left else ""
    head, peak = [entry["data_set"] + subset, entry["system"] + stand_in], f"{entry['peak_mb'] / 1000:.1f} GB"
    if "failed" in entry:
        return [*head, entry["failed"], "", "", "", "", f"{entry['wall_seconds']:.0f} s", peak]
    metrics, standard = entry["metrics"], entry.get("standardised")
    mse = "" if standard is None else f"{standard['mse_of_mean']:.3f} ({standard['windows']:,} windows)"
    numbers = [f"{metrics['mase']:.3f}", f"{metrics['wql']:.4f}", f"{metrics['smape']:.2f}"]
    seconds = f"{entry['fit_seconds']:.0f} / {entry['budget_seconds']:g} s"
    return [*head, *numbers, f"{metrics['coverage_80']:.2f}", mse, seconds, peak]


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every system on every data set; each result is written as soon as it is there."""
    entries = []
    data = Path() if arguments.data is None else arguments.data.resolve()
    for data_set in arguments.data_sets:
        with tempfile.TemporaryDirectory() as folder:
            contest = prepare(data_set, data, arguments.items, arguments.stride, Path(folder))
            for system in arguments.systems:
                entry = _entry(system, contest, arguments)
                record(entry, arguments.results)
                print(f"| {' | '.join(_row(entry))} |", flush=True)
                entries.append(entry)
    return entries


def _entry(system: str, contest: Contest, arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as work:
        venvs = arguments.venvs.resolve()
        measured = measure(system, contest, arguments.budget, venvs, Path(work), arguments.log)
    key = (contest.name, system, arguments.budget, arguments.items, arguments.stride)
    return {
        **dict(zip(KEY, key, strict=True)),
        "date": datetime.date.today().isoformat(),
        "cpus": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "windows": int(contest.tabled_W.sum()),
        **measured,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_sets", nargs="*", metavar="DATA_SET", help=f"of {', '.join(DATA_SETS)}")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--data", type=Path, help="the folder of the data sets; m3 and tourism need none")
    parser.add_argument("--budget", type=float, default=600, help="seconds that a system may train for")
    parser.add_argument("--items", type=int, help="so many series of a data set only; none: all of them")
    parser.add_argument("--stride", type=int, help="steps between windows of standardised errors; none: the table's")
    parser.add_argument("--venvs", type=Path, default=ROOT / ".peers", help="where install.sh has put the peers")
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="what the systems print is added to this")
    parser.add_argument("--results", type=Path, default=RESULT)
    parser.add_argument("--report", action="store_true", help="print the results that are there, and measure nothing")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if unknown := set(arguments.data_sets) - set(DATA_SETS):
        parser.error(f"no data set {', '.join(sorted(unknown))}: choose of {', '.join(DATA_SETS)}")
    if arguments.data is None and set(arguments.data_sets) - {"m3", "tourism"}:
        parser.error("this data set needs --data")
    entries = json.loads(arguments.results.read_text()) if arguments.report else run(arguments)
    print(report(entries))


if __name__ == "__main__":
    main()
