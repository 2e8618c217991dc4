"""The registered models, and their versions by what the sealed test part said of them, baselines between them."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

from tasks import aliases, registry
from tasks.errors import InputError
from tasks.kinds.metric import Metric, parse
from tasks.references import ModelVersion

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as RegistryVersion
    from mlflow.entities.model_registry import RegisteredModel

DIGITS = 6
"""Of a data set's fingerprint in the column ``data``: versions with the same were measured on the same windows."""

_UNITS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0))


def leaderboard(name: str | None = None) -> list[list[dict[str, Any]]]:
    """Return a table for each model: its versions and the baselines beside its champion, best first.

    Args:
        name: a registered model; none: all of them, and neighbours with the same metrics share a table.

    Returns:
        Tables of rows with the keys ``model``, ``what`` ("version 3" or a baseline), ``alias``, the titles of the
        metrics, ``data`` and ``age``.

    Raises:
        InputError: no such model is registered.
    """
    rows = [row for one in _registered(name) for row in _rows(one.name, one.aliases)]
    return [list(table) for _, table in itertools.groupby(rows, key=list)]


def models() -> list[dict[str, Any]]:
    """Return a row for each registered model: its champion, since when, by what figure, and the newest version."""
    return [row for model in _registered(None) if (row := _model_row(model.name, model.aliases))]


def changes(name: str) -> list[dict[str, Any]]:
    """Return a row for each change of an alias of the registered model ``name``, the newest first.

    Raises:
        InputError: no such model is registered.
    """
    return [
        {
            "time": change.time.replace("T", " ")[:19],
            "alias": change.alias,
            "from": change.before or "",
            "to": change.after or "",
            "what": change.action,
            "by": change.by,
            "why": change.why,
        }
        for change in reversed(aliases.history(name))
    ]


def best(name: str) -> dict[str, Any]:
    """Return the version of ``name`` with the best headline metric, of those measured on the same data as the newest.

    Returns:
        ``uri`` as MLflow takes it, ``measured`` ("MASE 1.403"), ``alias``, ``decision`` of the gate, and ``of``, the
        number of versions that it was chosen from.

    Raises:
        InputError: no such model is registered, or none of its versions by Carousel.
    """
    held, versions = registry.registered_model(name).aliases, _versions(name)
    if not versions:
        rule, remedy = "the best is chosen from versions that Carousel registered", "run the experiment first"
        raise InputError(rule, f"none of {name!r}", remedy)
    newest = _newest(versions)
    same = [version for version in versions if version.tags.get(registry.DATA) == newest.tags.get(registry.DATA)]
    headline = parse(_evaluation(registry.reference(newest))["metrics"])[0]
    chosen = min(same, key=lambda version: headline.cost(_measured(version, headline)))
    return {
        "uri": f"models:/{name}/{chosen.version}",
        "measured": f"{headline.title} {headline.shown(_measured(chosen, headline))}",
        "alias": _aliases_of(chosen, held),
        "decision": chosen.tags.get(registry.DECISION, ""),
        "of": len(same),
    }


def verdict(version: ModelVersion) -> list[str]:
    """Return what the evaluation of ``version`` concluded, as sentences."""
    return _evaluation(version)["verdict"]


def _registered(name: str | None) -> list[RegisteredModel]:
    return list(registry.client().search_registered_models()) if name is None else [registry.registered_model(name)]


def _versions(name: str) -> list[RegistryVersion]:
    """Return the versions of ``name`` that Carousel registered."""
    found = registry.client().search_model_versions(f"name='{name}'")
    return [version for version in found if registry.FINGERPRINT in version.tags]


def _newest(versions: list[RegistryVersion]) -> RegistryVersion:
    return max(versions, key=lambda version: int(version.version))


def _shown(versions: list[RegistryVersion], held: dict[str, str]) -> RegistryVersion:
    """Return the champion or, without one, the newest."""
    champion = str(held.get(registry.CHAMPION))
    return next((one for one in versions if str(one.version) == champion), None) or _newest(versions)


def _model_row(name: str, held: dict[str, str]) -> dict[str, Any] | None:
    if not (versions := _versions(name)):
        return None
    shown, newest = _shown(versions, held), _newest(versions)
    headline = parse(_evaluation(registry.reference(shown))["metrics"])[0]
    since = [change.time for change in aliases.history(name) if change.alias == registry.CHAMPION]
    return {
        "model": name,
        "champion": f"version {held[registry.CHAMPION]}" if registry.CHAMPION in held else "none",
        "since": since[-1].replace("T", " ")[:16] if since and registry.CHAMPION in held else "",
        "measured": f"{headline.title} {headline.shown(_measured(shown, headline))}",
        "versions": len(versions),
        "newest": f"version {newest.version}, {newest.tags.get(registry.DECISION, '').partition(':')[0]}",
    }


def _rows(name: str, held: dict[str, str]) -> list[dict[str, Any]]:
    if not (versions := _versions(name)):
        return []
    shown = _shown(versions, held)
    evaluation = _evaluation(registry.reference(shown))
    metrics = [metric for metric in parse(evaluation["metrics"]) if metric.brief]
    rows = [_version_row(version, held, metrics) for version in versions]
    baselines = [entry for entry in evaluation["leaderboard"] if entry["kind"] == "baseline"]
    rows += [_row(name, entry["name"], "", entry, metrics, _data(shown), "") for entry in baselines]
    return sorted(rows, key=lambda row: metrics[0].cost(row[metrics[0].title]))


def _version_row(version: RegistryVersion, held: dict[str, str], metrics: list[Metric]) -> dict[str, Any]:
    measured = {metric.name: _measured(version, metric) for metric in metrics}
    age = _age(time.time() - version.creation_timestamp / 1000)
    alias = _aliases_of(version, held)
    return _row(version.name, f"version {version.version}", alias, measured, metrics, _data(version), age)


def _row(
    name: str, what: str, alias: str, measured: dict[str, Any], metrics: list[Metric], data: str, age: str
) -> dict[str, Any]:
    values = {metric.title: measured.get(metric.name) for metric in metrics}
    return {"model": name, "what": what, "alias": alias, **values, "data": data, "age": age}


def _aliases_of(version: RegistryVersion, held: dict[str, str]) -> str:
    return ", ".join(sorted(alias for alias, number in held.items() if str(number) == str(version.version)))


def _measured(version: RegistryVersion, metric: Metric) -> float | None:
    value = version.tags.get(f"test_{metric.name}")
    return None if value is None else float(value)


def _data(version: RegistryVersion) -> str:
    return version.tags.get(registry.DATA, "")[:DIGITS]


def _age(seconds: float) -> str:
    return next((f"{seconds / unit:.0f} {name}" for name, unit in _UNITS if seconds >= unit), f"{seconds:.0f} s")


def _evaluation(version: ModelVersion) -> dict[str, Any]:
    return json.loads((registry.files(version) / "evaluation.json").read_text())
