"""The registered versions by what the sealed test part said of them, the baselines of the same windows between them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tasks import registry
from tasks.errors import InputError
from tasks.references import ModelVersion

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as RegistryVersion

METRICS = {"mase": "MASE", "wql": "WQL", "smape": "sMAPE", "coverage_80": "in 80 %"}
_UNITS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0))


def leaderboard(name: str | None = None) -> list[dict[str, Any]]:
    """Return a row for each version of ``name`` and each baseline that its champion was measured against, best first.

    Args:
        name: a registered model; none: all of them, one after the other.

    Returns:
        Rows with the keys ``model``, ``what`` ("version 3" or a baseline's name), ``alias``, the metrics, and ``age``.

    Raises:
        InputError: no such model is registered.
    """
    registered = {model.name: model for model in registry.client().search_registered_models()}
    if name is not None and name not in registered:
        known = ", ".join(registered) or "none is registered yet: run an experiment first"
        raise InputError("a leaderboard is of a registered model", repr(name), f"choose one of: {known}")
    chosen = list(registered) if name is None else [name]
    return [row for one in chosen for row in _rows(one, registered[one].aliases)]


def verdict(version: ModelVersion) -> list[str]:
    """Return what the evaluation of ``version`` concluded, as sentences."""
    return _evaluation(version)["verdict"]


def _rows(name: str, aliases: dict[str, str]) -> list[dict[str, Any]]:
    found = registry.client().search_model_versions(f"name='{name}'")
    versions = [version for version in found if registry.FINGERPRINT in version.tags]
    rows = [_version_row(version, aliases) for version in versions]
    if versions:
        newest = max(versions, key=lambda version: int(version.version))
        shown = next((one for one in versions if str(one.version) == str(aliases.get(registry.CHAMPION))), newest)
        measured = _evaluation(registry.reference(shown))["leaderboard"]
        rows += [_row(name, entry["name"], "", entry, "") for entry in measured if entry["kind"] == "baseline"]
    return sorted(rows, key=lambda row: row["MASE"] if row["MASE"] is not None else float("inf"))


def _version_row(version: RegistryVersion, aliases: dict[str, str]) -> dict[str, Any]:
    held = ", ".join(sorted(alias for alias, number in aliases.items() if str(number) == str(version.version)))
    metrics = {metric: float(version.tags[f"test_{metric}"]) for metric in METRICS if f"test_{metric}" in version.tags}
    age = _age(time.time() - version.creation_timestamp / 1000)
    return _row(version.name, f"version {version.version}", held, metrics, age)


def _row(name: str, what: str, alias: str, metrics: dict[str, Any], age: str) -> dict[str, Any]:
    measured = {title: metrics.get(metric) for metric, title in METRICS.items()}
    return {"model": name, "what": what, "alias": alias, **measured, "age": age}


def _age(seconds: float) -> str:
    return next((f"{seconds / unit:.0f} {name}" for name, unit in _UNITS if seconds >= unit), f"{seconds:.0f} s")


def _evaluation(version: ModelVersion) -> dict[str, Any]:
    return json.loads((registry.files(version) / "evaluation.json").read_text())
