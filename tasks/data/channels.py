"""Numeric channels of sequences: lists with a row an item, and what holds for either form of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from tasks.data import cells
from tasks.data.cells import TEXT
from tasks.data.contract import severity
from tasks.data.intake import SIZE, Intake


def read_lists(intake: Intake) -> Iterator[pl.DataFrame]:
    """Yield canonical parts of a table whose channels are lists, one row an item."""
    options, columns = intake.options, intake.options.columns
    if options.step is not None:
        intake.require_type(options.step, False, "data.input.step, where a row is an item and its channels are lists")
    for column in columns:
        dtype = intake.schema[column]
        assert isinstance(dtype, pl.List | pl.Array)
        fits = dtype.inner.is_numeric() or dtype.inner in (pl.Boolean, pl.Decimal, pl.Null)
        intake.require_type(column, fits, "lists of numbers")
    for rows in intake.rows():
        lists = [rows[f"read:{column}"].cast(pl.List(pl.Float64), strict=False) for column in columns]
        sizes = [one.list.len().fill_null(0).cast(pl.Int64) for one in lists]
        uneven = pl.Series(np.ptp(np.stack([size.to_numpy() for size in sizes]), axis=0) > 0)
        frame = rows.with_columns(one.alias(f"read:{column}") for column, one in zip(columns, lists, strict=True))
        empty = (sizes[0] == 0) & ~uneven
        frame = frame.with_columns(sizes[0].alias(SIZE))
        frame = intake.sift(frame, ", ".join(columns), {"uneven_channels": uneven, "empty_sequence": empty})
        yield drop_valueless(intake, _nested(intake, frame, options.infinite))


def _nested(intake: Intake, frame: pl.DataFrame, policy: str) -> pl.DataFrame:
    """Turn lists of one channel each into one list of steps."""
    columns = [f"read:{column}" for column in intake.options.columns]
    code = pl.int_range(pl.len()).alias("item:code")
    long = frame.select(code, *columns).explode(columns).with_columns(pl.col(columns).fill_nan(None))
    for column in columns:
        bad = long.filter(cells.infinite(pl.col(column)))
        if len(bad):
            places = frame["item:place"].gather(bad["item:code"].unique().sort().head(5))
            intake.ledger.add(
                "infinite", severity(policy), column.removeprefix("read:"), count=len(bad), examples=places,
                said="{count} values that are not", action="set to null", key="input.",
            )  # fmt: skip
    long = long.with_columns(pl.when(~cells.infinite(pl.col(one))).then(pl.col(one)) for one in columns)
    steps = long.group_by("item:code", maintain_order=True).agg(pl.concat_list(columns).alias("input"))
    return (
        frame.with_columns(steps["input"])
        if len(frame)
        else frame.with_columns(pl.lit(None, pl.List(pl.List(pl.Float64))).alias("input"))
    )


def drop_valueless(intake: Intake, frame: pl.DataFrame) -> pl.DataFrame:
    """Sift out items of which no step holds a value."""
    missing = frame["input"].list.eval(pl.element().list.drop_nulls().list.len() == 0).list.all()
    return intake.sift(frame, ", ".join(intake.options.columns), {"empty_sequence": missing})


class Channels:
    """Counts, over all parts, what each channel holds."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        width = len(intake.options.columns)
        self._steps, self._given = 0, np.zeros(width, np.int64)
        self._least, self._most = np.full(width, np.inf), np.full(width, -np.inf)

    def count(self, part: pl.DataFrame) -> None:
        """Add a canonical part."""
        flat = part["input"].explode(keep_nulls=False, empty_as_null=False).list.explode().cast(pl.Float64).to_numpy()
        values = flat.reshape(-1, len(self._given))
        given = ~np.isnan(values)
        self._steps += len(values)
        self._given += given.sum(axis=0)
        self._least = np.minimum(self._least, np.where(given, values, np.inf).min(axis=0, initial=np.inf))
        self._most = np.maximum(self._most, np.where(given, values, -np.inf).max(axis=0, initial=-np.inf))

    def report(self) -> None:
        """Find channels that hold nothing, never vary, or have gaps."""
        ledger, columns = self._intake.ledger, self._intake.options.columns
        for i, column in enumerate(columns if self._steps else []):
            missing = self._steps - int(self._given[i])
            if not self._given[i]:
                ledger.add("empty_channel", "error", column, count=missing, said="{count} nulls in as many steps")
            elif self._least[i] == self._most[i] and self._steps > 1:
                said, what = "the same value, {what}, in every step", f"{self._least[i]:g}"
                ledger.add("constant_channel", "warning", column, said=said, what=what, action="kept: it says nothing")
            if self._given[i] and missing:
                said, action = "{count} nulls", "flagged to the model"
                ledger.add("null_channel", "info", column, count=missing, said=said, action=action)


def holds_numbers(dtype: pl.DataType) -> bool:
    """Say whether a column with a row a step may be a channel."""
    return dtype.is_numeric() or isinstance(dtype, (*TEXT, pl.Boolean, pl.Decimal, pl.Null))
