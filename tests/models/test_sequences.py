"""Batches of whole sequences: the right rows of the right variant, also of a selection, from memory or disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.ragged import Ragged, RaggedWriter
from models.sequences import SequenceArrays

VARIANTS = 3


def arrays(items: int = 5) -> SequenceArrays:
    """Item i has i + 1 steps, variant v one of its own; every step says 10 i + v."""
    rows = [np.full((i + 1 + v, 2), 10 * i + v, np.float32) for i in range(items) for v in range(VARIANTS)]
    return SequenceArrays({"view": Ragged.of(rows)}, Ragged.of([np.array([100 + i]) for i in range(items)]), VARIANTS)


def test_without_a_generator_items_are_read_as_they_are() -> None:
    batch = arrays().batch(np.array([3, 1]), "view", None)
    assert batch.lengths_B.tolist() == [4, 2]
    assert batch.values[:, 0, 0].tolist() == [30, 10]
    assert not batch.values[1, 2:].any()
    assert batch.target.tolist() == [[103], [101]]


def test_a_generator_draws_a_variant_of_each_item() -> None:
    items_B = np.arange(5).repeat(40)
    batch = arrays().batch(items_B, "view", np.random.default_rng(0))
    drawn = batch.values[:, 0, 0].numpy() - 10 * items_B
    assert set(drawn) == {0, 1, 2}
    assert torch.equal(batch.lengths_B, torch.from_numpy(items_B + 1 + drawn.astype(np.int64)))
    assert (batch.target[:, 0].numpy() == 100 + items_B).all()


def test_a_selection_is_numbered_from_zero() -> None:
    chosen = arrays().select(np.array([4, 2, 0]))
    assert len(chosen) == 3
    assert chosen.lengths("view").tolist() == [5, 3, 1]
    assert chosen.batch(np.array([1]), "view", None).target.tolist() == [[102]]
    assert chosen.select(np.array([2, 0])).lengths("view").tolist() == [1, 5]


def test_lengths_are_those_of_the_items_as_they_are() -> None:
    assert len(arrays()) == 5
    assert arrays().lengths("view").tolist() == [1, 2, 3, 4, 5]


def test_items_without_a_target_have_an_empty_one() -> None:
    batch = SequenceArrays(arrays().inputs, None, VARIANTS).batch(np.array([1, 2]), "view", None)
    assert batch.target.shape == (2, 0)
    assert batch.target_lengths_B.tolist() == [0, 0]


@pytest.mark.parametrize("with_target", [True, False])
def test_what_was_written_is_opened_and_mapped(with_target: bool, tmp_path: Path) -> None:
    held = arrays()
    for name, ragged in {"view": held.inputs["view"], "target": held.target}.items():
        assert ragged is not None
        with RaggedWriter(tmp_path, name, ragged.values.dtype, ragged.values.shape[1:]) as writer:
            for row in range(len(ragged)):
                writer.append(ragged.item(row))
    opened = SequenceArrays.open(tmp_path, ["view"], VARIANTS, with_target)
    assert isinstance(opened.inputs["view"].values, np.memmap)
    assert (opened.target is not None) == with_target
    ours, theirs = (source.batch(np.array([4, 0]), "view", None) for source in (opened, held))
    assert torch.equal(ours.values, theirs.values)


def test_a_batch_moves_whole() -> None:
    moved = arrays().batch(np.array([0]), "view", None).to(torch.device("meta"))
    assert {tensor.device.type for tensor in vars(moved).values()} == {"meta"}


def test_most_steps_are_those_of_the_longest_variant() -> None:
    assert arrays().most_steps("view").tolist() == [3, 4, 5, 6, 7]
    assert arrays().select(np.array([4, 0])).most_steps("view").tolist() == [7, 3]
