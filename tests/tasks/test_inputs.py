"""What every input kind tells of a registered model. A new one is tested by standing in the registry."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import pytest
from objectives import TARGETS
from raw_inputs import raw_facts

from models.inputs.registry import INPUTS
from models.sequence_columns import SequenceColumns
from models.sequence_model import SequenceFacts
from tasks.inputs.registry import MODULES, input_kind
from tasks.kinds.registry import KINDS

each_kind = pytest.mark.parametrize("kind", list(MODULES))


def described(kind: str, item_id: list[str]) -> dict[str, Any]:
    """Return ``model.json`` of three models that classify."""
    fitted = raw_facts(kind)
    channels = fitted.columns if kind == "numeric" else ["given"]
    facts = SequenceFacts(
        input=fitted,
        target=TARGETS["classify"],
        longest=dict.fromkeys(fitted.views, 1200),
        chunk_length=100,
        columns=SequenceColumns(item_id=item_id, input=channels, step="when" if kind == "numeric" else None, target=[]),
    )
    return {"kind": "classify", "facts": facts.model_dump(mode="json"), "members": [{}, {}, {}]}


def test_the_registries_of_models_and_tasks_hold_the_same_inputs() -> None:
    assert list(MODULES) == list(INPUTS)
    assert {name for kind in KINDS.values() if kind.DATA == "sequences" for name in kind.INPUTS} == set(MODULES)


@each_kind
@pytest.mark.parametrize("item_id", [[], ["who", "where"]])
def test_the_example_has_columns_of_the_signature_and_items_that_the_model_reads(kind: str, item_id: list[str]) -> None:
    model = described(kind, item_id)
    facts = SequenceFacts.model_validate(model["facts"])
    example, signature = KINDS["classify"].signature(model)
    named = signature.inputs.input_names()
    assert [name for name in named if name in example] == list(example)
    assert set(signature.inputs.required_input_names()) <= set(example)
    assert list(example)[: len(item_id)] == item_id
    assert example.index.equals(pd.RangeIndex(len(example)))
    rows, raws = facts.input.read(example, facts.columns)
    assert rows.dtype == np.int64
    assert len(rows) == len(raws) == (1 if kind == "numeric" else len(example))
    if item_id:
        assert example.loc[rows, item_id[0]].is_unique
    for raw in raws:
        assert len(facts.input.encode(facts.input.views[0], raw)) > 1


@each_kind
def test_the_card_names_the_columns_that_go_in_and_its_code_is_code(kind: str) -> None:
    model = described(kind, ["who"])
    card = KINDS["classify"].card(model, {})
    assert card.what.startswith("Gives each sequence a label, with the probability of every label. An ensemble of 3 ")
    assert all(f"`{name}`" in card.goes_in for name in model["facts"]["columns"]["input"])
    assert "1,200 steps" in card.limits
    compile(card.how_to_use, "card", "exec")
    scope: dict[str, Any] = {"pd": pd}
    if "read_parquet" not in card.how_to_use:
        exec(card.how_to_use.splitlines()[0], scope)
        assert list(scope["table"]) == ["given"]


@each_kind
def test_what_a_registered_model_requires_is_installed(kind: str) -> None:
    for package in input_kind(kind).REQUIREMENTS:
        assert version(package)


def test_the_kinds_and_their_inputs_are_imported_without_what_they_work_with() -> None:
    heavy = ["torch", "polars", "pandas", "mlflow", "optuna", "sklearn"]
    code = (
        "import json, sys; from tasks.inputs.registry import MODULES, input_kind; from tasks.kinds import registry; "
        f"list(map(input_kind, MODULES)); print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == []
