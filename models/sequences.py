"""Whole sequences with their targets, gathered into batches.

Shapes: N items, B items of a batch, T steps of its longest, X what a step of a view holds, U of a target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from models.ragged import Ragged


@dataclass(frozen=True)
class Batch:
    """Padded inputs ``[B, T, *X]`` and targets ``[B, U]`` (``[B, U, *Y]``), zero past their lengths int64 ``[B]``."""

    values: torch.Tensor
    lengths_B: torch.Tensor
    target: torch.Tensor
    target_lengths_B: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on ``device``."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))


@dataclass(frozen=True)
class SequenceArrays:
    """Items in each prepared view, and what is to be predicted of each.

    Args:
        inputs: by view; variant v of item i is row ``i * variants + v``, variant 0 the item as it is.
        target: one row an item; none where it is not known.
        variants: rows of an item.
        items: rows of ``target`` that the items are, where they are a selection.
    """

    inputs: dict[str, Ragged]
    target: Ragged | None
    variants: int = 1
    items: np.ndarray | None = None

    @classmethod
    def open(cls, directory: Path, views: Sequence[str], variants: int = 1, with_target: bool = True) -> SequenceArrays:
        """Map what ``RaggedWriter`` left under ``directory``: a ragged array for each view, and ``target``."""
        inputs = {view: Ragged.open(directory, view) for view in views}
        return cls(inputs, Ragged.open(directory, "target") if with_target else None, variants)

    def __len__(self) -> int:
        if self.items is not None:
            return len(self.items)
        return len(next(iter(self.inputs.values()))) // self.variants

    def select(self, items: np.ndarray) -> SequenceArrays:
        """Return these ``items`` alone, in this order, numbered from 0; nothing is copied."""
        return replace(self, items=np.asarray(items) if self.items is None else self.items[items])

    def lengths(self, view: str) -> np.ndarray:
        """Return the steps of each item as it is: int64 ``[N]``."""
        lengths = self.inputs[view].lengths[:: self.variants]
        return lengths if self.items is None else lengths[self.items]

    def most_steps(self, view: str) -> np.ndarray:
        """Return the steps of each item's longest variant: int64 ``[N]``."""
        most = self.inputs[view].lengths.reshape(-1, self.variants).max(axis=1)
        return most if self.items is None else most[self.items]

    def batch(self, items_B: np.ndarray, view: str, variants: np.random.Generator | None) -> Batch:
        """Gather items.

        Args:
            items_B: int64, numbers of the items.
            view: the form in which they are read.
            variants: draws a variant of each; none: the items as they are.

        Returns:
            Inputs and targets; without a known target that is of length 0.
        """
        rows_B = np.asarray(items_B) if self.items is None else self.items[items_B]
        drawn_B = 0 if variants is None else variants.integers(self.variants, size=len(rows_B))
        values, lengths_B = self.inputs[view].gather(rows_B * self.variants + drawn_B)
        if self.target is None:
            return Batch(values, lengths_B, torch.zeros(len(rows_B), 0), torch.zeros_like(lengths_B))
        return Batch(values, lengths_B, *self.target.gather(rows_B))
