"""What every input kind tells of a registered model. A new one is tested by standing in the registry."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import validate_schema
from objectives import TARGETS
from raw_inputs import raw_facts
from sequence_cases import make_arrays, make_facts, make_model

from models import bundle
from models.inputs.registry import INPUTS
from models.sequence_columns import Layout, SequenceColumns, StepType
from models.sequence_model import SequenceFacts
from tasks.inputs.registry import MODULES, input_kind
from tasks.kinds.registry import KINDS

each_kind = pytest.mark.parametrize("kind", list(MODULES))


def described(kind: str, item_id: list[str], layout: Layout = "steps") -> dict[str, Any]:
    """Return ``model.json`` of three models that classify; ``layout`` is that of numeric channels."""
    fitted = raw_facts(kind)
    numeric = kind == "numeric"
    columns = {"input": fitted.columns if numeric else ["given"], "layout": layout if numeric else "items"}
    if numeric and layout == "steps":
        columns |= {"step": "when", "step_type": "integer"}
    facts = SequenceFacts(
        input=fitted,
        target=TARGETS["classify"],
        longest=dict.fromkeys(fitted.views, 1200),
        chunk_length=100,
        columns=SequenceColumns(item_id=item_id, target=[], **({"step": None} | columns)),
    )
    return {"kind": "classify", "facts": facts.model_dump(mode="json"), "members": [{}, {}, {}]}


def test_the_registries_of_models_and_tasks_hold_the_same_inputs() -> None:
    assert list(MODULES) == list(INPUTS)
    assert {name for kind in KINDS.values() if kind.DATA == "sequences" for name in kind.INPUTS} == set(MODULES)


@each_kind
@pytest.mark.parametrize("layout", ["steps", "items"])
@pytest.mark.parametrize("item_id", [[], ["who", "where"]])
def test_the_example_has_columns_of_the_signature_and_items_that_the_model_reads(
    kind: str, item_id: list[str], layout: Layout
) -> None:
    model = described(kind, item_id, layout)
    facts = SequenceFacts.model_validate(model["facts"])
    example, signature = KINDS["classify"].signature(model)
    named = signature.inputs.input_names()
    assert [name for name in named if name in example] == list(example)
    validate_schema(example, signature.inputs)
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


STEP_VALUES: dict[StepType, list[list[Any]]] = {
    "integer": [[1, 2], np.array([1, 2], np.int32)],  # type: ignore[list-item]
    "number": [[0.5, 2.0], [1.0, 2.0]],
    "datetime": [["2024-01-01", "2024-01-02T05:00"], [datetime(2024, 1, 1), datetime(2024, 1, 2)]],
    "text": [["04:00:00", "05:00:00"]],
}


def served(columns: SequenceColumns, place: Path) -> Any:
    """Save a model of three channels that has learned nothing as ``register`` does, and load it as MLflow does."""
    fitted, arrays = make_arrays("regress", "numeric")
    facts = make_facts("regress", fitted, arrays).model_copy(update={"columns": columns})
    member = make_model(facts)
    (place / "bundle").mkdir()
    bundle.write_description(place / "bundle", "regress", facts, [member.config])
    bundle.save_weights(member, place / "bundle" / "member-0.safetensors")
    kind = KINDS["regress"]
    example, signature = kind.signature(json.loads((place / "bundle" / "model.json").read_text()))
    artifacts = {"bundle": str(place / "bundle")}
    mlflow.pyfunc.save_model(
        place / "model",
        python_model=str(kind.PYFUNC),
        artifacts=artifacts,
        signature=signature,
        input_example=example,
        pip_requirements=[],
    )
    loaded = mlflow.pyfunc.load_model(str(place / "model"))
    assert len(loaded.predict(example)) == 1
    return loaded


def test_a_served_model_takes_lists_of_channels_and_ids_only_if_they_are_given(tmp_path: Path) -> None:
    columns = SequenceColumns(item_id=["who"], input=["x", "y", "z"], step=None, target=[])
    model = served(columns, tmp_path)
    lists = {name: [[1.0, None, 3.0], [0.5]] for name in columns.input}
    assert len(model.predict(pd.DataFrame(lists))) == 2
    assert model.predict(pd.DataFrame({"who": ["b", "a"], **lists}))["who"].tolist() == ["b", "a"]
    with pytest.raises(MlflowException, match=r"list or numpy array"):
        model.predict(pd.DataFrame({name: [1.0, 2.0] for name in columns.input}))


@pytest.mark.parametrize("step_type", list(STEP_VALUES))
def test_a_served_model_takes_a_long_table_with_the_steps_of_its_training_data(
    step_type: StepType, tmp_path: Path
) -> None:
    columns = SequenceColumns(
        item_id=["who"], input=["x", "y", "z"], step="t", target=[], layout="steps", step_type=step_type
    )
    model = served(columns, tmp_path)
    channels = {name: [1.5, 2.5] for name in columns.input}
    for steps in STEP_VALUES[step_type]:
        table = pd.DataFrame({"who": ["a", "a"], "t": steps, **channels})
        (ours,), (turned,) = model.predict(table)["prediction"], model.predict(table[::-1])["prediction"]
        assert ours == turned
    with pytest.raises(MlflowException, match="missing inputs \\['who'\\]"):
        model.predict(table.drop(columns="who"))


@pytest.mark.parametrize("step_type", ["integer", "number", "datetime", None])
def test_the_card_gives_a_long_table_the_types_that_mlflow_takes(step_type: StepType | None, tmp_path: Path) -> None:
    step = "t" if step_type else None
    columns = SequenceColumns(
        item_id=["who"], input=["x", "y", "z"], step=step, target=[], layout="steps", step_type=step_type
    )
    fitted, arrays = make_arrays("regress", "numeric")
    facts = make_facts("regress", fitted, arrays).model_copy(update={"columns": columns})
    table = pd.DataFrame({"who": [7, 7], **{name: [1, 2] for name in columns.input}})
    if step_type:
        table["t"] = ["2024-01-01", "2024-01-02"] if step_type == "datetime" else [1, 2]
    _, signature = KINDS["regress"].signature({"facts": facts.model_dump(mode="json")})
    with pytest.raises(MlflowException, match="Incompatible input types"):
        validate_schema(table, signature.inputs)
    code = card_code(facts)
    scope = {"table": table}
    exec(code, scope)
    validate_schema(scope["table"], signature.inputs)


def test_the_card_gives_lists_the_types_that_mlflow_takes() -> None:
    columns = SequenceColumns(item_id=["who"], input=["x", "y", "z"], step=None, target=[])
    fitted, arrays = make_arrays("regress", "numeric")
    facts = make_facts("regress", fitted, arrays).model_copy(update={"columns": columns})
    _, signature = KINDS["regress"].signature({"facts": facts.model_dump(mode="json")})
    floats: list[list[float]] = [[1.0], [2.0, 3.0]]
    table = pd.DataFrame({"who": [7, 8], "x": [[1], [2, 3]], "y": floats, "z": [[1], [4, 5]]})
    with pytest.raises(MlflowException, match="Incompatible input types"):
        validate_schema(table, signature.inputs)
    scope = {"table": table}
    exec(card_code(facts), scope)
    validate_schema(scope["table"], signature.inputs)


def card_code(facts: SequenceFacts) -> str:
    """Return the code in what the card says of the input, a statement a line."""
    told = KINDS["regress"].card({"facts": facts.model_dump(mode="json"), "members": [{}]}, {}).goes_in
    return "\n".join(part for part in told.split("`") if part.startswith("table"))


@each_kind
def test_the_card_names_the_columns_that_go_in_and_its_code_is_code(kind: str) -> None:
    model = described(kind, ["who"])
    card = KINDS["classify"].card(model, {})
    assert card.what.startswith("Gives each sequence a label, with the probability of every label. An ensemble of 3 ")
    assert all(f"`{name}`" in card.goes_in for name in model["facts"]["columns"]["input"])
    assert "`who`" in card.goes_in
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
