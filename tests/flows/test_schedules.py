"""``carousel schedule`` and what becomes of runs that were missed, on a Prefect server without a worker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from carousel import schedules, services
from carousel.cli import main
from carousel.schedules import catch_up, missed
from carousel.services import Addresses
from tasks.environment import Environment
from tests.conftest import tiny_experiment

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def client(running: Addresses) -> Iterator[Any]:
    """A client of the server, which has the deployment ``retrain`` anew."""
    with services.prefect_client(running) as client:
        client.create_deployment(client.create_flow_from_name("retrain"), "retrain")
        yield client


@pytest.fixture
def home(running: Addresses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home whose servers are ``running``, with the registered models 'shop' and 'ware'."""
    from mlflow import MlflowClient

    monkeypatch.setenv("CAROUSEL_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    registry = MlflowClient(running.mlflow)
    for name in {"shop", "ware"} - {model.name for model in registry.search_registered_models()}:
        registry.create_registered_model(name)
    env = Environment(home=tmp_path)
    with services.alone(env), services.announced(env, running):
        yield tmp_path


def test_schedules_are_added_listed_paused_resumed_replaced_and_removed(
    home: Path, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "shop.yaml").write_text(
        yaml.safe_dump(tiny_experiment("x.csv", "shop") | {"schedule": {"interval": "12h"}})
    )
    assert main(["schedule", "add", "shop.yaml"]) == 0
    assert main(["schedule", "add", "ware", "--cron", "0 3 * * *", "--time-zone", "Asia/Tokyo"]) == 0
    told = capsys.readouterr().out
    assert told == ("shop is trained again: every 12:00:00, UTC.\nware is trained again: cron 0 3 * * *, Asia/Tokyo.\n")
    assert main(["schedule", "pause", "shop"]) == 0
    assert states_of(client) == {"shop": "paused", "ware": "on"}
    assert main(["schedule", "resume", "shop"]) == 0
    assert main(["schedule", "add", "shop.yaml", "--rrule", "FREQ=DAILY;BYHOUR=5", "--catch-up", "all"]) == 0
    assert states_of(client) == {"shop": "on", "ware": "on"}
    [kept] = [one for one in client.read_deployment_by_name(schedules.RETRAIN).schedules if "shop" in str(one.slug)]
    assert kept.parameters == {"model": "shop", "catch_up": "all"}
    capsys.readouterr()
    assert main(["schedule", "list"]) == 0
    assert "retrain  shop   FREQ=DAILY;BYHOUR=5, UTC" in capsys.readouterr().out
    assert main(["schedule", "remove", "ware"]) == 0
    assert states_of(client) == {"shop": "on"}


def test_a_schedule_that_is_switched_off_in_the_user_interface_keeps_its_model(home: Path, client: Any) -> None:
    assert main(["schedule", "add", "ware", "--interval", "1h"]) == 0
    deployment = client.read_deployment_by_name(schedules.RETRAIN)
    address = f"/deployments/{deployment.id}/schedules/{deployment.schedules[0].id}"
    client.request("PATCH", address, json={"active": False}).raise_for_status()
    assert states_of(client) == {"ware": "paused"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pause", "nobody"], "a model must have a schedule\n  received: 'nobody'"),
        (["add", "nobody", "--interval", "1h"], "a model must be registered"),
        (["add", "shop"], "a schedule must say when\n  received: none in shop"),
        (["add", "shop", "--cron", "three"], "schedule: cron must be one that Prefect can read"),
        (["add", "shop", "--interval", "1 hour"], "schedule.interval: "),
        (["add", "shop", "--interval", "1h", "--catch-up", "some"], "schedule.catch_up: "),
        (["add", "wrong.yaml"], "schedule.crno: no such parameter"),
    ],
)
def test_a_wrong_schedule_is_refused_by_name(
    home: Path, client: Any, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "wrong.yaml").write_text(yaml.safe_dump(tiny_experiment("x.csv") | {"schedule": {"crno": "0 3 * * *"}}))
    assert main(["schedule", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert states_of(client) == {}


def test_schedules_need_the_server_that_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAROUSEL_HOME", str(tmp_path))
    assert main(["schedule", "list"]) == 2
    assert "remedy: start it: carousel up --detach" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("policy", "left"), [("latest", ["now"]), ("all", ["3 h ago", "2 h ago", "now"]), ("none", ["now"])]
)
def test_of_the_runs_that_were_missed_those_start_that_the_schedule_keeps(policy: str, left: list[str]) -> None:
    from prefect.client.schemas.objects import FlowRun

    due = {"3 h ago": timedelta(hours=3), "2 h ago": timedelta(hours=2), "now": timedelta(seconds=5)}
    runs = [
        FlowRun(
            flow_id="00000000-0000-0000-0000-000000000000",
            name=name,
            parameters={"catch_up": policy},
            next_scheduled_start_time=NOW - ago,
        )
        for name, ago in due.items()
    ]
    given_up = {run.name for run in missed(runs, NOW)}
    assert [name for name in due if name not in given_up] == left


def test_missed_runs_of_each_model_are_given_up_by_its_own_policy(client: Any) -> None:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import IntervalSchedule

    deployment = client.read_deployment_by_name(schedules.RETRAIN)
    hourly = IntervalSchedule(interval=timedelta(hours=1), anchor_date=datetime.now(UTC) - timedelta(minutes=30))
    client.create_deployment_schedules(
        deployment.id,
        [
            DeploymentScheduleCreate(schedule=hourly, active=True, parameters={"model": model, "catch_up": policy})
            for model, policy in {"shop": "latest", "ware": "none"}.items()
        ],
    )
    planned = {"start_time": str(datetime.now(UTC) - timedelta(hours=4)), "end_time": str(datetime.now(UTC))}
    client.request("POST", f"/deployments/{deployment.id}/schedule", json=planned).raise_for_status()
    catch_up(client, datetime.now(UTC))
    runs = client.read_flow_runs()
    states = {
        model: sorted(
            run.state_name
            for run in runs
            if run.parameters.get("model") == model and run.expected_start_time < datetime.now(UTC)
        )
        for model in ("shop", "ware")
    }
    left, *given_up = states["shop"]
    assert left in ("Late", "Scheduled")
    assert len(given_up) >= 2
    assert set(given_up) == set(states["ware"]) == {"Skipped"}


def states_of(client: Any) -> dict[str, str]:
    return {row["model"]: row["state"] for row in schedules.listed(client) if row["flow"] == "retrain"}
