"""``carousel up`` as an operator uses it: a form, a schedule, a browser; and nothing is left when it ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Up, processes_of, started, tiny_experiment, write_series

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def triggered(up: Up) -> Any:
    """The flow run that a submitted form made, ended."""
    write_series(up.directory / "tiny.csv", days=80)
    return asyncio.run(_trigger(up, "pipeline", tiny_experiment("tiny.csv")))


def test_a_run_started_as_the_form_does_it_ends_with_a_version_in_the_registry(up: Up, triggered: Any) -> None:
    assert triggered.state.is_completed(), triggered.state
    assert [version.version for version in _versions(up)] == ["1"]


def test_a_run_created_by_a_cron_schedule_retrains_on_what_the_data_holds_now(up: Up, triggered: Any) -> None:
    write_series(up.directory / "tiny.csv", days=90)
    scheduled = asyncio.run(_run_on_schedule(up, "retrain", {"model": "tiny@challenger", "time_budget": "20s"}))
    assert scheduled.auto_scheduled
    assert scheduled.state.is_completed(), scheduled.state
    assert sorted(version.version for version in _versions(up)) == ["1", "2"]


def test_the_deployment_and_the_model_are_seen_in_a_browser(up: Up, triggered: Any, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    pictures = Path(os.environ.get("CAROUSEL_SCREENSHOTS", tmp_path))
    pictures.mkdir(parents=True, exist_ok=True)
    deployment = asyncio.run(_deployment(up, "pipeline"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        for name, address, text in (
            ("prefect-deployment", f"{up.addresses.prefect}/deployments/deployment/{deployment.id}", "pipeline"),
            ("prefect-form", f"{up.addresses.prefect}/deployments/deployment/{deployment.id}/run", "Time budget"),
            ("prefect-run", f"{up.addresses.prefect}/runs/flow-run/{triggered.id}", "Completed"),
            ("mlflow-model", f"{up.addresses.mlflow}/#/models/tiny", "challenger"),
        ):
            page.goto(address)
            page.get_by_text(text).first.wait_for(timeout=60_000)
            page.wait_for_timeout(2000)
            page.screenshot(path=pictures / f"{name}.png", full_page=True)
        page.goto(f"{up.addresses.prefect}/deployments/deployment/{deployment.id}/run")
        for form, field in (("Sequences", "Item columns"), ("Text", "Text column"), ("Regress", "Loss")):
            page.get_by_text(form, exact=True).first.click(timeout=60_000)
            page.get_by_text(field).first.wait_for()
        page.get_by_text("Text column").first.wait_for()
        page.screenshot(path=pictures / "prefect-form-sequences.png", full_page=True)
        browser.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_when_it_is_ended_by(number: signal.Signals, tmp_path: Path) -> None:
    with started(tmp_path) as running:
        assert len(processes_of(running.home)) > 4
        status = running.stop(number)
        assert status == (0 if number == signal.SIGINT else -signal.SIGKILL)
        deadline = time.monotonic() + 30
        while (left := processes_of(running.home)) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not left


def test_a_schedule_that_was_switched_on_stays_on_when_the_servers_start_again(tmp_path: Path) -> None:
    with started(tmp_path) as running:
        asyncio.run(_set_schedule(running, "retrain", cron="30 4 * * *", active=True, parameters={}))
    with started(tmp_path) as running:
        [schedule] = asyncio.run(_deployment(running, "retrain")).schedules
        assert (schedule.active, schedule.schedule.cron) == (True, "30 4 * * *")


def test_a_second_one_on_the_same_home_is_refused(up: Up, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    from carousel.cli import main

    monkeypatch.setenv("CAROUSEL_HOME", str(up.home))
    assert main(["up"]) == 2
    assert "is running on" in capsys.readouterr().err


def _client(up: Up) -> Any:
    from prefect.client.orchestration import PrefectClient

    return PrefectClient(f"{up.addresses.prefect}/api")


def _versions(up: Up) -> list[Any]:
    from mlflow import MlflowClient

    return list(MlflowClient(up.addresses.mlflow).search_model_versions("name='tiny'"))


async def _deployment(up: Up, name: str) -> Any:
    async with _client(up) as client:
        return await client.read_deployment_by_name(f"{name}/{name}")


async def _trigger(up: Up, name: str, parameters: dict[str, Any]) -> Any:
    """Do what the form does: create a run from JSON parameters; return it when it has ended."""
    deployment = await _deployment(up, name)
    async with _client(up) as client:
        run = await client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        return await _ended(client, run)


async def _ended(client: Any, run: Any) -> Any:
    deadline = time.monotonic() + 420
    while not (run.state and run.state.is_final()):
        assert time.monotonic() < deadline, run.state
        await asyncio.sleep(1)
        run = await client.read_flow_run(run.id)
    return run


async def _set_schedule(up: Up, name: str, cron: str, active: bool, parameters: dict[str, Any]) -> None:
    """Change the first schedule of a deployment as the UI does."""
    from prefect.client.schemas.schedules import CronSchedule

    deployment = await _deployment(up, name)
    async with _client(up) as client:
        schedule = CronSchedule(cron=cron, timezone="UTC")
        [first] = deployment.schedules
        await client.update_deployment_schedule(
            deployment.id, first.id, active=active, schedule=schedule, parameters=parameters
        )


async def _run_on_schedule(up: Up, name: str, parameters: dict[str, Any]) -> Any:
    """Let a cron start the deployment every minute until it has started once; return that run when it has ended."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter

    await _set_schedule(up, name, "* * * * *", active=True, parameters=parameters)
    deployment = await _deployment(up, name)
    chosen = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    begun = FlowRunFilter(state={"type": {"any_": ["RUNNING", "COMPLETED", "FAILED", "CRASHED"]}})
    async with _client(up) as client:
        deadline = time.monotonic() + 240
        while not (runs := await client.read_flow_runs(deployment_filter=chosen, flow_run_filter=begun)):
            assert time.monotonic() < deadline, "no scheduled run has begun"
            await asyncio.sleep(1)
    await _set_schedule(up, name, "0 3 * * *", active=False, parameters={})
    async with _client(up) as client:
        return await _ended(client, runs[0])
