"""Stage ``predict``: a registered version and new data in, predictions as parquet out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import task

from tasks import store
from tasks.config import Config
from tasks.errors import worth_retrying
from tasks.kinds.registry import kind
from tasks.references import ModelVersion, Predictions, Table
from tasks.reporting.failure import explain_stage

VERSION = 1


class PredictConfig(Config):
    """Nothing about a prediction is the user's choice but the version and the data."""


@task(
    name="predict",
    task_run_name="predict {table.items} items",
    retries=1,
    retry_condition_fn=worth_retrying,
    on_failure=[explain_stage],
)
def predict_table(version: ModelVersion, table: Table) -> Predictions:
    """Predict for each item of ``table`` what ``version`` has learned; memory holds one part of it at a time.

    Raises:
        InputError: the table lacks what the version needs, such as known covariates for the horizon, or has
            another kind of input.
    """
    from tasks.registry import load_bundle

    source = store.path(table)
    key = store.Key("predict", VERSION, PredictConfig(), (version.fingerprint, table.fingerprint))

    def compute(out: Path) -> dict[str, Any]:
        loaded = load_bundle(version)
        return kind(loaded.kind).predict(loaded, source, out)

    facts = store.commit(key, compute)
    return Predictions(key.uri, key.fingerprint, facts["rows"], facts["items"])
