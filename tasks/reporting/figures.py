"""What MLflow shows of the run that made a version: parameters, metrics, and what it cost."""

from __future__ import annotations

from typing import Any

from tasks import store
from tasks.kinds.metric import parse
from tasks.references import Model


def search_of(model: Model) -> dict[str, Any] | None:
    """Return the manifest of the search that ``model`` was chosen from, or None if the store lacks it."""
    return store.stored("search", "".join(store.manifest(model)["inputs"][1:2]))


def costs(model: Model) -> dict[str, float]:
    """Return the size of ``model``, and where the seconds of its search and fit went."""
    made = store.manifest(model)
    costs = {"parameters": float(model.parameters), "members": float(model.members)}
    costs["members_refitted"] = float(made["facts"]["refitted"])
    if "seconds" in made:
        costs["fit_seconds"] = float(made["seconds"])
    if searched := search_of(model):
        spent = {"": searched["facts"]["seconds"]} | {f"_{name}": s for name, s in searched["facts"]["clock"].items()}
        costs |= {f"search_seconds{account}": float(seconds) for account, seconds in spent.items()}
        costs |= {"trials": float(searched["facts"]["trials"])}
    return costs


def parameters(experiment: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten the experiment to dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in experiment.items():
        if isinstance(value, dict):
            flat |= parameters(value, f"{prefix}{key}.")
        elif value not in (None, [], ""):
            flat[f"{prefix}{key}"] = str(value)[:500]
    return flat


def metrics(evaluation: dict[str, Any]) -> dict[str, float]:
    """Return the model's metrics as ``test_mase`` and so on, everybody else's as ``seasonal_naive_mase``."""
    names = [*(metric.name for metric in parse(evaluation["metrics"])), "seconds", "latency_ms"]
    found: dict[str, float] = {}
    for row in evaluation["leaderboard"]:
        prefix = "test" if row["kind"] == "lstm" else row["name"].replace(" ", "_")
        found |= {f"{prefix}_{name}": float(row[name]) for name in names if row.get(name) is not None}
    return found
