"""Hand the predictions of the store over as one file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.errors import InputError
from tasks.references import Predictions

if TYPE_CHECKING:
    import polars as pl


def check_target(out: Path | None) -> None:
    """Raise InputError if predictions cannot be written to ``out``."""
    if out is None:
        return
    if out.suffix not in (".parquet", ".csv"):
        raise InputError("--out must end in .parquet or .csv", str(out), f"write for instance --out {out.stem}.parquet")
    if not out.absolute().parent.is_dir():
        raise InputError("--out must lie in an existing directory", str(out.parent), "create it, or choose another")


def deliver(predictions: Predictions, out: Path | None) -> Path:
    """Write the predictions to ``out`` and return it; without ``out`` return where the store keeps them.

    CSV knows no lists, so a column of them, such as tags or probabilities, is written as JSON text, such as
    ``["O", "B-city"]``.
    """
    place = store.path(predictions)
    if out is None:
        return place
    import polars as pl

    frame = pl.scan_parquet(place / "*.parquet")
    if out.suffix == ".csv":
        _flat(frame).sink_csv(out)
    else:
        frame.sink_parquet(out)
    return out


def _flat(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``frame`` with each nested column as JSON text, null where the whole value is; nothing is read yet."""
    import polars as pl

    def written(column: pl.Series) -> pl.Series:
        texts = [
            None if value is None else json.dumps(_strict(value), ensure_ascii=False) for value in column.to_list()
        ]
        return pl.Series(column.name, texts, pl.String)

    nested = [name for name, dtype in frame.collect_schema().items() if dtype.is_nested()]
    return frame.with_columns(pl.col(nested).map_batches(written, return_dtype=pl.String, is_elementwise=True))


def _strict(value: Any) -> Any:
    """Return ``value`` with null for NaN and infinity, which JSON does not know."""
    if isinstance(value, list):
        return [_strict(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
