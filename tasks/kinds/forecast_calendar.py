"""The calendar of a panel: a row for each distinct stamp that its series touch, and where each series begins in it.

Series whose stamps lie on one grid share its rows, so the calendar is no longer than time itself; series that each have
a grid of their own, such as hours that begin at any second, share none, and it is as long as they are together. So it
is written a stretch at a time into whatever holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from models.calendar import Frequency, feature_names, features, wall_clock

CHUNK = 1 << 18
"""Stamps that are worked out at a time."""

Empty = Callable[[tuple[int, int]], np.ndarray]
"""Gives an array of a shape, to be written into."""


def in_memory(shape: tuple[int, int]) -> np.ndarray:
    """Return an array in memory."""
    return np.empty(shape, np.float32)


def on_disk(path: Path) -> Empty:
    """Return what maps a new .npy file at ``path``."""
    return lambda shape: np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)


def lay_calendar(
    series: pl.DataFrame,
    steps: np.ndarray,
    horizon: int,
    frequency: Frequency,
    time_zone: str | None,
    empty: Empty = in_memory,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the calendar ``[D, A]`` of all stamps and each series' first row in it, int64 ``[N]``."""
    starts, names = series["start"].to_numpy(), feature_names(frequency)
    if not names:
        # Without calendar columns a row says nothing: one shared stretch serves every series.
        return np.zeros((int(steps.max()) + horizon, 0), np.float32), np.zeros(len(starts), np.int64)
    distinct, which = np.unique(starts, return_inverse=True)
    longest = np.zeros(len(distinct), np.int64)
    np.maximum.at(longest, which, steps)
    rows, stretches = _stretches(distinct, longest + horizon, frequency)
    calendar, at = empty((sum(length for _, length in stretches), len(names))), 0
    for first, length in stretches:
        for begin in range(0, length, CHUNK):
            stamps = frequency.grid(first, min(CHUNK, length - begin), begin)
            wall = wall_clock(stamps, time_zone if frequency.subdaily else None)
            calendar[at : at + len(stamps)] = features(wall, frequency)
            at += len(stamps)
    return calendar, rows[which]


def _stretches(
    starts: np.ndarray, lengths: np.ndarray, frequency: Frequency
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return the row of each of the sorted ``starts``, and the first stamp and the length of each grid."""
    phases = np.array([frequency.phase(int(start)) for start in starts])
    order = np.argsort(phases, kind="stable")
    rows, stretches, used = np.zeros(len(starts), np.int64), [], 0
    for members in np.split(order, np.flatnonzero(np.diff(phases[order])) + 1):
        first = int(starts[members[0]])
        rows[members] = [frequency.steps_between(first, int(start)) for start in starts[members]]
        length = int((rows[members] + lengths[members]).max())
        stretches.append((first, length))
        rows[members] += used
        used += length
    return rows, stretches
