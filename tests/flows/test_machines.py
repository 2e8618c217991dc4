"""A pipeline whose search runs elsewhere: machines that share a database, an object store and servers, and no file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
import yaml
from mlflow import MlflowClient
from object_store import bucket, s3_server

from carousel.services import Addresses, prefect_client
from carousel.up import register
from tasks import studies
from tests.conftest import tiny_experiment, write_series

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@contextmanager
def worker(machine: Path, queue: str, variables: dict[str, str]) -> Iterator[None]:
    """Run a worker of the pool for ``queue``, with all that it keeps below ``machine``."""
    machine.mkdir()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "CAROUSEL_"))}
    home = machine / "home"
    own = {"CAROUSEL_HOME": str(home), "PREFECT_HOME": str(home / "prefect"), "PREFECT_WORKER_QUERY_SECONDS": "1"}
    command = ["-m", "prefect", "worker", "start", "--pool", "carousel", "--type", "process", "--work-queue", queue]
    with (machine / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=machine, env={**inherited, **variables, **own}, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        family = [process, *psutil.Process(process.pid).children(recursive=True)]
        for one in family:
            one.terminate()
        psutil.wait_procs([one for one in family if isinstance(one, psutil.Process)], timeout=10)
        process.wait(timeout=30)


def ended(running: Addresses, run: Any) -> Any:
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        with prefect_client(running) as client:
            now = client.read_flow_run(run.id)
        if now.state and now.state.is_final():
            return now
        time.sleep(1)
    raise AssertionError(f"the run did not end: {now.state}")


def test_the_trials_of_a_pipeline_run_on_machines_that_share_no_file_with_it(
    running: Addresses, postgresql: str, tmp_path: Path
) -> None:
    write_series(tmp_path / "tiny.csv", days=80)
    experiment = tiny_experiment(tmp_path / "tiny.csv", "apart")
    experiment["search"] |= {"time_budget": "2m", "max_trials": 4}
    (tmp_path / "apart.yaml").write_text(yaml.safe_dump(experiment))
    with s3_server() as s3, ExitStack() as machines:
        shared = {
            **running.variables,
            **s3,
            "PYTHONPATH": str(ROOT),
            "CAROUSEL_STORE": f"{bucket(s3)}/stages",
            "CAROUSEL_STUDY_STORAGE": postgresql.replace("postgresql://", "postgresql+psycopg://"),
            "CAROUSEL_ENGINE": "pool",
            "CAROUSEL_WORKERS": "2",
        }
        register(running, {**shared, "CAROUSEL_DIRECTORY": str(tmp_path)})
        machines.enter_context(worker(tmp_path / "first", "default", shared))
        for name in ("second", "third"):
            machines.enter_context(worker(tmp_path / name, "trials", shared))
        with prefect_client(running) as client:
            deployment = client.read_deployment_by_name("pipeline/pipeline")
            run = client.create_flow_run_from_deployment(deployment.id, parameters={"experiment": "apart.yaml"})
        last = ended(running, run)
        logs = "\n".join((tmp_path / name / "log").read_text()[-3000:] for name in ("first", "second", "third"))
        assert last.state.is_completed(), f"{last.state}\n{logs}"
    [version] = MlflowClient(running.mlflow).search_model_versions("name='apart'")
    assert str(version.version) == "1"
    assert not list(tmp_path.glob("first/home/work/search-*/worker-*.log")), "no trial ran where the pipeline did"
    trained = list(tmp_path.glob("*/home/work/search-*/worker-*.log"))
    assert len(trained) == 2
    assert not list(tmp_path.glob("second/home/stages/ingest/*/manifest.json")), "only what is needed is fetched"
    best = json.loads(next(tmp_path.glob("first/home/stages/search/*/best.json")).read_text())
    assert len(best) == 4
    storage = studies.open_storage(shared["CAROUSEL_STUDY_STORAGE"])
    study = optuna.load_study(study_name=None, storage=storage)
    assert [trial.number for trial in studies.begun(study)] == [0, 1, 2, 3]
