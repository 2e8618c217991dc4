"""The ragged array: what is written item by item is read back, and gathered as each item stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.ragged import Ragged, RaggedWriter

ITEMS = [np.arange(6.0).reshape(3, 2), np.full((1, 2), 7.0), np.zeros((0, 2)), np.ones((4, 2))]


def written(directory: Path, items: list[np.ndarray], dtype: type = np.float32) -> Ragged:
    with RaggedWriter(directory, "channels", dtype, items[0].shape[1:]) as writer:
        for item in items:
            writer.append(item.astype(dtype))
    return Ragged.open(directory, "channels")


def test_items_written_one_by_one_are_read_back_from_a_map(tmp_path: Path) -> None:
    ragged = written(tmp_path / "new", ITEMS)
    assert isinstance(ragged.values, np.memmap)
    assert ragged.values.dtype == np.float32
    assert len(ragged) == 4
    assert ragged.lengths.tolist() == [3, 1, 0, 4]
    for i, item in enumerate(ITEMS):
        np.testing.assert_array_equal(ragged.item(i), item)


def test_numpy_reads_the_files_without_us(tmp_path: Path) -> None:
    written(tmp_path, ITEMS)
    assert np.load(tmp_path / "channels.values.npy").shape == (8, 2)


def test_a_gathered_batch_holds_each_item_and_zeros_after_it(tmp_path: Path) -> None:
    ragged = written(tmp_path, ITEMS)
    values_BTX, lengths_B = ragged.gather(np.array([3, 0, 1, 3]))
    assert values_BTX.shape == (4, 4, 2)
    assert lengths_B.tolist() == [4, 3, 1, 4]
    assert lengths_B.dtype == torch.int64
    for row, i in enumerate([3, 0, 1, 3]):
        torch.testing.assert_close(values_BTX[row, : lengths_B[row]].numpy(), ITEMS[i].astype(np.float32))
        assert not values_BTX[row, lengths_B[row] :].any()


@pytest.mark.parametrize("items", [[2], [2, 2]])
def test_items_without_steps_are_gathered_as_such(tmp_path: Path, items: list[int]) -> None:
    values_BTX, lengths_B = written(tmp_path, ITEMS).gather(np.array(items))
    assert values_BTX.shape == (len(items), 0, 2)
    assert lengths_B.tolist() == [0] * len(items)


def test_an_array_without_any_step_is_opened(tmp_path: Path) -> None:
    ragged = written(tmp_path, [np.zeros((0, 2)), np.zeros((0, 2))])
    assert ragged.lengths.tolist() == [0, 0]


def test_an_array_in_memory_is_gathered_like_one_on_disk(tmp_path: Path) -> None:
    items = [np.arange(5), np.arange(2), np.array([], dtype=np.int64)]
    mapped, held = written(tmp_path, items, np.int64), Ragged.of(items)
    for order in ([0, 1, 2], [1], [2, 1, 0, 0]):
        for one, other in zip(mapped.gather(np.array(order)), held.gather(np.array(order)), strict=True):
            assert one.dtype == other.dtype == torch.int64
            torch.testing.assert_close(one, other)


def test_a_batch_may_be_changed_without_changing_the_array(tmp_path: Path) -> None:
    ragged = written(tmp_path, ITEMS)
    ragged.gather(np.array([0]))[0].fill_(-1)
    np.testing.assert_array_equal(ragged.item(0), ITEMS[0])


def test_a_header_has_room_for_the_length_that_is_only_known_at_the_end(tmp_path: Path) -> None:
    with RaggedWriter(tmp_path, "target", np.int8) as writer:
        for _ in range(3):
            writer.append(np.ones(1_234_567, dtype=np.int8))
    assert Ragged.open(tmp_path, "target").values.sum(dtype=np.int64) == 3 * 1_234_567


def test_a_broken_off_array_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(AssertionError), RaggedWriter(tmp_path, "word", np.int32) as writer:
        writer.append(np.ones((3, 1), dtype=np.int32))
    with pytest.raises(FileNotFoundError):
        Ragged.open(tmp_path, "word")


def test_an_item_of_another_kind_of_number_or_shape_is_never_cast_in_silence(tmp_path: Path) -> None:
    with RaggedWriter(tmp_path, "word", np.int32, (2,)) as writer:
        with pytest.raises(TypeError):
            writer.append(np.ones((3, 2)))
        with pytest.raises(AssertionError):
            writer.append(np.ones((3, 1), dtype=np.int32))
