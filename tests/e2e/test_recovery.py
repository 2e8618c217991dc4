"""Whatever is killed whenever: the same command goes on from there, and nothing is computed twice or half."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import optuna
import psutil
import pytest
from optuna.trial import TrialState
from tiny import finish, write_experiment, write_panel

from tasks.studies import begun

Start = Callable[..., subprocess.Popen[str]]
STAGES = ["ingest", "prepare", "search", "fit", "evaluate", "report"]
BRIEF = ["gate", "profile"]
"""Stages that end too soon to be caught at work."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def under_way(home: Path, stage: str) -> bool:
    """Whether ``stage`` has begun; the search and the fit must also have something to lose."""
    if stage == "register":
        return any((home / "artifacts").glob("*/*/artifacts/report.html"))
    begun = any((home / "stages" / stage).glob("*.partial"))
    if stage == "search":
        return begun and any((home / "work").glob("search-*/trial-*.safetensors"))
    if stage == "fit":
        return begun and any((home / "work").glob("fit-*/checkpoints-0/last.ckpt"))
    return begun


def kill_during(process: subprocess.Popen[str], home: Path, stage: str) -> None:
    """SIGKILL the whole process group as soon as ``stage`` is under way."""
    deadline = time.monotonic() + 120
    while not under_way(home, stage):
        assert process.poll() is None, f"the run ended before {stage} was seen: {process.communicate()[0]}"
        assert time.monotonic() < deadline, f"{stage} did not begin"
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def stamps(home: Path) -> dict[str, int]:
    """When each finished stage wrote its manifest."""
    manifests = (home / "stages").glob("*/*/manifest.json")
    return {str(path.relative_to(home)): path.stat().st_mtime_ns for path in manifests}


def test_a_run_killed_in_every_stage_goes_on_from_there_and_ends_complete(tmp_path: Path, carousel: Start) -> None:
    write_panel(tmp_path / "panel.parquet", items=2000, steps=300)
    changes = {
        "search": {"max_trials": 4, "max_steps": 60, "time_budget": "5m"},
        "fit": {"checkpoint_every": 2, "refit": "always"},
    }
    experiment, home = write_experiment(tmp_path, changes), tmp_path / "mlruns"
    finished: dict[str, int] = {}
    trials_kept = 0
    for stage in [*STAGES, "register"]:
        process = carousel("run", str(experiment))
        kill_during(process, home, stage)
        now = stamps(home)
        assert {name: now[name] for name in finished} == finished, f"a finished stage ran again before {stage}"
        finished = now
        assert not any(f"/{stage}/" in f"/{name}" for name in finished), f"{stage} was not cut off"
        if stage == "search":
            trials_kept = len(list(next((home / "work").glob("search-*")).glob("trial-*.safetensors")))
    printed = finish(carousel("run", str(experiment)))
    assert "tiny version 1" in printed
    assert {name: stamp for name, stamp in stamps(home).items() if name in finished} == finished
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{home / 'optuna.db'}")
    assert len([t for t in begun(study) if t.state.is_finished()]) == 4
    assert trials_kept >= 1
    assert [t.number for t in study.trials if t.state == TrialState.RUNNING] == []
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    assert [str(v.version) for v in client.search_model_versions("name='tiny'")] == ["1"]


def test_a_killed_fit_resumes_from_its_last_checkpoint(tmp_path: Path, carousel: Start) -> None:
    write_panel(tmp_path / "panel.parquet")
    changes = {
        "search": {"max_trials": 1, "max_steps": 600, "time_budget": "5m"},
        "fit": {"checkpoint_every": 5, "members": 1, "refit": "always"},
    }
    experiment, home = write_experiment(tmp_path, changes), tmp_path / "mlruns"
    kill_during(carousel("run", str(experiment)), home, "fit")
    finish(carousel("run", str(experiment)))
    manifest = next((home / "stages" / "fit").glob("*/manifest.json")).read_text()
    assert '"resumed": true' in manifest


def test_the_same_command_again_runs_no_stage(experiment: Path, tmp_path: Path, carousel: Start) -> None:
    finish(carousel("run", str(experiment)))
    before = stamps(tmp_path / "mlruns")
    again = finish(carousel("run", str(experiment)))
    assert stamps(tmp_path / "mlruns") == before
    assert "tiny version 1" in again


def test_a_stage_whose_output_was_deleted_runs_again_and_only_that_one(
    experiment: Path, tmp_path: Path, carousel: Start
) -> None:
    finish(carousel("run", str(experiment)))
    before = stamps(tmp_path / "mlruns")
    lost = next((tmp_path / "mlruns" / "stages" / "prepare").glob("*/manifest.json"))
    lost.unlink()
    finish(carousel("run", str(experiment)))
    after = stamps(tmp_path / "mlruns")
    assert {name for name in after if after[name] != before[name]} == {str(lost.relative_to(tmp_path / "mlruns"))}


def test_two_runs_of_one_experiment_at_once_share_every_stage_and_register_one_version(
    experiment: Path, tmp_path: Path, carousel: Start
) -> None:
    both = [carousel("run", str(experiment)), carousel("run", str(experiment))]
    for process in both:
        assert "tiny version 1" in finish(process)
    made = {Path(name).parts[1] for name in stamps(tmp_path / "mlruns")}
    assert made == {*STAGES, *BRIEF}
    assert len(stamps(tmp_path / "mlruns")) == len(made)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
    assert len(client.search_model_versions("name='tiny'")) == 1


def test_no_process_outlives_a_killed_run(tmp_path: Path, carousel: Start) -> None:
    write_panel(tmp_path / "panel.parquet")
    experiment = write_experiment(tmp_path, {"search": {"max_trials": 500, "max_steps": 2000}})
    process = carousel("run", str(experiment))
    deadline = time.monotonic() + 60
    while not under_way(tmp_path / "mlruns", "search") and time.monotonic() < deadline:
        time.sleep(0.05)
    family = psutil.Process(process.pid).children(recursive=True)
    assert any("tasks.search_worker" in " ".join(child.cmdline()) for child in family)
    process.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
