"""Stamps of a canonical table as ``models.calendar`` counts them."""

from __future__ import annotations

import numpy as np
import polars as pl

from models.calendar import Frequency


def microseconds(column: pl.Series, frequency: Frequency) -> np.ndarray:
    """Return int64: instants in UTC for steps under a day, local clock readings for longer ones, or an index."""
    if isinstance(column.dtype, pl.Datetime):
        if column.dtype.time_zone and not frequency.subdaily:
            column = column.dt.replace_time_zone(None)
        return column.dt.epoch("us").to_numpy()
    return column.to_numpy()
