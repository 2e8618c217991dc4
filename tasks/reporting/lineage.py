"""Which data a run learned from, as MLflow keeps it: where they lie, what they are, and a digest of their content.

Nothing is read, and no user, password, query of a URL or SQL text is kept: what stands in them may be secret.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from tasks import store
from tasks.references import Model

if TYPE_CHECKING:
    from mlflow.types import Schema

LONGEST_NAME = 500
CONTEXT = "training"


def training_data(model: Model, source: Any, schema: Schema) -> DatasetInput:
    """Return the data that ``model`` was made of; ``source`` and ``schema`` as in ``dataset_input``."""
    dataset = store.manifest(model)["inputs"][0]
    prepared = store.stored("prepare", dataset)
    table = store.stored("ingest", prepared["inputs"][0]) if prepared else None
    return dataset_input(source, dataset, table["facts"] if table else {}, schema)


def dataset_input(source: Any, digest: str, facts: dict[str, Any], schema: Schema) -> DatasetInput:
    """Return what is logged as the input of a run.

    Args:
        source: an experiment's ``data.source``: an address, or a query in JSON.
        digest: the fingerprint of the prepared data set.
        facts: what is known of the table: ``rows`` and ``items``.
        schema: of the model's input.
    """
    kind, place = _query(source) if isinstance(source, dict) else _address(str(source))
    told: dict[str, Any] = {"uri": place} if kind != "http" else {"url": place}
    if isinstance(source, dict):
        told["sql_sha256"] = hashlib.sha256(str(source.get("sql")).encode()).hexdigest()
    dataset = Dataset(
        name=(PurePosixPath(place).name or place)[:LONGEST_NAME],
        digest=digest,
        source_type=kind,
        source=json.dumps(told),
        schema=json.dumps({"mlflow_colspec": schema.to_dict()}),
        profile=json.dumps({name: facts[name] for name in ("rows", "items") if name in facts}),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, CONTEXT)])


def _address(address: str) -> tuple[str, str]:
    """Return MLflow's type of source, and the address without what may be secret."""
    if "://" not in address:
        return "local", address
    scheme = urlsplit(address).scheme
    return {"http": "http", "https": "http"}.get(scheme, scheme), _bare(address)


def _query(query: dict[str, Any]) -> tuple[str, str]:
    return "sql", _bare(str(query.get("connection", "")))


def _bare(address: str) -> str:
    """Return scheme, host and path of ``address``."""
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
