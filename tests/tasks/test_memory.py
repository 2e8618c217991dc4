"""Memory of ingest, prepare and a trial is that of a bucket of items, however many rows there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from memory import anonymous_peak

STEPS = 500
PROGRAM = """
import sys
import optuna, torch
from models.problem import Forecast
from tasks import store
from tasks.data import buckets
from tasks.ingest import SeriesData, ingest_table
from tasks.kinds.kind import LearnerOptions
from tasks.kinds.registry import kind
from tasks.prepare import SplitConfig, prepare_dataset

torch.set_num_threads(1)
buckets.CELLS, buckets.OPEN_CELLS = 200_000, 400_000
data = SeriesData(source=sys.argv[1], item_id="k", timestamp="t", target="y", known_covariates="x")
dataset = prepare_dataset.fn(ingest_table.fn(data), Forecast(horizon=24), SplitConfig())
learner = kind("forecast").learner(store.path(dataset), LearnerOptions(10, "mase"))
training = learner.begin(learner.suggest(optuna.trial.FixedTrial(learner.portfolio()[0])), 0)
training.advance()
"""


def write_shards(folder: Path, rows: int) -> Path:
    """Write hourly items in four shards, each a stretch of time of all items."""
    rng, items = np.random.default_rng(0), rows // STEPS
    folder.mkdir()
    for shard, span in enumerate(np.array_split(np.arange(STEPS), 4)):
        item = np.repeat(np.arange(items), len(span))
        hours = np.datetime64("2024-01-01", "us") + np.tile(span, items).astype("timedelta64[h]")
        values = {"y": rng.normal(size=len(item)), "x": rng.normal(size=len(item))}
        frame = pl.DataFrame({"k": item, "t": hours, **values}).with_columns(pl.col("k").cast(pl.String))
        frame.write_parquet(folder / f"shard-{shard}.parquet")
    return folder


def test_anonymous_memory_does_not_grow_with_rows(tmp_path: Path) -> None:
    peaks = {
        rows: anonymous_peak(PROGRAM, write_shards(tmp_path / f"{rows}", rows), home=tmp_path / f"home-{rows}")
        for rows in (200_000, 3_000_000)
    }
    grown = peaks[3_000_000] - peaks[200_000]
    print({rows: round(p / 1e6) for rows, p in peaks.items()})
    assert grown < 60e6, "the table alone is 96 megabytes"
