"""How soon a search is as good as DeepAR and TFT are in the end: by the same error of the same validation windows.

    python benchmarks/time_to_peers.py --data DIR m3 tourism bike_sharing vic_electricity etth1

AutoGluon validates on the last horizon before the test part, by MASE; so does Carousel with one validation window. The
clock starts when the stage ``search`` is called, so it has the start of the worker processes in it; what the peers
took, and what they came to, is read from ``results/forecasting.json``. The search's curve is that of its best trial;
with ``--ensembles`` stands beside it what search and fit together come to in a tenth of each peer's time.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
from forecast_data import DATA_SETS, home, prepare

from tasks.references import Dataset

RESULTS = Path(__file__).parent / "results"


@contextmanager
def validated_as_peers_do(data_set: str, data: Path) -> Iterator[Dataset]:
    """Yield the prepared data set, in a home of its own, with the one validation window that AutoGluon has."""
    from carousel.experiment import load
    from tasks.ingest import ingest_table
    from tasks.prepare import prepare_dataset

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        prepare(data_set, data, None, None, work)
        with home(work / "second"):
            sections = load(work / "experiment.yaml")
            split = sections["split"].model_copy(update={"validation_windows": 1})
            yield prepare_dataset.fn(ingest_table.fn(sections["data"]), sections["problem"], split)


def curve(data_set: str, data: Path, seconds: float) -> list[tuple[float, float]]:
    """Return when each better validation MASE was known: seconds since the search began, and the value."""
    from tasks.environment import environment
    from tasks.search import search_models
    from tasks.search_config import SearchConfig

    with validated_as_peers_do(data_set, data) as dataset:
        found: list[tuple[float, float]] = []
        over = threading.Event()
        watching = threading.Thread(target=_watch, args=(environment().studies_uri, found, over))
        watching.start()
        search_models.fn(dataset, SearchConfig(time_budget=f"{seconds:g}s"))
        over.set()
        watching.join()
    return found


def ensemble(data_set: str, data: Path, seconds: float) -> tuple[float, float]:
    """Return the validation MASE of what search and fit give that are asked to take ``seconds``, and what they took."""
    from tasks import store
    from tasks.fit import FitConfig, fit_model
    from tasks.search import search_models
    from tasks.search_config import SearchConfig

    with validated_as_peers_do(data_set, data) as dataset:
        began = time.monotonic()
        study = search_models.fn(dataset, SearchConfig(time_budget=f"{seconds:g}s"))
        model = fit_model.fn(dataset, study, FitConfig())
        return store.manifest(model)["facts"]["value"], round(time.monotonic() - began, 1)


def _watch(uri: str, found: list[tuple[float, float]], over: threading.Event) -> None:
    began, best, path = time.monotonic(), float("inf"), uri.removeprefix("sqlite:///")
    while not over.wait(0.2):
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                ((value,),) = database.execute("SELECT MIN(intermediate_value) FROM trial_intermediate_values")
        except sqlite3.OperationalError:
            continue  # The search has not made it yet.
        if value is not None and value < best:
            best = value
            found.append((round(time.monotonic() - began, 1), best))


def peers(data_set: str) -> dict[str, tuple[float, float]]:
    """Return what each model of AutoGluon came to, and the seconds that it took."""
    entries = json.loads((RESULTS / "forecasting.json").read_text())
    (entry,) = (one for one in entries if one["data_set"] == data_set and one["system"] == "deepar_tft")
    told = {}
    for model in entry["facts"]["models"]:
        alone = model["fit_seconds"] + model["validation_seconds"]
        together = model["model"] == "WeightedEnsemble"
        told[model["model"]] = (model["validation_mase"], entry["fit_seconds"] if together else alone)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_sets", nargs="+", metavar="DATA_SET", help=f"of {', '.join(DATA_SETS)}")
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--ensembles", action="store_true")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    result = RESULTS / "time_to_peers.json"
    told: dict[str, Any] = json.loads(result.read_text()) if result.exists() else {}
    print("| data set | peer | its validation MASE | it took | best trial there after | ensemble in a tenth |")
    print("|---|---|---|---|---|---|")
    for data_set in arguments.data_sets:
        found = curve(data_set, arguments.data.resolve(), arguments.seconds)
        told[data_set] = {"curve": found}
        for peer, (value, took) in peers(data_set).items():
            when = next((seconds for seconds, best in found if best <= value), None)
            told[data_set][peer] = {"value": value, "seconds": took, "carousel": when}
            there, said = "not" if when is None else f"{when} s, {when / took:.3f}", ""
            if arguments.ensembles:
                ours, seconds = ensemble(data_set, arguments.data.resolve(), took / 10)
                told[data_set][peer] |= {"ensemble": ours, "ensemble_seconds": seconds}
                said = f"{ours:.3f} in {seconds} s"
            print(f"| {data_set} | {peer} | {value:.3f} | {took:.0f} s | {there} | {said} |", flush=True)
    result.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
