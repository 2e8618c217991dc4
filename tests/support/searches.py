"""A prepared data set of the tiny panel, and workers of a search on it in this process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import optuna
import torch
from tiny import write_panel

from models.problem import Forecast
from tasks import store
from tasks.assignment import Assignment
from tasks.ingest import SeriesData, ingest_table
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.references import Dataset
from tasks.search import _open_study
from tasks.search_config import SearchConfig
from tasks.search_worker import Worker


def prepared(directory: Path, items: int = 12, steps: int = 80, split: SplitConfig | None = None) -> Dataset:
    """Ingest and prepare the tiny panel."""
    write_panel(directory / "panel.parquet", items, steps)
    data = SeriesData(source=str(directory / "panel.parquet"), item_id="item", timestamp="step", target="value")
    return prepare_dataset.fn(ingest_table.fn(data), Forecast(horizon=4, season_length=4), split or SplitConfig())


def opened(dataset: Dataset, search: SearchConfig, name: str = "study") -> optuna.Study:
    """Open the study of ``search`` as the stage does."""
    return _open_study(name, store.path(dataset), "forecast", "mase", search, None)


def worker(dataset: Dataset, search: SearchConfig, work: Path, name: str = "study", **changes: Any) -> Worker:
    """Return a worker of a study that was opened under ``name``, with its files in ``work``."""
    work.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    told: dict[str, Any] = {
        "kind": "forecast",
        "metric": "mase",
        "study_name": name,
        "dataset": dataset,
        "work": work,
        "began": time.time(),
        "deadline": time.time() + 300,
        "search": search,
    }
    return Worker(Assignment(**told | changes), "0")
