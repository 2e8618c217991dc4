"""The roles of columns: which are read, and whether each can bear its role."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import polars as pl

from tasks.data.cells import TEXT
from tasks.data.contract import Ledger
from tasks.errors import shortened

if TYPE_CHECKING:
    from tasks.ingest import SeriesData

_NUMBERS = (pl.Decimal, pl.Boolean, pl.Null)
_RESERVED = ("item_id", "timestamp")


def value_columns(config: SeriesData) -> list[str]:
    return [*config.target, *config.past_covariates, *config.known_covariates, *config.static_covariates]


def used_columns(config: SeriesData) -> list[str]:
    return list(dict.fromkeys([*config.item_id, config.timestamp, *value_columns(config)]))


def check_roles(config: SeriesData, schema: dict[str, pl.DataType], ledger: Ledger) -> None:
    """Find columns that are missing, of the wrong type, or in two roles."""
    roles = [
        (key, column)
        for key in ("target", "timestamp", "item_id", "past_covariates", "known_covariates", "static_covariates")
        for column in ([config.timestamp] if key == "timestamp" else getattr(config, key))
    ]
    seen: dict[str, str] = {}
    for key, column in roles:
        if column in seen:
            said = "data.{first} and data.{key}" if seen[column] != key else "twice in data.{key}"
            ledger.add("two_roles", "error", column, said=said, first=seen[column], key=key)
            continue
        seen[column] = key
        if column not in schema:
            near = difflib.get_close_matches(column, schema, n=3)
            hint = f"; close to it: {shortened(map(repr, near))}" if near else ""
            ledger.add(
                "missing_column", "error", column, said="the columns {what}", key=key, what=shortened(schema, 20) + hint
            )
        elif not _bears(schema[column], key):
            ledger.add("type", "error", column, said="{what}", what=f"{schema[column]} for data.{key}")
        elif key not in ("timestamp", "item_id") and column in _RESERVED:
            ledger.add("reserved_name", "error", column, said="data.{key}", key=key)
    for column in config.categorical:
        if seen.get(column, "none") not in ("past_covariates", "known_covariates", "static_covariates"):
            ledger.add("categorical_role", "error", column, said="it in the role {what}", what=seen.get(column, "none"))


def _bears(dtype: pl.DataType, key: str) -> bool:
    if key == "item_id":
        return not dtype.is_nested() and dtype not in (pl.Binary, pl.Object)
    if key == "timestamp":
        return dtype.is_integer() or dtype in (pl.Date, pl.Datetime, pl.String, pl.Null)
    return dtype.is_numeric() or isinstance(dtype, (*TEXT, *_NUMBERS))
