"""Whatever is killed whenever: the same command goes on from there, and nothing is computed twice or half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
from tests.e2e.conftest import ROOT, starter

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
        process = carousel("run", str(experiment), CAROUSEL_WORKERS="2")
        kill_during(process, home, stage)
        now = stamps(home)
        assert {name: now[name] for name in finished} == finished, f"a finished stage ran again before {stage}"
        finished = now
        assert not any(f"/{stage}/" in f"/{name}" for name in finished), f"{stage} was not cut off"
        if stage == "search":
            trials_kept = len(list((home / "work").glob("search-*/trial-*.safetensors")))
    printed = finish(carousel("run", str(experiment)))
    assert "tiny version 1" in printed
    assert {name: stamp for name, stamp in stamps(home).items() if name in finished} == finished
    assert '"resumed": true' in next((home / "stages" / "fit").glob("*/manifest.json")).read_text()
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{home / 'optuna.db'}")
    assert len([t for t in begun(study) if t.state.is_finished()]) == 4
    assert trials_kept >= 1
    assert [t.number for t in study.trials if t.state == TrialState.RUNNING] == []
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    assert [str(v.version) for v in client.search_model_versions("name='tiny'")] == ["1"]


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, empty_home: Path, prefect_api: str
) -> tuple[Path, Path, Callable[[], str]]:
    """The experiment and the home of a run that ended, and what gives the same command again."""
    directory = tmp_path_factory.mktemp("finished")
    write_panel(directory / "panel.parquet")
    experiment, home = write_experiment(directory, {}), directory / "mlruns"
    start = starter(home, empty_home, prefect_api)
    finish(start("run", str(experiment)))
    return experiment, home, lambda: finish(start("run", str(experiment)))


def test_the_same_command_again_runs_no_stage(finished: tuple[Path, Path, Callable[[], str]]) -> None:
    _, home, again = finished
    before = stamps(home)
    assert "tiny version 1" in again()
    assert stamps(home) == before


def test_the_flow_called_from_python_takes_the_same_parameters_and_runs_no_stage_again(
    finished: tuple[Path, Path, Callable[[], str]], prefect_api: str
) -> None:
    experiment, home, _ = finished
    before = stamps(home)
    program = (
        "import sys, yaml; from flows.pipeline import pipeline; print(pipeline(**yaml.safe_load(open(sys.argv[1]))))"
    )
    env = {**os.environ, "CAROUSEL_HOME": str(home), "PREFECT_API_URL": prefect_api}
    command = [sys.executable, "-c", program, str(experiment)]
    done = subprocess.run(command, env=env, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "name='tiny', version='1'" in done.stdout
    assert stamps(home) == before


def test_a_stage_whose_output_was_deleted_runs_again_and_only_that_one(
    finished: tuple[Path, Path, Callable[[], str]],
) -> None:
    _, home, again = finished
    before = stamps(home)
    lost = next((home / "stages" / "prepare").glob("*/manifest.json"))
    lost.unlink()
    again()
    after = stamps(home)
    assert {name for name in after if after[name] != before[name]} == {str(lost.relative_to(home))}


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
    process = carousel("run", str(experiment), PREFECT_API_URL="")
    deadline = time.monotonic() + 60
    while not under_way(tmp_path / "mlruns", "search") and time.monotonic() < deadline:
        time.sleep(0.05)
    family = psutil.Process(process.pid).children(recursive=True)
    for part in ("tasks.search_worker", "carousel.prefect_app"):
        assert any(part in " ".join(child.cmdline()) for child in family)
    process.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
