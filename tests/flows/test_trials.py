"""A study's trials as child runs: few requests each to a real MLflow server, whole after a cut, none twice."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from carousel.services import Addresses
from tasks.registry import client
from tasks.reporting.trials import LOGGED, log_trials
from tasks.studies import open_storage
from tests.conftest import CHROMIUM

STATES = ["complete", "pruned", "fail", "running"]
TRIALS = 12


def write_study(storage: str, trials: int) -> None:
    """Write a study of points that were validated at three steps; every fourth has not ended."""
    study = optuna.create_study(study_name="study", storage=open_storage(storage))
    for number in range(trials):
        trial = study.ask()
        width = trial.suggest_categorical("hidden_size", [32, 64])
        rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        values = [1.0 + rate / step + width / 1e4 for step in (10, 20, 30)]
        for step, value in zip((10, 20, 30), values, strict=True):
            trial.report(value, step)
        told = {"best": values, "step": 30, "training": 2.0, "validation": 0.5}
        trial.set_user_attr("progress", told if number % 4 != 2 else {})
        if (state := STATES[number % 4]) != "running":
            study.tell(trial, values[-1] if state == "complete" else None, optuna.trial.TrialState[state.upper()])


@pytest.fixture
def parent(running: Addresses, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of a run of an experiment of its own, on the server."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", running.mlflow)
    client()
    experiment = mlflow.create_experiment(f"trials {home}")
    with mlflow.start_run(experiment_id=experiment) as run:
        pass
    yield run.info.run_id
    mlflow.set_tracking_uri(None)


def children(parent: str) -> list[Any]:
    """Return the children of ``parent`` in the order of their trials."""
    asked = MlflowClient()
    experiment = asked.get_run(parent).info.experiment_id
    found = asked.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'", ViewType.ACTIVE_ONLY)
    return sorted(found, key=lambda run: int(run.data.tags["carousel.trial"]))


def requests(caplog: pytest.LogCaptureFixture) -> int:
    """Count the requests that were made since the last count."""
    made = [record for record in caplog.records if record.name == "urllib3.connectionpool" and '"' in record.message]
    caplog.clear()
    return len(made)


def test_trials_are_children_with_their_values_in_three_requests_each(
    parent: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    storage = f"sqlite:///{tmp_path}/optuna.db"
    write_study(storage, TRIALS)
    ended = TRIALS - TRIALS // 4
    with caplog.at_level(logging.DEBUG, logger="urllib3.connectionpool"):
        requests(caplog)
        assert log_trials(parent, "study", storage, "mase") == ended
        assert requests(caplog) <= 3 * ended + 4
        assert log_trials(parent, "study", storage, "mase") == ended
        assert requests(caplog) == 1
    assert "View run" not in capfd.readouterr().out
    runs = children(parent)
    assert [run.data.tags["carousel.state"] for run in runs] == STATES[:3] * (TRIALS // 4)
    assert {run.info.status for run in runs if run.data.tags["carousel.state"] == "fail"} == {"FAILED"}
    first = runs[0]
    assert (first.info.status, first.info.run_name, set(first.data.params)) == (
        "FINISHED", "trial 0", {"hidden_size", "learning_rate"},
    )  # fmt: skip
    assert first.data.metrics["best_mase"] == first.data.metrics["validation_mase"]
    assert first.data.metrics["seconds"] == 2.5
    history = MlflowClient().get_metric_history(first.info.run_id, "validation_mase")
    assert sorted(value.step for value in history) == [10, 20, 30]
    assert "best_mase" not in runs[2].data.metrics
    assert 0 < first.info.start_time <= first.info.end_time


def test_what_was_cut_off_is_completed_and_nothing_is_there_twice(parent: str, tmp_path: Path) -> None:
    storage, asked = f"sqlite:///{tmp_path}/optuna.db", MlflowClient()
    write_study(storage, TRIALS)
    log_trials(parent, "study", storage, "mase")
    before = children(parent)
    # As a process leaves them that is killed between two requests: a run without an end, one that is not there yet.
    asked.delete_tag(parent, LOGGED)
    asked.update_run(before[1].info.run_id, status="RUNNING")
    asked.delete_run(before[4].info.run_id)
    log_trials(parent, "study", storage, "mase")
    after = children(parent)
    kept = [run.info.run_id for run in before]
    assert [run.info.run_id for run in after[:4]] == kept[:4]
    assert [run.info.run_id for run in after[5:]] == kept[5:]
    assert [run.data.params for run in after] == [run.data.params for run in before]
    assert {run.info.status for run in after} == {"FINISHED", "FAILED"}
    assert len(asked.get_metric_history(after[1].info.run_id, "validation_mase")) == 3


@pytest.mark.slow
def test_mlflows_pages_compare_the_trials_and_draw_them_side_by_side(
    parent: str, running: Addresses, tmp_path: Path
) -> None:
    from playwright.sync_api import sync_playwright

    write_study(f"sqlite:///{tmp_path}/optuna.db", TRIALS)
    log_trials(parent, "study", f"sqlite:///{tmp_path}/optuna.db", "mase")
    experiment = MlflowClient().get_run(parent).info.experiment_id
    chosen = json.dumps([run.info.run_id for run in children(parent) if run.info.status == "FINISHED"])
    pictures = Path(os.environ.get("CAROUSEL_SCREENSHOTS", tmp_path))
    pictures.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{running.mlflow}/#/compare-runs?runs={chosen}&experiments=[%22{experiment}%22]")
        page.get_by_text("Parallel Coordinates Plot").first.wait_for(timeout=60_000)
        page.locator(".parcoords, .js-plotly-plot").first.wait_for(timeout=60_000)
        page.get_by_text("learning_rate").first.wait_for(timeout=60_000)
        page.get_by_text("best_mase").first.wait_for(timeout=60_000)
        page.screenshot(path=pictures / "mlflow-trials.png")
        browser.close()


def test_a_study_that_is_gone_leaves_the_version_without_trials(
    parent: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_study(f"sqlite:///{tmp_path}/other.db", 1)
    assert log_trials(parent, "gone", f"sqlite:///{tmp_path}/other.db", "mase") == 0
    assert "the study storage lacks gone" in caplog.text
    assert children(parent) == []
