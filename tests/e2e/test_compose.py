"""The services of ``deploy/compose.yaml``, started as that file says, take a pipeline to a registered version.

The machine of the trials has a home of its own here: it shares servers, databases and objects with the other one.

PostgreSQL is a real one, which Prefect, MLflow and Optuna keep their tables in; moto stands in MinIO's place.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import yaml
from composed import DEPLOY, Composed, example
from operated import wait_for
from prefect.client.orchestration import SyncPrefectClient

from carousel.authentication import HOST
from carousel.experiment import load
from carousel.services import Addresses, free_port, prefect_client
from tasks import store
from tasks.ingest import ingest_table
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.registry import load_experiment
from tasks.search import search_models
from tests.conftest import tiny_experiment, write_series

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

FILLED = {
    "POSTGRES_PASSWORD": "of-the-databases",
    "AWS_ACCESS_KEY_ID": "keeper",
    "AWS_SECRET_ACCESS_KEY": "of-the-objects",
    "CAROUSEL_USER": "operator",
    "CAROUSEL_PASSWORD": "correct-horse",
    "CAROUSEL_ENGINE": "pool",
    "CAROUSEL_WORKERS": "1",
    "MLFLOW_WORKERS": "1",
}
OTHERS = "another team's flow"
ELSEWHERE = "home of trials"


@dataclass(frozen=True)
class Team:
    """Running services, where they are, and the URI of the PostgreSQL behind them up to the name of a database."""

    composed: Composed
    addresses: Addresses
    objects: str
    databases: str

    def rows(self, database: str, query: str) -> list[Any]:
        with psycopg.connect(self.databases.format(database=database)) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def team(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    directory = tmp_path_factory.mktemp("team")
    (directory / "home").mkdir()
    databases = _databases(postgresql)
    composed = _composed(directory, databases)
    try:
        yield _started(composed, databases)
    finally:
        composed.stop()


def _databases(server: str) -> str:
    """Do in PostgreSQL what its container does with ``deploy/databases.sql``; return the URI of any ``{database}``."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE carousel SUPERUSER LOGIN PASSWORD '{FILLED['POSTGRES_PASSWORD']}'")
        for statement in (DEPLOY / "databases.sql").read_text().split(";")[:-1]:
            connection.execute(statement)
    [socket] = parse_qs(urlsplit(server).query)["host"]
    return f"postgresql://carousel:{FILLED['POSTGRES_PASSWORD']}@/{{database}}?host={socket}"


def _composed(directory: Path, databases: str) -> Composed:
    """Return the services with host names, ports and directories of this machine."""
    prefect, mlflow, objects, worker, trials = (str(free_port()) for _ in range(5))
    replaced = {
        "prefect:4200": f"{HOST}:{prefect}",
        "mlflow:5000": f"{HOST}:{mlflow}",
        "minio:9000": f"{HOST}:{objects}",
        "4200": prefect,
        "5000": mlflow,
        "/var/lib/carousel": str(directory / "home"),
        "/srv/carousel": str(directory),
    }
    for name in ("prefect", "mlflow", "optuna"):
        replaced[f"@postgres:5432/{name}"] = f"@{databases.format(database=name).partition('@')[2]}"
    changed = {
        "worker": {"PREFECT_WORKER_WEBSERVER_PORT": worker},
        "trial-worker": {"PREFECT_WORKER_WEBSERVER_PORT": trials, **_home(directory / ELSEWHERE)},
    }
    return Composed({**example(), **FILLED, "CAROUSEL_FILES": str(directory)}, replaced, directory, changed)


def _home(home: Path) -> dict[str, str]:
    return {"CAROUSEL_HOME": str(home), "PREFECT_HOME": str(home / "prefect")}


def _started(composed: Composed, databases: str) -> Team:
    """Start everything in the order of ``depends_on``."""
    objects = composed.replaced["minio:9000"]
    composed.launch("minio", [sys.executable, "-m", "moto.server", "-H", HOST, "-p", objects.partition(":")[2]])
    composed.start("prefect")
    wait_for(lambda: _answers(f"http://{objects}/moto-api/"), 60, composed.log("minio"), pause=0.3)
    made = composed.run("bucket")
    assert made.returncode == 0, made.stderr
    composed.start("mlflow")
    composed.healthy("prefect", 120)
    addresses = Addresses(
        f"http://{composed.replaced['prefect:4200']}", f"http://{composed.replaced['mlflow:5000']}", True
    )
    with _client(addresses) as client:
        client.create_deployment(client.create_flow_from_name(OTHERS), "retrain")
    registered = composed.run("deploy")
    assert registered.returncode == 0, registered.stderr
    composed.healthy("mlflow", 120)
    for name in ("worker", "trial-worker"):
        composed.start(name)
    for name in ("worker", "trial-worker"):
        composed.healthy(name, 60)
    return Team(composed, addresses, f"http://{objects}", databases)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients of this process know user and password."""
    monkeypatch.setenv("CAROUSEL_AUTH", f"{FILLED['CAROUSEL_USER']}:{FILLED['CAROUSEL_PASSWORD']}")


@pytest.mark.usefixtures("known")
def test_a_run_of_the_deployment_ends_as_a_version_with_artifacts_in_s3_and_tables_in_postgresql(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = team.composed.directory
    write_series(directory / "tiny.csv", days=80)
    experiment = tiny_experiment("tiny.csv")
    experiment["search"]["time_budget"] = "5m"
    (directory / "tiny.yaml").write_text(yaml.safe_dump(experiment))
    with prefect_client(team.addresses) as client:
        deployment = client.read_deployment_by_name("pipeline/pipeline")
        run = client.create_flow_run_from_deployment(deployment.id, parameters={"experiment": "tiny.yaml"})

        def final() -> Any:
            state = client.read_flow_run(run.id).state
            return state if state and state.is_final() else None

        state = wait_for(final, 200, "the run did not end")
    assert state.is_completed(), f"{state} {team.composed.log('worker')}"
    [(model, version)] = team.rows("mlflow", "SELECT name, version FROM model_versions")
    assert (model, int(version)) == ("tiny", 1)
    [(ended,)] = team.rows("prefect", f"SELECT state_type FROM flow_run WHERE id = '{run.id}'")
    assert ended == "COMPLETED"
    assert {state for (state,) in team.rows("optuna", "SELECT state FROM trials")} == {"COMPLETE", "WAITING"}
    assert not list(directory.glob("home/work/*/worker-*.log")), "no trial ran where the pipeline did"
    assert len(list((directory / ELSEWHERE).glob("work/search-*/worker-*.log"))) == 1
    assert not list((directory / ELSEWHERE).glob("stages/ingest/*/manifest.json")), "only what trials need is fetched"
    found = json.loads(next(directory.glob("home/stages/search/*/best.json")).read_text())
    assert len(found) == 2
    assert _trained(found) == _trained(_found_alone(directory, monkeypatch)), "the same trials, to the last digit"
    kept = _objects(team)
    assert any(name.startswith("artifacts/") and name.endswith(".safetensors") for name in kept), kept
    assert any(re.fullmatch(r"stages/ingest/\w+/manifest.json", name) for name in kept), kept
    assert not (directory / "home" / "artifacts").exists(), "no machine keeps what others need"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", team.addresses.mlflow)
    assert load_experiment("tiny@challenger")["problem"]["horizon"] == 4


def _found_alone(directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the best trials of the same search by one worker of this machine, in a home that shares nothing."""
    monkeypatch.setenv("CAROUSEL_HOME", str(directory / "alone"))
    monkeypatch.setenv("CAROUSEL_WORKERS", "1")
    monkeypatch.chdir(directory)
    sections = load(directory / "tiny.yaml")
    dataset = prepare_dataset.fn(ingest_table.fn(sections["data"]), sections["problem"], SplitConfig())
    return json.loads((store.path(search_models.fn(dataset, sections["search"])) / "best.json").read_text())


def _trained(best: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: one[name] for name in ("trial", "params", "values")} for one in best]


def _objects(team: Team) -> list[str]:
    """Return the names of all objects in the bucket."""
    import boto3

    keys = {"aws_access_key_id": FILLED["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": FILLED["AWS_SECRET_ACCESS_KEY"]}
    client = boto3.client("s3", endpoint_url=team.objects, region_name="us-east-1", **keys)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="carousel")
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def test_nobody_gets_in_without_the_password(team: Team) -> None:
    for url in (
        f"{team.addresses.prefect}/api/flows/filter",
        f"{team.addresses.mlflow}/api/2.0/mlflow/runs/search",
        f"{team.addresses.mlflow}/api/2.0/mlflow-artifacts/artifacts",
    ):
        assert _refusal(url) == 401
    refused = team.composed.run("deploy", CAROUSEL_AUTH="operator:something else", PREFECT_API_AUTH_STRING="")
    assert refused.returncode == 2
    assert "set CAROUSEL_AUTH=user:password as where it was started" in refused.stderr


def test_what_others_have_on_the_server_is_left_alone_however_often_ours_is_registered(team: Team) -> None:
    with _client(team.addresses) as client:
        ours, theirs = (client.read_deployment_by_name(f"{flow}/retrain") for flow in ("retrain", OTHERS))
        assert (theirs.work_pool_name, theirs.entrypoint, theirs.schedules) == (None, None, [])
        assert ours.pull_steps[0]["prefect.deployments.steps.set_working_directory"]["directory"] == str(
            team.composed.directory
        )
        automations = client.read_automations()
    [degraded] = [one for one in automations if "degraded" in one.name]
    assert [action.deployment_id for action in degraded.actions] == [ours.id]
    [silent] = [one for one in automations if "silent" in one.name]
    again = team.composed.run("deploy")
    assert again.returncode == 0, again.stderr
    with _client(team.addresses) as client:
        assert {one.id for one in client.read_automations()} == {one.id for one in automations}
        assert client.read_deployment_by_name("retrain/retrain").id == ours.id
        assert client.read_deployment_by_name(f"{OTHERS}/retrain").entrypoint is None
    assert OTHERS not in silent.trigger.match_related.model_dump()["prefect.resource.name"]


def _client(addresses: Addresses) -> SyncPrefectClient:
    known = f"{FILLED['CAROUSEL_USER']}:{FILLED['CAROUSEL_PASSWORD']}"
    return SyncPrefectClient(addresses.prefect_api, auth_string=known)


def _refusal(url: str) -> int:
    """Return the status of the refusal of a GET or POST without password."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, b"{}"), timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
