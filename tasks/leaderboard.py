"""The registered versions by what the sealed test part said of them, the baselines of the same windows between them."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

from tasks import registry
from tasks.errors import InputError
from tasks.kinds.metric import Metric, parse
from tasks.references import ModelVersion

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as RegistryVersion

_UNITS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0))


def leaderboard(name: str | None = None) -> list[list[dict[str, Any]]]:
    """Return a table for each model: its versions and the baselines beside its champion, best first.

    Args:
        name: a registered model; none: all of them, and neighbours with the same metrics share a table.

    Returns:
        Tables of rows with the keys ``model``, ``what`` ("version 3" or a baseline), ``alias``, the titles of the
        metrics, and ``age``.

    Raises:
        InputError: no such model is registered.
    """
    registered = {model.name: model for model in registry.client().search_registered_models()}
    if name is not None and name not in registered:
        known = ", ".join(registered) or "none is registered yet: run an experiment first"
        raise InputError("a leaderboard is of a registered model", repr(name), f"choose one of: {known}")
    chosen = list(registered) if name is None else [name]
    rows = [row for one in chosen for row in _rows(one, registered[one].aliases)]
    return [list(table) for _, table in itertools.groupby(rows, key=list)]


def verdict(version: ModelVersion) -> list[str]:
    """Return what the evaluation of ``version`` concluded, as sentences."""
    return _evaluation(version)["verdict"]


def _rows(name: str, aliases: dict[str, str]) -> list[dict[str, Any]]:
    found = registry.client().search_model_versions(f"name='{name}'")
    versions = [version for version in found if registry.FINGERPRINT in version.tags]
    if not versions:
        return []
    newest = max(versions, key=lambda version: int(version.version))
    shown = next((one for one in versions if str(one.version) == str(aliases.get(registry.CHAMPION))), newest)
    evaluation = _evaluation(registry.reference(shown))
    metrics = [metric for metric in parse(evaluation["metrics"]) if metric.brief]
    rows = [_version_row(version, aliases, metrics) for version in versions]
    baselines = [entry for entry in evaluation["leaderboard"] if entry["kind"] == "baseline"]
    rows += [_row(name, entry["name"], "", entry, metrics, "") for entry in baselines]
    return sorted(rows, key=lambda row: metrics[0].cost(row[metrics[0].title]))


def _version_row(version: RegistryVersion, aliases: dict[str, str], metrics: list[Metric]) -> dict[str, Any]:
    held = ", ".join(sorted(alias for alias, number in aliases.items() if str(number) == str(version.version)))
    tags = {metric.name: version.tags.get(f"test_{metric.name}") for metric in metrics}
    measured = {name: float(value) for name, value in tags.items() if value is not None}
    age = _age(time.time() - version.creation_timestamp / 1000)
    return _row(version.name, f"version {version.version}", held, measured, metrics, age)


def _row(name: str, what: str, alias: str, measured: dict[str, Any], metrics: list[Metric], age: str) -> dict[str, Any]:
    values = {metric.title: measured.get(metric.name) for metric in metrics}
    return {"model": name, "what": what, "alias": alias, **values, "age": age}


def _age(seconds: float) -> str:
    return next((f"{seconds / unit:.0f} {name}" for name, unit in _UNITS if seconds >= unit), f"{seconds:.0f} s")


def _evaluation(version: ModelVersion) -> dict[str, Any]:
    return json.loads((registry.files(version) / "evaluation.json").read_text())
