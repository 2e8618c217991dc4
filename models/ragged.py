"""Sequences of different lengths as one flat array and offsets, on disk memory-mapped, gathered by index into batches.

    <name>.values.npy    [S, *X]   the steps of all items, one item after the other
    <name>.offsets.npy   [N + 1]   int64, item i owns rows offsets[i] to offsets[i + 1]

Shapes: S steps over all items, N items, B items of a batch, T steps of its longest, X whatever a step holds.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import torch
from numpy.typing import DTypeLike


@dataclass(frozen=True)
class Ragged:
    """Items of ``values`` ``[S, *X]``, told apart by ``offsets`` int64 ``[N + 1]``."""

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def open(cls, directory: Path, name: str) -> Ragged:
        """Map what a ``RaggedWriter`` left under ``directory``: nothing is read until it is gathered."""
        values = np.load(directory / f"{name}.values.npy", mmap_mode="r")
        return cls(values, np.load(directory / f"{name}.offsets.npy"))

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray]) -> Ragged:
        """Join ``arrays`` (at least one; ``[T_i, *X]`` of one dtype) in memory."""
        lengths = np.array([len(one) for one in arrays], dtype=np.int64)
        return cls(np.concatenate(arrays), np.concatenate([np.zeros(1, np.int64), lengths.cumsum()]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each item: int64 ``[N]``."""
        return np.diff(self.offsets)

    def item(self, i: int) -> np.ndarray:
        """Return the steps of item ``i``: ``[T_i, *X]``."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def gather(self, items_B: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Gather items by index at once: ``[B, T, *X]``, zero past an item's end, and lengths int64 ``[B]``."""
        starts_B = self.offsets[items_B]
        lengths_B = self.offsets[np.asarray(items_B) + 1] - starts_B
        longest, total = int(lengths_B.max(initial=0)), int(lengths_B.sum())
        before_B = lengths_B.cumsum() - lengths_B
        # Where each real step stands among the steps of the batch, of the whole array, and of the padded batch.
        step_S = np.arange(total)
        source_S = step_S + np.repeat(starts_B - before_B, lengths_B)
        padded_S = step_S + np.repeat(np.arange(len(lengths_B)) * longest - before_B, lengths_B)
        flat = np.zeros((len(lengths_B) * longest, *self.values.shape[1:]), self.values.dtype)
        flat[padded_S] = self.values[source_S]
        padded = flat.reshape(len(lengths_B), longest, *self.values.shape[1:])
        return torch.from_numpy(padded), torch.from_numpy(lengths_B)


class RaggedWriter:
    """Writes a ragged array item by item; only the offsets stay in memory. Nothing can be opened before it is closed.

    A context manager: ``with RaggedWriter(directory, "word", np.int32, (18,)) as writer: writer.append(steps)``.
    """

    def __init__(self, directory: Path, name: str, dtype: DTypeLike, shape: tuple[int, ...] = ()) -> None:
        """Create the files of ``name`` under ``directory`` (made if it is not there); ``shape`` is a step's, X."""
        directory.mkdir(parents=True, exist_ok=True)
        self._offsets_path = directory / f"{name}.offsets.npy"
        self._dtype, self._shape = np.dtype(dtype), tuple(shape)
        # Eight bytes an item, where a list of numbers takes forty.
        self._offsets = array("q", [0])
        self._file: IO[bytes] = (directory / f"{name}.values.npy").open("wb")
        self._header_size = self._write_header()

    def append(self, steps: np.ndarray) -> None:
        """Add an item: ``[T_i, *X]``, cast to the writer's dtype where that loses nothing in kind."""
        assert steps.shape[1:] == self._shape, f"an item's steps must be of shape {self._shape}, got {steps.shape[1:]}"
        self._file.write(np.ascontiguousarray(steps.astype(self._dtype, casting="same_kind", copy=False)).tobytes())
        self._offsets.append(self._offsets[-1] + len(steps))

    def close(self) -> None:
        """Set the header right and write the offsets: from here on the array can be opened."""
        self._file.seek(0)
        size = self._write_header()
        assert size == self._header_size, "numpy keeps room in a header for the first axis to grow"
        self._file.close()
        np.save(self._offsets_path, np.array(self._offsets, dtype=np.int64))

    def __enter__(self) -> RaggedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._file.close()

    def _write_header(self) -> int:
        np.lib.format.write_array_header_2_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self._offsets[-1], *self._shape),
            },
        )
        return self._file.tell()
