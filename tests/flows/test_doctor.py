"""``carousel doctor`` finds what is planted, nothing else, and says what to do; a healthy home has nothing broken."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import optuna
import planted
import pytest
import yaml
from moto.server import ThreadedMotoServer
from prefect.client.orchestration import SyncPrefectClient

from carousel.automations import install
from carousel.cli import main
from carousel.doctor.findings import hidden
from carousel.doctor.home import GB, no_room
from carousel.doctor.variables import KNOWN
from carousel.registration import DEPLOYMENTS, POOL
from carousel.services import Addresses

ROOT = Path(__file__).parents[2]
NAMES = [one["name"] for one in yaml.safe_load((ROOT / DEPLOYMENTS).read_text())["deployments"]]
SECRET = "ge/he@im-77"
Doctor = Callable[[], dict[str, dict[str, Any]]]


@pytest.fixture
def doctor(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Run ``carousel doctor --json`` and return what it found, by check."""
    for name in os.environ:
        given = name.startswith("CAROUSEL_") and name != "CAROUSEL_HOME"
        if given or name.startswith(("AWS_", "MLFLOW_TRACKING", "PREFECT_API")) or name == "CUDA_VISIBLE_DEVICES":
            monkeypatch.delenv(name)

    def run() -> dict[str, dict[str, Any]]:
        status = main(["doctor", "--json"])
        printed = capsys.readouterr().out
        assert SECRET not in printed
        found = planted.read_findings(printed)
        assert status == any(check["status"] == "broken" for check in found.values())
        return found

    return run


@pytest.fixture(scope="module")
def object_store() -> Iterator[dict[str, str]]:
    """The variables that lead to an S3 with the bucket ``there``."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "known", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
    at = f"http://{host}:{port}"
    boto3.client(
        "s3", "us-east-1", endpoint_url=at, aws_access_key_id="known", aws_secret_access_key=SECRET
    ).create_bucket(Bucket="there")
    yield {"AWS_ENDPOINT_URL": at, **keys}
    server.stop()


@pytest.fixture
def orchestrated(running: Addresses) -> Iterator[SyncPrefectClient]:
    """A client of a Prefect server that knows nothing of Carousel; other tests use it, too."""
    with SyncPrefectClient(running.prefect_api) as client:
        _forget(client)
        yield client
        _forget(client)


def only(found: dict[str, dict[str, Any]], name: str, level: str = "broken") -> str:
    """Return rule, received and remedy of the faults of the check ``name``, of which alone something may be broken."""
    assert found[name]["status"] == level, found
    assert {check for check, one in found.items() if one["status"] == "broken"} <= {name}, found
    return json.dumps(found[name]["faults"])


def test_a_healthy_home_has_nothing_broken(
    home: Path, doctor: Doctor, object_store: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {check["status"] for check in doctor().values()} <= {"ok", "warning"}
    assert not home.exists()
    home.mkdir()
    optuna.create_study(storage=f"sqlite:///{home / 'optuna.db'}")
    set_all(monkeypatch, {**object_store, "CAROUSEL_STORE": "s3://there/stages"})
    found = doctor()
    assert {check["status"] for check in found.values()} <= {"ok", "warning"}
    assert found["store"]["found"] == ["s3://there/stages", "written, read and deleted"]
    assert "the object store" in found["clocks"]["found"][0]
    assert [path.name for path in home.iterdir()] == ["optuna.db"]


def test_each_check_is_a_line_and_each_fault_says_rule_received_and_remedy(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CAROUSEL_SCREENSHOTS", raising=False)
    monkeypatch.setenv("CAROUSEL_WORKRES", "2")
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"ok +versions +Python 3", lines[0])
    assert re.match(r"broken +environment +CAROUSEL_WORKRES", lines[1])
    assert lines[11].startswith("error: a variable that begins with CAROUSEL_")
    assert lines[12:14] == [
        "  received: CAROUSEL_WORKRES, which nothing reads",
        "  remedy: did you mean CAROUSEL_WORKERS?",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "check", "said"),
    [
        ("CAROUSEL_HOEM", "x", "environment", "did you mean CAROUSEL_HOME?"),
        ("CAROUSEL_WORKERS", "many", "environment", "CAROUSEL_WORKERS must have a value that it takes"),
        ("CAROUSEL_AUTH", "operator:short", "environment", "at least 8 characters"),
        ("MLFLOW_TRACKING_URI", "./mlruns", "environment", "sqlite:///PATH/mlflow.db"),
        ("MLFLOW_TRACKING_URI", f"http://u:{SECRET}@127.0.0.1:1", "environment", "set MLFLOW_TRACKING_USERNAME"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:1", "mlflow", "start the server, or correct MLFLOW_TRACKING_URI"),
        ("PREFECT_API_URL", "http://127.0.0.1:1/api", "prefect", "start the server, or correct PREFECT_API_URL"),
        ("CAROUSEL_STUDY_STORAGE", "postgresql+psycopg://u@127.0.0.1:1/x", "studies", "host and port"),
        ("CAROUSEL_STUDY_STORAGE", "postgresql://u@127.0.0.1:1/x", "studies", "carousel[postgresql]"),
        ("CAROUSEL_STUDY_STORAGE", "sqlite:////nowhere/optuna.db", "studies", "make the directory /nowhere"),
        ("CAROUSEL_STORE", "gs://bucket/stages", "store", "pip install gcsfs"),
        ("CAROUSEL_STORE", "s4://bucket/stages", "store", "as fsspec names the protocol"),
        ("CAROUSEL_STORE", f"{__file__}/stages", "store", "mend what the message names"),
        ("CAROUSEL_HOME", f"{__file__}/home", "home", "set CAROUSEL_HOME to another directory"),
    ],
)
def test_a_wrong_variable_breaks_its_check_alone(
    variable: str, value: str, check: str, said: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert said in only(doctor(), check)


def test_a_home_that_cannot_be_written_is_broken_whoever_asks(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAROUSEL_HOME", "/proc/carousel/home")
    assert "give this user the right to write /proc" in only(doctor(), "home")


@pytest.mark.parametrize(
    ("free", "files", "level"),
    [(6 * GB, None, None), (4.9 * GB, 10**6, "warning"), (0.4 * GB, 10**6, "broken"), (6 * GB, 9_000, "broken")],
)
def test_little_room_is_a_warning_and_hardly_any_is_broken(free: float, files: int | None, level: str | None) -> None:
    assert [fault.level for fault in no_room(Path("home"), free, files) if not isinstance(fault, str)] == (
        [level] if level else []
    )


def test_a_home_whose_carousel_up_was_killed_is_broken(home: Path, doctor: Doctor) -> None:
    home.mkdir()
    (home / "services.json").write_text('{"prefect": "http://127.0.0.1:1", "mlflow": "http://127.0.0.1:2"}')
    (home / "services.pid").write_text("4194305")
    assert "start it again with 'carousel up'" in only(doctor(), "home")


def test_more_workers_than_processors_are_a_warning(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAROUSEL_WORKERS", str(len(os.sched_getaffinity(0)) + 1))
    assert f"set CAROUSEL_WORKERS={len(os.sched_getaffinity(0))}" in only(doctor(), "devices", "warning")


def test_gpus_that_torch_does_not_see_are_broken(
    tmp_path: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = tmp_path / "nvidia-smi"
    listing.write_text("#!/bin/sh\nfor gpu in $(seq 0 98); do echo GPU $gpu: a card; done\n")
    listing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "torch must see the GPUs of this machine" in only(doctor(), "devices")


def test_versions_outside_of_the_pins_say_what_breaks(home: Path, tmp_path: Path) -> None:
    for name, version in (("fastapi", "0.165.0"), ("sqlalchemy", "2.1.9"), ("lightning", "2.6.6")):
        planted.write_distribution(tmp_path / "site", name, version)
    env = {**os.environ, "PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "carousel", "doctor", "--json"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    said = only(planted.read_findings(done.stdout), "versions")
    assert "pip install 'fastapi<0.151,>=0.139'" in said
    assert "refuses 'prefect deploy'" in said
    assert "create no runs" in said
    assert "pip uninstall lightning" in said


@pytest.mark.parametrize(
    ("changed", "url", "said"),
    [
        ({}, "s3://nowhere/stages", "make the bucket"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "s3://there/stages", "set AWS_ACCESS_KEY_ID"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "s3://there/stages", "its endpoint (AWS_ENDPOINT_URL)"),
    ],
)
def test_a_store_says_whether_bucket_credentials_or_endpoint_are_missing(
    changed: dict[str, str],
    url: str,
    said: str,
    doctor: Doctor,
    object_store: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_all(monkeypatch, {**object_store, "AWS_EC2_METADATA_DISABLED": "true", "CAROUSEL_STORE": url, **changed})
    assert said in only(doctor(), "store")


def test_a_wrong_password_of_the_study_storage_is_told_and_not_shown(
    postgresql: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = planted.make_database(postgresql, "studies of the doctor")
    planted.make_user(uri, "doctor", SECRET)
    monkeypatch.setenv("CAROUSEL_STUDY_STORAGE", planted.as_user(uri, "doctor", SECRET))
    assert doctor()["studies"]["status"] == "ok"
    monkeypatch.setenv("CAROUSEL_STUDY_STORAGE", planted.as_user(uri, "doctor", f"not {SECRET}"))
    assert "correct user and password in CAROUSEL_STUDY_STORAGE" in only(doctor(), "studies")


def test_a_study_storage_of_an_older_version_is_told_with_the_command(
    postgresql: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = planted.make_database(postgresql, "older studies")
    monkeypatch.setenv("CAROUSEL_STUDY_STORAGE", uri)
    optuna.create_study(storage=uri)
    found = doctor()
    assert found["studies"]["status"] == "ok"
    assert "the study storage" in found["clocks"]["found"][0]
    planted.set_revision(uri, "v3.0.0.d")
    assert 'optuna storage upgrade --storage \\"$CAROUSEL_STUDY_STORAGE\\"' in only(doctor(), "studies")
    planted.set_revision(uri, "0584bdc529eb")
    assert "give optuna a database of its own" in only(doctor(), "studies")
    monkeypatch.setenv("CAROUSEL_STUDY_STORAGE", f"{uri.replace('older', 'no')}")
    assert "make the database" in only(doctor(), "studies")


@pytest.mark.parametrize(
    ("planted_fault", "check", "level", "said"),
    [
        ({"version": "3.17.2", "behind": 3600.0}, "clocks", "broken", "s behind this machine"),
        ({"version": "3.17.2", "behind": 10.0}, "clocks", "warning", "timedatectl set-ntp true"),
        ({"version": "2.22.0"}, "mlflow", "broken", "must be of one major version"),
        ({"version": "3.16.0"}, "mlflow", "warning", "should be of one version"),
        ({"version": "3.17.2", "status": 401}, "mlflow", "broken", "set MLFLOW_TRACKING_USERNAME"),
        ({"version": "3.17.2", "status": 500}, "mlflow", "broken", "see the server's log"),
        (
            {"version": "3.17.2", "artifacts": "/of/the/server/0", "host": "127.0.0.2"},
            "mlflow",
            "broken",
            "--serve-artifacts",
        ),
    ],
)
def test_a_tracking_server_that_is_not_as_it_should_be(
    planted_fault: dict[str, Any], check: str, level: str, said: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with planted.version_server(**planted_fault) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert said in only(doctor(), check, level)


@pytest.mark.parametrize(
    ("planted_fault", "said"),
    [
        ({"version": '"3.7.0"'}, "install prefect 3.8.8 on the server, too"),
        ({"version": '"3.8.8"', "status": 401}, "set PREFECT_API_AUTH_STRING=user:password"),
        ({"version": "<html>"}, "something else answers there"),
    ],
)
def test_a_prefect_server_that_is_not_as_it_should_be(
    planted_fault: dict[str, Any], said: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with planted.version_server(**planted_fault) as uri:
        monkeypatch.setenv("PREFECT_API_URL", f"{uri}/api")
        assert said in only(doctor(), "prefect")


def test_artifacts_are_written_to_a_real_server_and_leave_no_trace(
    running: Addresses, servers_home: Path, tmp_path: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", running.mlflow)
    found = doctor()
    assert found["mlflow"]["status"] == "ok"
    assert any(fact.startswith("artifacts written to") for fact in found["mlflow"]["found"])
    assert list((servers_home / "artifacts").rglob("doctor-*")) == []
    (tmp_path / "file").touch()
    made = MlflowClient(running.mlflow).create_experiment("nowhere", str(tmp_path / "file" / "nowhere"))
    try:
        assert "the right to write and delete below" in only(doctor(), "mlflow")
    finally:
        MlflowClient(running.mlflow).delete_experiment(made)


def test_a_prefect_server_must_have_pool_worker_deployments_and_automations(
    running: Addresses, orchestrated: SyncPrefectClient, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate

    monkeypatch.setenv("PREFECT_API_URL", running.prefect_api)
    said = only(doctor(), "prefect")
    assert "run 'carousel deploy' with this PREFECT_API_URL" in said
    assert f"no deployment {', '.join(sorted(NAMES))}" in said
    assert "no automation carousel: a silent run has crashed" in said
    orchestrated.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    for name in NAMES:
        flow = orchestrated.create_flow_from_name(name)
        orchestrated.create_deployment(flow, name, work_pool_name=POOL)
    install(orchestrated, POOL)
    said = only(doctor(), "prefect")
    assert "prefect worker start --pool carousel" in said
    assert "deployment" not in said
    orchestrated.send_worker_heartbeat(POOL, "a worker")
    assert doctor()["prefect"]["status"] == "ok"
    _be_late(orchestrated)
    assert "see that a worker is online" in only(doctor(), "prefect", "warning")
    monkeypatch.setenv("PREFECT_API_URL", running.prefect)
    found = doctor()
    assert found["prefect"]["status"] == "warning"
    assert f"PREFECT_API_URL={running.prefect_api}" in found["environment"]["faults"][0]["remedy"]


def test_what_listens_beyond_this_machine_and_asks_nobody_is_broken(home: Path, doctor: Doctor) -> None:
    env = {**os.environ, "CAROUSEL_HOME": str(home)}
    with subprocess.Popen(
        [sys.executable, "-c", planted.OPEN_SERVER],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            said = only(doctor(), "listening")
        finally:
            server.kill()
    assert f"port {port}" in said
    assert "CAROUSEL_AUTH=user:password" in said


def test_what_never_answers_ends_in_time(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    doctor()
    with planted.silent_port() as port:
        at = f"127.0.0.1:{port}"
        keys = {"AWS_ACCESS_KEY_ID": "known", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": f"http://{at}"}
        addresses = {
            "MLFLOW_TRACKING_URI": f"http://{at}",
            "PREFECT_API_URL": f"http://{at}/api",
            "CAROUSEL_STUDY_STORAGE": f"postgresql+psycopg://u:ge%2Fhe%40im-77@{at}/x",
            "CAROUSEL_STORE": "s3://there/stages",
        }
        set_all(monkeypatch, {**keys, **addresses})
        begun = time.monotonic()
        found = doctor()
        assert time.monotonic() - begun < 28
    broken = {name for name, check in found.items() if check["status"] == "broken"}
    assert broken == {"mlflow", "prefect", "studies", "store"}


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://user:{SECRET}@host/db",
        "connection to postgresql://user:other@host failed",
        "connection to postgresql://user:oth/other@x@host/db failed",
        f"FATAL: {SECRET} is wrong",
        "http://host/db?password=other&x=1",
        "s3://bucket ?aws_secret=other",
    ],
)
def test_no_secret_of_a_url_or_of_the_environment_is_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAROUSEL_STUDY_STORAGE", "postgresql://user:ge%2Fhe%40im-77@host/db")
    assert SECRET not in hidden(text)
    assert "other" not in hidden(text)
    assert "***" in hidden(text)


def test_every_variable_of_the_sources_is_known() -> None:
    sources = [path.read_text() for layer in ("carousel", "flows", "tasks") for path in (ROOT / layer).rglob("*.py")]
    named = {name for source in sources for name in re.findall(r"\"(CAROUSEL_[A-Z_]+)\"", source)}
    assert named <= KNOWN


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def _forget(client: SyncPrefectClient) -> None:
    """Delete what ``carousel up`` registers."""
    for deployment in client.read_deployments():
        if deployment.name in NAMES:
            client.delete_deployment(deployment.id)
    for automation in client.read_automations():
        if automation.name.startswith("carousel: "):
            client.delete_automation(automation.id)
    if POOL in {pool.name for pool in client.read_work_pools()}:
        client.delete_work_pool(POOL)


def _be_late(client: SyncPrefectClient) -> None:
    """Let a run of a deployment be one that was to begin and did not."""
    from prefect.client.schemas.objects import State, StateType

    deployment = client.read_deployment_by_name("monitor/monitor")
    run = client.create_flow_run_from_deployment(deployment.id)
    client.set_flow_run_state(run.id, State(type=StateType.SCHEDULED, name="Late"), force=True)
