"""Predictions for a canonical table of sequences, a part at a time, so that memory does not grow with its items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from models.sequence_bundle import SequenceBundle
from tasks.errors import InputError
from tasks.inputs.registry import input_kind


def predict(predictor: SequenceBundle, table: Path, out: Path) -> dict[str, Any]:
    """Write one parquet file for each part of ``table`` and return how many rows and items they hold.

    Columns: ``item_id``, ``source`` where the items have one, and those of the kind, such as ``label``.

    Raises:
        InputError: the table holds another kind of input, or other channels.
    """
    described, facts = json.loads((table / "table.json").read_text()), predictor.facts
    if (found := described["input"]) != facts.input.kind:
        raise InputError("new data must be what the model reads", f"{found}", f"give {facts.input.kind}")
    if facts.input.kind == "numeric" and described["columns"]["input"] != facts.columns.input:
        listed = ", ".join(facts.columns.input)
        raise InputError(
            "new data must have the model's channels in its order", f"{described['columns']['input']}", f"give {listed}"
        )
    rows, read = 0, input_kind(facts.input.kind)
    for path in sorted(table.glob("part-*.parquet")):
        part = pl.read_parquet(path)
        predicted = facts.target.columns(predictor.predict_raw(list(read.raws(part, facts.input))))
        named = [name for name in ("item_id", "source") if name in part.columns and part[name].null_count() < len(part)]
        frame = part.select(named).with_columns(pl.Series(name, values) for name, values in predicted.items())
        frame.write_parquet(out / path.name)
        rows += len(frame)
    return {"rows": rows, "items": rows}
