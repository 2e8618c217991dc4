"""Forecasts for a canonical table, a part at a time, so that memory does not grow with its items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from models import panel_building
from models.calendar import Frequency
from models.encoding import Encoding
from models.forecast_bundle import Bundle
from models.forecaster_facts import Facts
from models.panel_building import Upcoming
from tasks.errors import InputError, shortened
from tasks.kinds.stamps import microseconds


def predict(predictor: Bundle, table: Path, out: Path) -> dict[str, Any]:
    """Write one parquet file for each part of ``table`` and return how many rows and items they hold.

    Columns: ``item_id``, ``target``, ``timestamp``, ``forecast`` (the median) and each quantile, such as ``q0.9``.

    Raises:
        InputError: the table's step is not the model's, or it lacks what the model needs.
    """
    facts = predictor.facts
    described = json.loads((table / "table.json").read_text())
    if described["frequency"] != facts.frequency:
        raise InputError(
            f"new data must have the model's step of {facts.frequency}",
            described["frequency"],
            "give data of the same frequency, or set data.frequency",
        )
    rows = items = 0
    for path in sorted(table.glob("part-*.parquet")):
        upcoming = lay_out(pl.read_parquet(path), facts)
        quantiles_NFQ = predictor.predict(upcoming.panel, np.arange(len(upcoming.item_ids)), upcoming.ends_N)
        frame = _frame(upcoming, quantiles_NFQ, facts)
        frame.write_parquet(out / path.name)
        rows, items = rows + len(frame), items + len(set(upcoming.item_ids))
    return {"rows": rows, "items": items}


def lay_out(part: pl.DataFrame, facts: Facts) -> Upcoming:
    """Lay out one part of a canonical table for a model of ``facts``.

    Raises:
        InputError: it lacks a column or has one of another type, or it cannot be predicted from.
    """
    encoding = facts.encoding
    numbers = [*facts.targets, *encoding.numeric, *encoding.static_numeric]
    categories = [c for c in (*encoding.categorical, *encoding.static_categorical) if c != Encoding.TARGET]
    _require_columns(part, numbers, categories)
    columns = {name: part[name].cast(pl.Float64).to_numpy() for name in numbers}
    columns |= {name: np.array(part[name].to_list(), dtype=object) for name in categories}
    stamps = microseconds(part["timestamp"], Frequency.parse(facts.frequency))
    try:
        return panel_building.build(facts, part["item_id"].to_numpy().astype(str), stamps, columns)
    except ValueError as error:
        rule, _, rest = str(error).partition(" (got ")
        received, _, remedy = rest.partition("): ")
        raise InputError(rule, received, remedy) from None


def _require_columns(part: pl.DataFrame, numbers: list[str], categories: list[str]) -> None:
    missing = [name for name in (*numbers, *categories) if name not in part.columns]
    if missing:
        raise InputError(
            "new data must have the columns that the model was trained on",
            f"none called {shortened(missing)}",
            "add them to the source and to their roles",
        )
    for name in (*numbers, *categories):
        text = part.schema[name] == pl.String
        if text is not (name in categories) and part[name].null_count() < len(part):
            was, now = ("text", "numbers") if name in categories else ("numbers", "text")
            raise InputError(
                f"column '{name}' must hold {was}, as the training data did",
                now,
                f"give it as {was} or set data.categorical",
            )


def _frame(upcoming: Upcoming, quantiles_NFQ: np.ndarray, facts: Facts) -> pl.DataFrame:
    stamps = pl.Series(upcoming.stamps(facts).reshape(-1))
    if not facts.integer_time:
        stamps = stamps.cast(pl.Datetime("us"))
        if facts.time_zone and Frequency.parse(facts.frequency).subdaily:
            stamps = stamps.dt.replace_time_zone("UTC").dt.convert_time_zone(facts.time_zone)
    flat = quantiles_NFQ.reshape(len(stamps), -1)
    return pl.DataFrame(
        {
            "item_id": np.repeat(upcoming.item_ids, facts.horizon),
            "target": np.repeat(upcoming.targets, facts.horizon),
            "timestamp": stamps,
            "forecast": flat[:, facts.quantiles.index(0.5)],
            **{f"q{level:g}": flat[:, q] for q, level in enumerate(facts.quantiles)},
        }
    )
