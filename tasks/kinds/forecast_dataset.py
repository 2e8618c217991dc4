"""A prepared forecast data set on disk, and which of its windows are for what.

Each target of each item is a series of its own. Written by ``prepare``, with S steps and N series:

    dataset.json        facts, split and findings
    series.parquet      item_id, target, start, steps, train_end: one row a series, in the panel's order
    train/              panel without the test part
    sealed/             panel with it: only ``evaluate`` opens it
    train_end.npy       [N] int64, first step of the test part

::

    |------------------ train ------------------|-- validation --|---- test, sealed ----|
                                                train_end - v     train_end              end
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.forecaster_facts import Facts


class Split(BaseModel):
    """Rolling origins counted back from the newest step of each series."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon: int
    stride: int
    test_windows: int
    validation_windows: int

    @property
    def test_span(self) -> int:
        """Steps of the sealed part."""
        return self.horizon + (self.test_windows - 1) * self.stride

    @property
    def validation_span(self) -> int:
        """Steps before the sealed part that only validation windows predict."""
        return self.horizon + (self.validation_windows - 1) * self.stride


class ForecastDataset:
    """What lies beside the panels of a prepared data set; opening it reads no values."""

    def __init__(self, directory: Path) -> None:
        described = json.loads((directory / "dataset.json").read_text())
        self.directory = directory
        self.facts = Facts.model_validate(described["facts"])
        self.split = Split.model_validate(described["split"])
        self.train_end = np.load(directory / "train_end.npy")

    def test_windows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return items and ends of the sealed windows: int64 ``[W]`` each, one item's windows side by side."""
        return self._windows(self.train_end, self.split.test_windows)

    def validation_windows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return items and ends of the windows that trials are compared on, likewise."""
        return self._windows(self.train_end - self.split.validation_span, self.split.validation_windows)

    def training_stops(self, with_validation: bool) -> np.ndarray:
        """Return the step of each series before which training may look: int64 ``[N]``."""
        return self.train_end if with_validation else self.train_end - self.split.validation_span

    def _windows(self, first_N: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        usable = np.flatnonzero(first_N >= 1)
        ends = first_N[usable][:, None] + np.arange(count) * self.split.stride
        return np.repeat(usable, count), ends.reshape(-1)
