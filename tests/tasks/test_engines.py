"""A search gives the same wherever its workers run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from searches import prepared

from tasks import store
from tasks.search import search_models
from tasks.search_config import SearchConfig

UNDISTURBED = {"dropout": [0.0], "weight_drop": [0.0], "core": ["stacked_lstm"]}
SEARCH = SearchConfig(time_budget="5m", max_trials=3, max_steps=16, space=UNDISTURBED)


def found(home: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Search with one worker of ``engine`` on the data set in ``home``; return parameters and values of all rungs."""
    monkeypatch.setenv("CAROUSEL_HOME", str(home))
    monkeypatch.setenv("CAROUSEL_ENGINE", engine)
    monkeypatch.setenv("CAROUSEL_WORKERS", "1")
    home.mkdir()
    dataset = prepared(home)
    study = search_models.fn(dataset, SEARCH)
    facts = json.loads((store.path(study) / "manifest.json").read_text())["facts"]
    assert facts["trials"] == SEARCH.max_trials
    assert facts["clock"]["training"] > 0
    best = json.loads((store.path(study) / "best.json").read_text())
    assert all((store.path(study) / one["checkpoint"]).exists() for one in best)
    return [{name: one[name] for name in ("trial", "params", "values")} for one in best]


@pytest.fixture(scope="module")
def by_one(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What one local worker, which is one process, finds."""
    with pytest.MonkeyPatch.context() as patch:
        return found(tmp_path_factory.mktemp("one") / "home", "local", patch)


def test_ray_finds_what_local_workers_find(
    by_one: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(tmp_path / "ray", "ray", monkeypatch) == by_one


def test_a_trial_that_spans_two_processes_is_the_trial_of_one(
    by_one: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses are sums over the ranks in another order, so values are equal within rounding; nothing is dropped here."""
    monkeypatch.setenv("CAROUSEL_TRIAL_DEVICES", "2")
    of_two = found(tmp_path / "two", "local", monkeypatch)
    assert of_two != by_one, "sums in another order are rounded otherwise"
    assert [one["trial"] for one in of_two] == [one["trial"] for one in by_one]
    for one, two in zip(by_one, of_two, strict=True):
        assert one["params"] == two["params"]
        assert list(two["values"].values()) == pytest.approx(list(one["values"].values()), rel=1e-3)
