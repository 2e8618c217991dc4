"""A training that hangs ends within the patience, with its log; what is left goes on, on any number of devices."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from searches import prepared

from tasks import store
from tasks.fit import FitConfig, _run, _write_jobs
from tasks.search import SearchConfig, search_models

NEVER = 10**6
"""Steps that no training here gets to."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit that is about to train one member, in parts."""
    directory = tmp_path_factory.mktemp("hangs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAROUSEL_HOME", str(directory / "home"))
        dataset = prepared(directory)
        search = SearchConfig(time_budget="5m", max_trials=1, max_steps=10)
        study = search_models.fn(dataset, search)
        trials = json.loads((store.path(study) / "best.json").read_text())
        fit = FitConfig(checkpoint_every=5, refit="always", accumulate=2)
        (directory / "work").mkdir()
        places = store.path(dataset), store.path(study), "forecast", [(trials[0], 1)]
        _write_jobs(*places, {"metric": "mase", "seed": 0}, fit, time.time() + 300, directory / "work")
    return directory / "work"


def started(work: Path, steps: int, pool: ThreadPoolExecutor) -> Future[None]:
    described = json.loads((work / "jobs.json").read_text())
    described["jobs"][0]["recipe"]["training"]["steps"] = steps
    described["devices"] = int(_devices())
    (work / "jobs.json").write_text(json.dumps(described))
    return pool.submit(_run, described["jobs"], work, time.time() + 120)


def _devices() -> str:
    import os

    return os.environ["CAROUSEL_DEVICES"]


def trains(work: Path, name: str) -> psutil.Process:
    """Wait for a new checkpoint, and return the process whose pulse has ``name``."""
    last, began = work / "checkpoints-0" / "last.ckpt", time.time()
    while not last.exists() or last.stat().st_mtime < began:
        assert time.time() < began + 60, (work / "fit-0.log").read_text()
        time.sleep(0.05)
    return next(psutil.Process(int(path.name)) for path in (work / "signs").iterdir() if path.read_text() == name)


def hang(work: Path, name: str, pool: ThreadPoolExecutor) -> str:
    """Stop the process ``name`` of a training; return what the stage says of it."""
    future = started(work, NEVER, pool)
    trains(work, name).send_signal(signal.SIGSTOP)
    family, began = psutil.Process().children(recursive=True), time.monotonic()
    with pytest.raises(RuntimeError) as failed:
        future.result(timeout=60)
    assert time.monotonic() - began < 20
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
    return str(failed.value)


def test_a_hung_rank_and_a_hung_process_end_the_fit_and_the_next_goes_on(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAROUSEL_PATIENCE", "4")
    monkeypatch.setenv("CAROUSEL_DEVICES", "2")
    with ThreadPoolExecutor() as pool:
        told = hang(work, "rank 1", pool)
        assert told.startswith("training hung: rank 1 (process ")
        assert "gave no sign of life for 4 s; its log ends:\n" in told
        monkeypatch.setenv("CAROUSEL_DEVICES", "1")
        told = hang(work, "a process that trains", pool)
        assert told.startswith("training hung: a process that trains (process ")
        reached = steps_of(work)
        started(work, reached + 3, pool).result(timeout=60)
    facts: dict[str, Any] = json.loads((work / "member-0.json").read_text())
    assert facts["resumed"]
    assert facts["steps"] == reached + 3


def steps_of(work: Path) -> int:
    import torch

    return torch.load(work / "checkpoints-0" / "last.ckpt", weights_only=True)["global_step"]
