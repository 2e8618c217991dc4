"""A search gives the same wherever its workers run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from searches import prepared

from tasks import store
from tasks.search import SearchConfig, search_models

SEARCH = SearchConfig(time_budget="5m", max_trials=3, max_steps=16)


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


def test_ray_finds_what_local_workers_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_local = found(tmp_path / "local", "local", monkeypatch)
    by_ray = found(tmp_path / "ray", "ray", monkeypatch)
    assert by_ray == by_local
