"""How a cell of a source is read: what counts as missing, as text, as a number; and where a bad one stands."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from models.encoding import LARGEST
from tasks.data.contract import EXAMPLES
from tasks.data.sources import FILE, ROW, Source

TEXT = (pl.String, pl.Categorical, pl.Enum)


def text(column: str, nulls: Sequence[str]) -> pl.Expr:
    """Return text without surrounding blanks, null where it means missing."""
    value = pl.col(column).cast(pl.String).str.strip_chars()
    return pl.when(value.is_in(nulls)).then(None).otherwise(value)


def number(column: str, dtype: pl.DataType, nulls: Sequence[str]) -> pl.Expr:
    """Return numbers, null where the cell holds none."""
    value = text(column, nulls) if isinstance(dtype, TEXT) else pl.col(column)
    return value.cast(pl.Float64, strict=False)


def infinite(value: pl.Expr) -> pl.Expr:
    """Say where a number is infinite, or larger than what can be learned from; NaN and null are neither."""
    return value.fill_nan(None).abs() >= LARGEST


def identity(column: str, source: Source, nulls: Sequence[str]) -> pl.Expr:
    """Return a part of an item's id as text."""
    return text(column, nulls) if source.text else pl.col(column).cast(pl.String)


def places(source: Source, column: str, bad: pl.Expr) -> list[str]:
    """Return the first places where ``bad`` holds, as ``'abc' in row 17``."""
    frame = source.scan([column], numbered=True).filter(bad).head(EXAMPLES).collect(engine="streaming")
    return [
        f"{repr(row[column])[:60]} in row {row[ROW]:,}" + (f" of {row[FILE]}" if FILE in row else "")
        for row in frame.iter_rows(named=True)
    ]
