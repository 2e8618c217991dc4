"""Hand the predictions of the store over as one file."""

from __future__ import annotations

from pathlib import Path

from tasks import store
from tasks.errors import InputError
from tasks.references import Predictions


def check_target(out: Path | None) -> None:
    """Raise InputError if predictions cannot be written to ``out``."""
    if out is None:
        return
    if out.suffix not in (".parquet", ".csv"):
        raise InputError("--out must end in .parquet or .csv", str(out), f"write for instance --out {out.stem}.parquet")
    if not out.absolute().parent.is_dir():
        raise InputError("--out must lie in an existing directory", str(out.parent), "create it, or choose another")


def deliver(predictions: Predictions, out: Path | None) -> Path:
    """Write the predictions to ``out`` and return it; without ``out`` return where the store keeps them."""
    place = store.path(predictions)
    if out is None:
        return place
    import polars as pl

    frame = pl.scan_parquet(place / "*.parquet")
    if out.suffix == ".csv":
        frame.sink_csv(out)
    else:
        frame.sink_parquet(out)
    return out
