"""A prepared data set of whole sequences on disk, and which of its items are for what. Written by ``prepare``:

dataset.json        facts, split, sizes and findings
train/              all items before the sealed part, with N items and V variants of each:
    <view>.*        each item in each prepared form, a ragged array of N x V rows
    target.*        what is to be learned of each, a ragged array of N rows
    items.parquet   item_id, source, text or tokens, target, and the other columns of the source, in the same order
validation.npy      int64, numbers of the items of ``train/`` that trials are compared on
trained.npy         uint64, rising, who the items of ``train/`` and their groups are: it goes with every model of them
sealed/             the test part, likewise, one variant an item: only ``evaluate`` opens it
    keys.npy        uint64 [N, 1 or 2], who each item and, if the split is by groups, its group is
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from models.sequence_model import SequenceFacts
from models.sequences import SequenceArrays
from tasks.kinds.sequence_keys import Keys

ITEMS, KEYS = "items.parquet", "keys.npy"
Part = Literal["train", "sealed"]


class SequenceDataset:
    """What lies in a prepared data set; opening it reads no values."""

    def __init__(self, directory: Path) -> None:
        described = json.loads((directory / "dataset.json").read_text())
        self.directory = directory
        self.facts = SequenceFacts.model_validate(described["facts"])
        self.sizes: dict[str, int] = described["sizes"]
        self.validation_items = np.load(directory / "validation.npy")

    @property
    def train_items(self) -> np.ndarray:
        """Numbers of the items that trials train on: int64, rising."""
        return np.setdiff1d(np.arange(self.learned_from), self.validation_items)

    @property
    def learned_from(self) -> int:
        """How many items a model is learned from: all but the sealed ones."""
        return self.sizes["train"] + self.sizes["validation"]

    def arrays(self, part: Part) -> SequenceArrays:
        """Map the items of ``part`` in each view, with their targets."""
        variants = self.facts.input.variants if part == "train" else 1
        return SequenceArrays.open(self.directory / part, self.facts.input.views, variants)

    def frame(self, part: Part, columns: list[str] | None = None) -> pl.DataFrame:
        """Read ``columns`` (none: all) of ``items.parquet`` of ``part``: a row for each item of ``arrays``."""
        return pl.read_parquet(self.directory / part / ITEMS, columns=columns)

    @property
    def sealed_keys(self) -> Keys:
        """Who the sealed items are: uint64 [N, 1 or 2], as ``sequence_keys.unseen`` takes them."""
        return np.load(self.directory / "sealed" / KEYS)
