"""What memory holds is a bucket of items, a part of the table or a batch, however many rows there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ingested import Ingested
from memory import anonymous_peak
from pyarrow.parquet import ParquetFile

from tasks.data import buckets
from tasks.data.contract import Ledger
from tasks.data.sources import open_source
from tasks.data.survey import survey
from tasks.ingest import SeriesData

STEPS = 500
LEARN = """
import json, sys
import optuna, torch
from models.problem import Forecast
from tasks import store
from tasks.kinds.kind import LearnerOptions
from tasks.kinds.registry import kind
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.references import Table

torch.set_num_threads(1)
table = Table.from_json(json.loads(sys.argv[1]))
dataset = prepare_dataset.fn(table, Forecast(horizon=24), SplitConfig())
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


@pytest.fixture
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "CELLS", 200_000)


@pytest.mark.usefixtures("small_buckets")
def test_prepare_and_a_trial_take_no_more_memory_of_their_own_for_more_rows(
    tmp_path: Path, home: Path, ingest: Callable[..., Ingested]
) -> None:
    peaks = []
    for rows in (200_000, 3_000_000):
        table = ingest(write_shards(tmp_path / f"{rows}", rows), item_id="k", known_covariates="x").table
        peaks.append(anonymous_peak(LEARN, json.dumps(table.to_json()), home=home))
    assert peaks[1] - peaks[0] < 48e6, "half of what the larger table takes"


@pytest.mark.usefixtures("small_buckets")
def test_many_buckets_hold_back_no_more_rows_than_few_while_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "OPEN_CELLS", 400_000)
    config = SeriesData(source=str(write_shards(tmp_path / "shards", 500_000)), target="y", timestamp="t", item_id="k")
    ledger, source = Ledger(), open_source(config.source, None, tmp_path)
    layout = survey(source, config, ledger)
    items = buckets.list_items(layout, ledger)
    read = buckets.read_buckets(layout, items, tmp_path / "buckets")
    files = [ParquetFile(path).metadata for path in (tmp_path / "buckets").rglob("*.parquet")]
    groups = [one.row_group(i).num_rows for one in files for i in range(one.num_row_groups)]
    assert items.count * max(groups) * (2 + 1) <= buckets.OPEN_CELLS
    assert sum(len(rows) for rows in read) == 500_000
