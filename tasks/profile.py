"""Stage ``profile``: what a monitor has to know of the data and of the errors that a model was registered with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import task

from tasks import store
from tasks.config import Config
from tasks.kinds.registry import kind
from tasks.references import Dataset, Evaluation, Profile, Table
from tasks.reporting.failure import explain_stage

VERSION = 1


class ProfileConfig(Config):
    """Nothing about a profile is the user's choice."""


@task(name="profile", task_run_name="profile {table.items} items", on_failure=[explain_stage])
def profile_table(table: Table, dataset: Dataset, evaluation: Evaluation) -> Profile:
    """Describe what a model was made from, so that new data can be held against it wherever the version is."""
    inputs = (table.fingerprint, dataset.fingerprint, evaluation.fingerprint)
    key = store.Key("profile", VERSION, ProfileConfig(), inputs)
    source, data, evaluated = (store.path(reference) for reference in (table, dataset, evaluation))

    def compute(out: Path) -> dict[str, Any]:
        kind(dataset.kind).profile(source, data, evaluated, out)
        return {}

    store.commit(key, compute)
    return Profile(key.uri, key.fingerprint)
