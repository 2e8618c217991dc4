"""What a registered model of sequences takes and gives, as an MLflow signature with an example that it accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import Array

from models.sequence_model import SequenceFacts

Specs = list[ColSpec | TensorSpec]
_TYPES: dict[str, Any] = {
    "string": DataType.string,
    "double": DataType.double,
    "strings": Array(DataType.string),
    "doubles": Array(DataType.double),
}
EXAMPLE_STEPS = 12
EXAMPLE_SECONDS = 0.5


def signature(facts: SequenceFacts) -> tuple[pd.DataFrame, ModelSignature]:
    """Return the example and the signature of a model of ``facts``."""
    items: Specs = [ColSpec(DataType.string, name, required=False) for name in facts.columns.item_id]
    inputs, example = _INPUTS[facts.input.kind](facts)
    for name in reversed(facts.columns.item_id):
        example.insert(0, name, "item" if facts.input.kind == "numeric" else [f"item {row}" for row in example.index])
    outputs: Specs = [ColSpec(_TYPES[kind], name) for name, kind in facts.target.column_types.items()]
    return example, ModelSignature(Schema([*items, *inputs]), Schema([*items, *outputs]))


def _text(facts: SequenceFacts) -> tuple[Specs, pd.DataFrame]:
    column = facts.columns.input[0]
    return [ColSpec(DataType.string, column)], pd.DataFrame({column: ["an example", "another one"]})


def _tokens(facts: SequenceFacts) -> tuple[Specs, pd.DataFrame]:
    column = facts.columns.input[0]
    tokens = [["an", "example"], ["another", "one", "."]]
    return [ColSpec(Array(DataType.string), column)], pd.DataFrame({column: tokens})


def _numeric(facts: SequenceFacts) -> tuple[Specs, pd.DataFrame]:
    step = facts.columns.step
    steps: Specs = [ColSpec(DataType.long, step)] if step else []
    channels: Specs = [ColSpec(DataType.double, channel) for channel in facts.columns.input]
    wave = np.sin(np.arange(EXAMPLE_STEPS) / 2)
    example = pd.DataFrame(dict.fromkeys(facts.columns.input, wave))
    if step:
        example.insert(0, step, np.arange(EXAMPLE_STEPS))
    return [*steps, *channels], example


def _audio(facts: SequenceFacts) -> tuple[Specs, pd.DataFrame]:
    from models.inputs.audio import AudioFacts
    from tasks.kinds.sequence_pyfunc import RATE, SAMPLES

    assert isinstance(facts.input, AudioFacts), "the registry of inputs leads here"
    rate = facts.input.sample_rate
    inputs: Specs = [
        ColSpec(DataType.string, facts.columns.input[0], required=False),
        ColSpec(Array(DataType.double), SAMPLES, required=False),
        ColSpec(DataType.long, RATE, required=False),
    ]
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(int(EXAMPLE_SECONDS * rate)) / rate)
    return inputs, pd.DataFrame({SAMPLES: [tone.round(6).tolist()], RATE: [rate]})


_INPUTS: dict[str, Callable[[SequenceFacts], tuple[Specs, pd.DataFrame]]] = {
    "numeric": _numeric,
    "text": _text,
    "tokens": _tokens,
    "audio": _audio,
}
