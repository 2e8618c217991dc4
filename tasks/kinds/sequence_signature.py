"""What a registered model of sequences takes and gives, as an MLflow signature with an example that it accepts."""

from __future__ import annotations

from typing import Any

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from models.sequence_model import SequenceFacts
from tasks.inputs.registry import input_kind

_TYPES: dict[str, Any] = {
    "string": DataType.string,
    "double": DataType.double,
    "strings": Array(DataType.string),
    "doubles": Array(DataType.double),
}


def signature(facts: SequenceFacts) -> tuple[pd.DataFrame, ModelSignature]:
    """Return the example and the signature of a model of ``facts``."""
    # Without them the steps of a long table are nobody's; where a row is an item they only name it.
    needed = facts.columns.layout == "steps"
    items = [ColSpec(DataType.string, name, required=needed) for name in facts.columns.item_id]
    inputs, named = input_kind(facts.input.kind).signature(facts.input, facts.columns)
    example = named.reset_index(drop=True)
    for name in reversed(facts.columns.item_id):
        example.insert(0, name, list(named.index))
    outputs = [ColSpec(_TYPES[kind], name) for name, kind in facts.target.column_types.items()]
    return example, ModelSignature(Schema([*items, *inputs]), Schema([*items, *outputs]))
