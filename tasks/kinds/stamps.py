"""Stamps of a canonical table as ``models.calendar`` counts them."""

from __future__ import annotations

import numpy as np
import polars as pl

from models.calendar import Frequency


def microseconds(column: pl.Series, frequency: Frequency) -> np.ndarray:
    """Return int64: instants in UTC for steps under a day, local clock readings for longer ones, or an index."""
    if isinstance(column.dtype, pl.Datetime):
        if column.dtype.time_zone and not frequency.subdaily:
            column = _local(column, column.dtype.time_zone)
        return column.dt.epoch("us").to_numpy()
    return column.to_numpy()


def _local(column: pl.Series, zone: str) -> pl.Series:
    """Return local clock readings; the first instant of a day whose midnight the clocks skipped reads midnight."""
    naive = column.dt.replace_time_zone(None)
    midnight = naive.dt.truncate("1d")
    skipped = midnight.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").is_null()
    first = naive == midnight.dt.offset_by("1h")
    return naive.zip_with(~(skipped & midnight.is_not_null() & first), midnight)
