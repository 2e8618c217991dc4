"""What a registered forecaster takes and gives, as an MLflow signature with an example that it accepts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from models.calendar import Frequency
from models.encoding import Encoding
from models.forecaster_facts import Facts


def signature(facts: Facts) -> tuple[pd.DataFrame, ModelSignature]:
    """Return the example and the signature of a model of ``facts``."""
    encoding = facts.encoding
    time_type = DataType.long if facts.integer_time else DataType.datetime
    numbers = [*facts.targets, *encoding.numeric, *encoding.static_numeric]
    categories = [c for c in (*encoding.categorical, *encoding.static_categorical) if c != Encoding.TARGET]
    items = [ColSpec(DataType.string, column) for column in facts.item_columns]
    inputs: list[ColSpec | TensorSpec] = [
        *items,
        ColSpec(time_type, facts.time_column),
        *(ColSpec(DataType.double, column) for column in numbers),
        *(ColSpec(DataType.string, column, required=False) for column in categories),
    ]
    several = [ColSpec(DataType.string, "target")] if len(facts.targets) > 1 else []
    quantiles = ["forecast", *(f"q{level:g}" for level in facts.quantiles)]
    time = ColSpec(time_type, facts.time_column)
    outputs: list[ColSpec | TensorSpec] = [*items, *several, time, *(ColSpec(DataType.double, q) for q in quantiles)]
    return _example(facts, numbers, categories), ModelSignature(Schema(inputs), Schema(outputs))


def _example(facts: Facts, numbers: list[str], categories: list[str]) -> pd.DataFrame:
    """Two seasons of one item on the model's grid, and its horizon where known covariates are needed."""
    encoding = facts.encoding
    history = 2 * facts.season_length
    rows = history + (facts.horizon if encoding.known_numeric or encoding.known_categorical else 0)
    start = 0 if facts.integer_time else int(np.datetime64("2024-01-01", "us").astype(np.int64))
    stamps = Frequency.parse(facts.frequency).grid(start, rows)
    wave = 10 + np.sin(2 * np.pi * np.arange(rows) / max(2, facts.season_length))
    columns: dict[str, Any] = {column: ["example"] * rows for column in facts.item_columns}
    columns[facts.time_column] = stamps if facts.integer_time else stamps.astype("datetime64[us]")
    for column in numbers:
        affine = encoding.affine.get(column)
        columns[column] = np.full(rows, affine.mean) if affine else np.where(np.arange(rows) < history, wave, np.nan)
    for column in categories:
        columns[column] = [(encoding.vocabularies[column] or [""])[0]] * rows
    return pd.DataFrame(columns)
