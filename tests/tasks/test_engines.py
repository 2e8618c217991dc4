"""One worker and one seed give the same trials and figures to the last digit, wherever the worker runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from searches import prepared

from tasks import store
from tasks.evaluate import EvaluateConfig, evaluate_model
from tasks.fit import FitConfig, fit_model
from tasks.references import Dataset, StudyResult
from tasks.search import search_models
from tasks.search_config import SearchConfig

UNDISTURBED = {"dropout": [0.0], "weight_drop": [0.0], "core": ["stacked_lstm"]}
SEARCH = SearchConfig(time_budget="5m", max_trials=3, max_steps=16, space=UNDISTURBED)


BEYOND_THE_PORTFOLIO = SearchConfig(time_budget="5m", max_trials=10, max_steps=16)
"""So many trials that the sampler draws some."""


def searched(
    home: Path, search: SearchConfig, engine: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Dataset, StudyResult]:
    """Search with one worker of ``engine`` on a data set in ``home``."""
    monkeypatch.setenv("CAROUSEL_HOME", str(home))
    monkeypatch.setenv("CAROUSEL_ENGINE", engine)
    monkeypatch.setenv("CAROUSEL_WORKERS", "1")
    home.mkdir()
    dataset = prepared(home)
    study = search_models.fn(dataset, search)
    facts = store.manifest(study)["facts"]
    assert facts["trials"] == search.max_trials
    assert facts["clock"]["training"] > 0
    return dataset, study


def found(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return parameters and values of all rungs of the best trials of a local search."""
    _, study = searched(home, SEARCH, "local", monkeypatch)
    best = json.loads((store.path(study) / "best.json").read_text())
    assert all((store.path(study) / one["checkpoint"]).exists() for one in best)
    return [{name: one[name] for name in ("trial", "params", "values")} for one in best]


def outcome(home: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return every trial's parameters and values, and the leaderboard of what they became but for what was timed."""
    dataset, study = searched(home, BEYOND_THE_PORTFOLIO, engine, monkeypatch)
    model = fit_model.fn(dataset, study, FitConfig(members=2, refit="always"))
    evaluation = evaluate_model.fn(model, dataset, None, EvaluateConfig(baselines=["last_value", "seasonal_naive"]))
    rows = json.loads((store.path(evaluation) / "evaluation.json").read_text())["leaderboard"]
    trials = optuna.load_study(study_name=None, storage=f"sqlite:///{home / 'optuna.db'}").trials
    return (
        [(one.params, one.value, one.state, one.intermediate_values) for one in trials],
        [{name: value for name, value in row.items() if name not in ("seconds", "latency_ms")} for row in rows],
    )


def test_a_worker_on_ray_makes_what_a_local_one_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = outcome(tmp_path / "local", "local", monkeypatch)
    assert len(local[0]) == BEYOND_THE_PORTFOLIO.max_trials
    assert outcome(tmp_path / "ray", "ray", monkeypatch) == local


def test_a_trial_that_spans_two_processes_is_the_trial_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses are sums over the ranks in another order, so values are equal within rounding; nothing is dropped here."""
    by_one = found(tmp_path / "one", monkeypatch)
    monkeypatch.setenv("CAROUSEL_TRIAL_DEVICES", "2")
    of_two = found(tmp_path / "two", monkeypatch)
    assert of_two != by_one, "sums in another order are rounded otherwise"
    assert [one["trial"] for one in of_two] == [one["trial"] for one in by_one]
    for one, two in zip(by_one, of_two, strict=True):
        assert one["params"] == two["params"]
        assert list(two["values"].values()) == pytest.approx(list(one["values"].values()), rel=1e-3)
