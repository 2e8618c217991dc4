"""Two CPU processes train one member together inside a Prefect task, and leave nothing behind."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tiny import finish, write_experiment, write_panel

Start = Callable[..., subprocess.Popen[str]]
pytestmark = pytest.mark.slow


def ranks(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those of ``processes`` that train: rank 0 and rank 1, without their launcher."""
    return [p for p in trainers(processes) if "RANK" in environment_of(p)]


def trainers(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those of ``processes`` that run the fit's module."""
    return [p for p in processes if "tasks.fit_worker" in " ".join(environment_of(p).get("ARGUMENTS", []))]


def environment_of(process: psutil.Process) -> dict:
    """The environment of ``process`` with its command line as ARGUMENTS; empty if it has just ended."""
    try:
        return {**process.environ(), "ARGUMENTS": process.cmdline()}
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return {}


def killed_in_training(process: subprocess.Popen[str], home: Path) -> None:
    """SIGKILL rank 1 once a checkpoint is there."""
    deadline = time.monotonic() + 120
    while not any((home / "work").glob("fit-*/checkpoints-0/last.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no checkpoint was seen"
        time.sleep(0.005)
    both = ranks(psutil.Process(process.pid).children(recursive=True))
    next(rank for rank in both if environment_of(rank)["RANK"] == "1").kill()


def test_a_killed_rank_is_replaced_and_both_end_with_the_same_weights_and_no_stage_runs_twice(
    tmp_path: Path, carousel: Start
) -> None:
    write_panel(tmp_path / "panel.parquet")
    changes = {"search": {"max_trials": 1, "max_steps": 800, "time_budget": "5m"}, "fit": {"refit": "always"}}
    variables, home = {"CAROUSEL_DEVICES": "2", "PREFECT_API_URL": ""}, tmp_path / "mlruns"
    process = carousel("run", str(write_experiment(tmp_path, changes)), **variables)
    killed_in_training(process, home)
    assert "tiny version 1" in finish(process)
    manifest = json.loads(next((home / "stages/fit").glob("*/manifest.json")).read_text())
    trained = manifest["facts"]["trained"][0]
    assert trained["resumed"]
    assert len(trained["digests"]) == 2
    assert len(set(trained["digests"])) == 1
    assert prefect_runs(home) == {"flows": 1, "fits": 1}


def prefect_runs(home: Path) -> dict[str, int]:
    """Count what Prefect has on record."""
    import sqlite3

    with sqlite3.connect(home / "prefect" / "prefect.db") as database:
        flows = database.execute("SELECT count(*) FROM flow_run").fetchone()[0]
        fits = database.execute("SELECT count(*) FROM task_run WHERE task_key LIKE 'fit_model%' OR name LIKE 'fit %'")
        return {"flows": flows, "fits": fits.fetchone()[0]}


def test_no_rank_outlives_its_launcher_or_the_run(tmp_path: Path, carousel: Start) -> None:
    write_panel(tmp_path / "panel.parquet")
    changes = {"search": {"max_trials": 1, "max_steps": 2000, "time_budget": "5m"}, "fit": {"refit": "always"}}
    process = carousel("run", str(write_experiment(tmp_path, changes)), CAROUSEL_DEVICES="2")
    family = trainers_at_work(process)
    next(p for p in family if p not in ranks(family)).kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    family = trainers_at_work(process)
    process.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    process.wait()


def trainers_at_work(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Wait until two ranks train below ``process``, and return them with their launcher."""
    deadline = time.monotonic() + 120
    while len(ranks(family := trainers(psutil.Process(process.pid).children(recursive=True)))) < 2:
        assert time.monotonic() < deadline, "no two ranks were seen"
        time.sleep(0.1)
    return family
