"""The step between stamps: read it, infer it, lay a grid of it.

Steps under a day lie on the line of instants, so a day on which clocks change has 23 or 25 of them. A day and longer
steps lie on the local calendar, so a daily series keeps its local midnight and a month its length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from tasks.data.stamps import first_instants

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MONTHS = {"mo": 1, "q": 3, "y": 12}
_DAY = 86400
MICRO = 1_000_000
_LEAST_MONTH = 27 * _DAY * MICRO
VOTE = 3
"""Differences that an item must have for its own step to count against the others'."""


@dataclass(frozen=True)
class Step:
    """``count`` whole numbers, seconds (on instants), days or months (on the calendar)."""

    kind: Literal["integer", "seconds", "days", "months"]
    count: int

    @classmethod
    def parse(cls, text: str) -> Step:
        """Read a frequency such as ``15m``, ``1d``, ``1q`` or, for an integer index, ``1``."""
        number, unit = re.fullmatch(r"(\d+)([a-z]*)", text).groups()  # type: ignore[union-attr]
        if not unit:
            return cls("integer", int(number))
        if unit in _MONTHS:
            return cls("months", int(number) * _MONTHS[unit])
        return cls.of_seconds(int(number) * _SECONDS[unit])

    @classmethod
    def of_seconds(cls, seconds: int) -> Step:
        return cls("seconds", seconds) if seconds % _DAY else cls("days", seconds // _DAY)

    def __str__(self) -> str:
        if self.kind == "integer":
            return str(self.count)
        amount = self.count * _DAY if self.kind == "days" else self.count
        units = _MONTHS if self.kind == "months" else _SECONDS
        unit = next(unit for unit, size in reversed(units.items()) if amount % size == 0)
        return f"{amount // units[unit]}{unit}"


@dataclass(frozen=True)
class Grid:
    """A regular grid for the items of one bucket.

    Args:
        offsets: [items + 1], where each item's steps begin.
        stamps: [steps], the canonical stamp of each step.
        position: [rows], the step on which each row lies.
        off: [rows], whether the row's stamp is another than its step's.
    """

    offsets: np.ndarray
    stamps: pl.Series
    position: np.ndarray
    off: np.ndarray


def item_steps(stamps: pl.Series, firsts: np.ndarray) -> tuple[list[Step | None], np.ndarray]:
    """Return each item's most frequent step, and how many differences it was found from.

    Args:
        stamps: canonical, sorted within items, without duplicates.
        firsts: [items], the row at which each item begins.

    Returns:
        a step for each item, None where it has one row alone or its step is no whole number of seconds.
    """
    rows = len(stamps)
    item = np.repeat(np.arange(len(firsts)), np.diff(np.append(firsts, rows)))
    within = np.ones(rows, dtype=bool)
    within[firsts] = False
    physical = stamps.to_physical().to_numpy()
    differences = np.diff(physical, prepend=physical[:1])
    frame = pl.DataFrame({"item": item[within], "difference": differences[within]})
    modes = _mode(frame)
    if stamps.dtype == pl.Int64 or (modes["difference"] < _LEAST_MONTH).all():
        months = pl.Series("months", np.zeros(len(modes), dtype=np.int64))
    else:
        months = _modal_months(frame["item"], _month_differences(_wall(stamps))[within], modes["item"])
    found: list[Step | None] = [None] * len(firsts)
    seen = np.bincount(item[within], minlength=len(firsts))
    for number, difference, month in modes.with_columns(months).iter_rows():
        if stamps.dtype == pl.Int64:
            found[number] = Step("integer", difference)
        elif month:
            found[number] = Step("months", month)
        elif difference % MICRO == 0:
            found[number] = Step.of_seconds(difference // MICRO)
    return found, seen


def _modal_months(item: pl.Series, months: np.ndarray, wanted: pl.Series) -> pl.Series:
    """Return the most frequent number of months for each item of ``wanted``, 0 where most are no whole months."""
    frame = pl.DataFrame({"item": item, "months": months})
    whole = frame.group_by("item").agg(((pl.col("months") > 0).mean() > 0.5).alias("whole"))
    calendar = _mode(frame.filter(pl.col("months") > 0))
    joined = wanted.to_frame().join(whole, on="item", how="left").join(calendar, on="item", how="left").sort("item")
    return joined.select(pl.when("whole").then("months").otherwise(0).fill_null(0)).to_series()


def _mode(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the most frequent value of each item, the smallest of equals, sorted by item."""
    item, value = frame.columns
    counts = frame.group_by(item, value).len().sort([item, "len", value], descending=[False, True, False])
    return counts.unique(item, keep="first", maintain_order=True).select(item, value)


def _month_differences(wall: pl.Series) -> np.ndarray:
    """Return months since the row before if both lie on the same day and time, or both at the month's end; else 0."""
    month = (wall.dt.year().cast(pl.Int64) * 12 + wall.dt.month().cast(pl.Int64)).to_numpy()
    rest = (wall - wall.dt.truncate("1mo")).to_physical().to_numpy()
    end = _month_end(wall)
    time = rest % (_DAY * MICRO)
    aligned = (rest == np.roll(rest, 1)) | (end & np.roll(end, 1) & (time == np.roll(time, 1)))
    return np.where(aligned, month - np.roll(month, 1), 0)


def _month_end(wall: pl.Series) -> np.ndarray:
    return (wall.dt.day() == wall.dt.month_end().dt.day()).to_numpy()


def _wall(stamps: pl.Series) -> pl.Series:
    return stamps if stamps.dtype.time_zone is None else stamps.dt.replace_time_zone(None)  # type: ignore[attr-defined]


def grid_lengths(stamps: pl.Series, firsts: np.ndarray, step: Step) -> np.ndarray:
    """Return [items] the steps that a grid over ``stamps`` needs; to be asked before ``lay_grid``."""
    return _lengths(_step_index(stamps, firsts, step), firsts)


def lay_grid(stamps: pl.Series, firsts: np.ndarray, step: Step) -> Grid:
    """Lay a grid of ``step`` from each item's first stamp to its last.

    Args:
        stamps: canonical, sorted within items, without duplicates.
        firsts: [items], the row at which each item begins.
    """
    index = _step_index(stamps, firsts, step)
    lengths = _lengths(index, firsts)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    item_of_row = np.repeat(np.arange(len(firsts)), np.diff(np.append(firsts, len(stamps))))
    position = offsets[item_of_row] + index
    item_of_step = np.repeat(np.arange(len(firsts)), lengths)
    number = np.arange(offsets[-1]) - offsets[item_of_step]
    laid = _stamps_at(stamps, firsts[item_of_step], number, step)
    off = laid.to_physical().to_numpy()[position] != stamps.to_physical().to_numpy()
    return Grid(offsets, laid, position, off)


def _lengths(index: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    return index[np.append(firsts[1:], len(index)) - 1] + 1


def _step_index(stamps: pl.Series, firsts: np.ndarray, step: Step) -> np.ndarray:
    """Return the number of whole steps since the item's first stamp."""
    if step.kind == "months":
        wall, _ = _anchored(_wall(stamps))
        value = (wall.dt.year().cast(pl.Int64) * 12 + wall.dt.month().cast(pl.Int64)).to_numpy()
        size = step.count
    elif step.kind == "days":
        value = _wall(stamps).to_physical().to_numpy()
        size = step.count * _DAY * MICRO
    else:
        value = stamps.to_physical().to_numpy()
        size = step.count * (MICRO if step.kind == "seconds" else 1)
    first = np.repeat(value[firsts], np.diff(np.append(firsts, len(value))))
    return (value - first) // size


def _anchored(wall: pl.Series) -> tuple[pl.Series, bool]:
    """Shift stamps that all lie at the ends of months to the next month's first day, where a calendar is regular."""
    ends = bool(_month_end(wall).all())
    return (wall.dt.offset_by("1d"), True) if ends else (wall, False)


def _stamps_at(stamps: pl.Series, start: np.ndarray, number: np.ndarray, step: Step) -> pl.Series:
    """Return the stamps ``number`` steps after those of the rows ``start``."""
    if step.kind == "integer":
        return pl.Series(stamps.to_numpy()[start] + number * step.count)
    if step.kind == "seconds":
        physical = stamps.to_physical().to_numpy()[start] + number * step.count * MICRO
        return pl.Series(physical).cast(stamps.dtype)
    wall, ends = _wall(stamps), False
    if step.kind == "days":
        laid = pl.Series(wall.to_physical().to_numpy()[start] + number * step.count * _DAY * MICRO).cast(
            pl.Datetime("us")
        )
    else:
        wall, ends = _anchored(wall)
        frame = pl.DataFrame({"start": wall.gather(start), "by": number * step.count})
        laid = frame.select(pl.col("start").dt.offset_by(pl.format("{}mo", "by"))).to_series()
        laid = laid.dt.offset_by("-1d") if ends else laid
    zone = stamps.dtype.time_zone  # type: ignore[attr-defined]
    return laid if zone is None else pl.select(first_instants(pl.lit(laid), zone)).to_series()
