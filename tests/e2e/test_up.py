"""``carousel up`` as an operator uses it: a form, a browser, a background; and nothing is left when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from forms import Form, chromium
from operated import ended, read, trigger, versions, wait_for

from carousel import services
from carousel.cli import main
from carousel.services import prefect_client
from tasks.environment import Environment
from tests.conftest import Up, processes_of, started, tiny_experiment, write_series

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def triggered(up: Up) -> Any:
    """The flow run that a form made, filled in and sent in a browser, ended."""
    write_series(up.directory / "tiny.csv", days=80)
    (up.directory / "tiny.yaml").write_text(yaml.safe_dump(tiny_experiment("tiny.csv")))
    deployment = _deployment(up, "pipeline")
    with chromium() as browser:
        form = Form(browser, up.addresses.prefect, deployment.id)
        form.write("Experiment", "tiny.yaml")
        run = form.send()
    return ended(up, run)


def test_a_run_started_from_the_form_ends_with_a_version_in_the_registry(up: Up, triggered: Any) -> None:
    assert triggered.state.is_completed(), triggered.state
    assert [version.version for version in versions(up, "tiny")] == ["1"]


def test_the_deployment_and_the_model_are_seen_in_a_browser(up: Up, triggered: Any, tmp_path: Path) -> None:
    pictures = Path(os.environ.get("CAROUSEL_SCREENSHOTS", tmp_path))
    pictures.mkdir(parents=True, exist_ok=True)
    deployment = _deployment(up, "pipeline")
    with chromium() as browser:
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


def test_the_server_of_prefect_imports_with_the_installed_fastapi() -> None:
    code = "from prefect.server.api.server import create_app; create_app()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_prefect_deploy_registers_every_deployment_file_again_without_error(up: Up) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    command += ["--prefect-file", "deploy/prefect.yaml"]
    variables = {**os.environ, **up.addresses.variables, "PREFECT_HOME": str(up.home / "prefect")}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with prefect_client(up.addresses) as client:
        assert {"pipeline", "retrain", "predict", "promote"} <= {one.name for one in client.read_deployments()}


def test_a_deployment_with_a_cron_gets_scheduled_runs(up: Up) -> None:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
    from prefect.client.schemas.schedules import CronSchedule

    hourly = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 * * * *", timezone="UTC"), active=True)
    with prefect_client(up.addresses) as client:
        flow = client.create_flow_from_name("pins")
        deployment = client.create_deployment(flow, "hourly", schedules=[hourly])
        ours = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        wait_for(lambda: client.read_flow_runs(deployment_filter=ours), 150, "the scheduler created no run")
        scheduled = client.read_flow_runs(deployment_filter=ours)[0]
    assert scheduled.auto_scheduled
    assert scheduled.next_scheduled_start_time.minute == 0


def test_a_home_keeps_its_schedules_and_loses_its_processes_however_it_is_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(tmp_path) as running:
        _add_schedule(running, "retrain", cron="30 4 * * *")
        write_series(tmp_path / "tiny.csv", days=80)
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_experiment("tiny.csv")))
        under_way = _begun(running, {"experiment": "tiny.yaml"})
        assert len(processes_of(running.home)) > 4
        assert running.stop(signal.SIGINT) == 0
        _nothing_is_left(running.home)
    monkeypatch.setenv("CAROUSEL_HOME", str(running.home))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    ports = ["--prefect-port", str(services.free_port()), "--mlflow-port", str(services.free_port())]
    assert main(["up", "--detach", *ports]) == 0
    again = Up(running.process, _found(running.home), running.home, tmp_path)
    assert again.addresses.prefect in capsys.readouterr().out
    [schedule] = _deployment(again, "retrain").schedules
    assert (schedule.active, schedule.schedule.cron) == (True, "30 4 * * *")
    run = ended(again, under_way)
    assert run.state.is_completed(), "what was running when it ended goes on"
    assert run.run_count == 2
    assert main(["up"]) == 2
    assert "is running on" in capsys.readouterr().err
    assert main(["status"]) == 0
    told = capsys.readouterr().out
    assert told.count("answers") == 2
    assert "cron 30 4 * * *, UTC" in told
    os.kill(services.holder(Environment(home=running.home)) or 0, signal.SIGKILL)
    _nothing_is_left(running.home)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert main(["down"]) == 0
    assert main(["status"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"Nothing runs on {running.home}.\nServices on {running.home}: none: 'carousel up' starts")


def _nothing_is_left(home: Path) -> None:
    deadline = time.monotonic() + 30
    while (left := processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left


def _found(home: Path) -> services.Addresses:
    addresses = services.running(Environment(home=home))
    assert addresses
    return addresses


def _deployment(up: Up, name: str) -> Any:
    with prefect_client(up.addresses) as client:
        return client.read_deployment_by_name(f"{name}/{name}")


def _begun(up: Up, parameters: dict[str, Any]) -> Any:
    """Create a run of the pipeline and return it when it has begun."""
    run = trigger(up, "pipeline", parameters)
    wait_for(lambda: read(up, run.id).state.is_running(), 300, "it did not begin")
    return run


def _add_schedule(up: Up, name: str, cron: str) -> None:
    """Give a deployment a schedule as the UI does."""
    from prefect.client.schemas.schedules import CronSchedule

    with prefect_client(up.addresses) as client:
        deployment = client.read_deployment_by_name(f"{name}/{name}")
        client.create_deployment_schedules(deployment.id, [(CronSchedule(cron=cron, timezone="UTC"), True)])
