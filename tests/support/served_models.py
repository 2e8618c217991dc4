"""Registered versions that have learned nothing, of every problem kind over inputs that differ in how they are sent."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from forecasters import make_forecaster
from panels import PLAIN, RICH
from panels import make_facts as forecast_facts
from sequence_cases import make_arrays, make_facts, make_model

from models import bundle
from models.sequence_columns import SequenceColumns
from tasks import aliases, registry
from tasks.kinds.registry import kind
from tasks.references import ModelVersion
from tasks.register import _log_model

CASES = {
    "forecast by dates": False,
    "forecast by numbers": True,
    "classify texts": True,
    "classify steps": True,
    "regress lists": False,
    "tag tokens": False,
    "transcribe audio": False,
}
"""Name, and whether MLflow's own protocol can take it as CSV: no dates and no lists."""

COLUMNS: dict[str, SequenceColumns] = {
    "classify texts": SequenceColumns(item_id=["who"], input=["said"], step=None, target=["intent"]),
    "classify steps": SequenceColumns(
        item_id=["run"], input=["x", "y", "z"], step="t", target=["state"], layout="steps", step_type="integer"
    ),
    "regress lists": SequenceColumns(item_id=[], input=["x", "y", "z"], step=None, target=["level"]),
    "tag tokens": SequenceColumns(item_id=[], input=["words"], step=None, target=["tags"]),
    "transcribe audio": SequenceColumns(item_id=["clip"], input=["path"], step=None, target=["text"]),
}
INPUTS = {"texts": "text", "steps": "numeric", "lists": "numeric", "tokens": "tokens", "audio": "audio"}


@dataclass(frozen=True)
class Request:
    """What a model takes, as a table, as JSON and as CSV, in which lists are JSON text."""

    table: pd.DataFrame
    json: bytes
    csv: bytes


def write_bundle(case: str, seed: int, directory: Path) -> dict[str, Any]:
    """Write a bundle of one model that has learned nothing; return what ``model.json`` holds."""
    what, _, given = case.partition(" ")
    member: Any
    if what == "forecast":
        by_dates = case.endswith("dates")
        facts: Any = forecast_facts(RICH) if by_dates else forecast_facts(PLAIN, frequency="1", calendar_width=0)
        member = make_forecaster(facts, "direct", seed)
    else:
        input_facts, arrays = make_arrays(what, INPUTS[given])
        facts = make_facts(what, input_facts, arrays).model_copy(update={"columns": COLUMNS[case]})
        member = make_model(facts, seed).eval()
    bundle.write_description(directory, what, facts, [member.config])
    bundle.save_weights(member, directory / "member-0.safetensors")
    return json.loads((directory / "model.json").read_text())


def register(case: str, seed: int = 0, name: str | None = None, alias: str | None = registry.CHAMPION) -> ModelVersion:
    """Register a bundle of ``case`` as the stage does, and give it ``alias``."""
    client, name = registry.client(), name or case
    if mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=str(registry.environment().artifacts / name))
        client.create_registered_model(name)
    experiment = mlflow.get_experiment_by_name(name)
    with tempfile.TemporaryDirectory() as scratch, mlflow.start_run(experiment_id=experiment.experiment_id) as run:
        _log_model(Path(scratch), write_bundle(case, seed, Path(scratch)))
    (logged,) = client.search_logged_models([experiment.experiment_id], f"source_run_id = '{run.info.run_id}'")
    tags = {registry.FINGERPRINT: f"{case} {seed}"}
    made = client.create_model_version(name, logged.artifact_location, run.info.run_id, tags, model_id=logged.model_id)
    if alias is not None:
        aliases.give(name, alias, str(made.version), "test", "test")
    return registry.reference(client.get_model_version(name, made.version))


def request(case: str) -> Request:
    """Return a request: the example of the model's signature."""
    with tempfile.TemporaryDirectory() as scratch:
        described = write_bundle(case, 0, Path(scratch))
    table, _ = kind(described["kind"]).signature(described)
    records = [{name: _plain(value) for name, value in row.items()} for row in table.to_dict(orient="records")]
    texts = [
        {name: json.dumps(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in records
    ]
    return Request(
        table, json.dumps({"dataframe_records": records}).encode(), pd.DataFrame(texts).to_csv(index=False).encode()
    )


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return None if isinstance(value, float) and pd.isna(value) else value
