"""``carousel up`` left to itself: a schedule retrains, what is killed goes on, what is silent is taken up again.

Most of it is waiting, for minutes of a schedule and for silence, so one home serves all of it and waits once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
import yaml
from operated import ended, read, runs_of, trigger, versions, wait_for
from tiny import write_panel

from carousel.cli import main
from carousel.services import prefect_client
from tests.conftest import Up, processes_of, started, tiny_experiment, write_series

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
TAKEN_UP = timedelta(minutes=2)


@pytest.fixture(scope="module")
def unattended(tmp_path_factory: pytest.TempPathFactory, empty_home: Path) -> Iterator[Up]:
    """Servers of this file's own: it kills them."""
    with started(tmp_path_factory.mktemp("unattended"), empty_home) as running:
        yield running


@pytest.fixture(scope="module")
def abandoned(unattended: Up) -> dict[str, Any]:
    """Two runs without processes: one was alive and is silent since, one was never begun by the worker that took it."""
    from prefect.states import Pending, Running, Scheduled

    later = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=1))
    parameters = {"model": "nobody", "source": "x.csv"}
    with prefect_client(unattended.addresses) as client:
        deployment = client.read_deployment_by_name("predict/predict")
        made = {}
        for name, state in {"silent": Running(), "never began": Pending()}.items():
            run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters, state=later)
            client.set_flow_run_state(run.id, state, force=True)
            made[name] = run.id
        resource = {"prefect.resource.id": f"prefect.flow-run.{made['silent']}"}
        flow = {"prefect.resource.id": f"prefect.flow.{deployment.flow_id}", "prefect.resource.role": "flow"}
        emit(client, "prefect.flow-run.heartbeat", resource, [flow | {"prefect.resource.name": "predict"}])
    return made


@pytest.fixture(autouse=True)
def settled(unattended: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line works on the home of this file."""
    monkeypatch.setenv("CAROUSEL_HOME", str(unattended.home))
    monkeypatch.chdir(unattended.directory)


def test_a_schedule_of_every_minute_retrains_three_times_one_at_a_time_on_data_that_grow(
    unattended: Up, abandoned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = tiny_experiment("tiny.csv")
    grow(unattended, days=80)
    file = unattended.directory / "tiny.yaml"
    file.write_text(yaml.safe_dump(experiment | {"schedule": {"cron": "* * * * *", "time_zone": "Europe/Vienna"}}))
    assert ended(unattended, trigger(unattended, "pipeline", {"experiment": file.name})).state.is_completed()
    assert main(["schedule", "add", str(file)]) == 0
    assert capsys.readouterr().out == "tiny is trained again: cron * * * * *, Europe/Vienna.\n"
    for known, days in enumerate((90, 100, 110), start=1):
        grow(unattended, days)
        wait_for(lambda known=known: len(versions(unattended, "tiny")) > known, 300, f"no version after {known}")
    assert main(["schedule", "pause", "tiny"]) == 0
    assert main(["schedule", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[-1] == "paused"
    assert main(["schedule", "remove", "tiny"]) == 0
    runs = [ended(unattended, run) for run in runs_of(unattended, "retrain")]
    assert len(runs) >= 3
    assert all(run.auto_scheduled and run.state.is_completed() for run in runs), [run.state for run in runs]
    at_work = sorted(span for run in runs if (span := work_of(unattended, run)))
    assert len(at_work) >= 3
    assert all(before[1] <= after[0] for before, after in zip(at_work, at_work[1:], strict=False))
    found = versions(unattended, "tiny")
    assert len({version.tags["carousel.data"] for version in found}) == len(found) == 4
    assert all(version.tags["carousel.decision"] for version in found), "promoted, or why not"


def test_a_silent_run_is_marked_crashed_and_taken_up_again(unattended: Up, abandoned: dict[str, Any]) -> None:
    assert "Crashed" in is_taken_up(unattended, abandoned["silent"])


def test_a_run_goes_on_when_the_worker_and_the_servers_are_killed_and_trains_nothing_twice(unattended: Up) -> None:
    write_panel(unattended.directory / "panel.parquet", items=2000, steps=300)
    experiment = tiny_experiment("panel.parquet", "killed") | {
        "data": {"source": "panel.parquet", "item_id": ["item"], "timestamp": "step", "target": ["value"]},
        "problem": {"kind": "forecast", "horizon": 4, "season_length": 4},
        "search": {"time_budget": "120s", "max_trials": 2, "max_steps": 60},
        "fit": {"members": 1, "refit": "always", "checkpoint_every": 2},
    }
    before, earlier = set(stages(unattended)), set((unattended.home / "work").glob("*"))

    def new(pattern: str) -> list[Path]:
        return [path for path in (unattended.home / "work").glob(pattern) if not set(path.parents) & earlier]

    (unattended.directory / "killed.yaml").write_text(yaml.safe_dump(experiment))
    run = trigger(unattended, "pipeline", {"experiment": "killed.yaml"})
    wait_for(lambda: new("search-*/trial-*.safetensors"), 240, "the search did not begin", 0.05)
    kill(unattended, "mlflow server")
    kill(unattended, "carousel.prefect_app")
    wait_for(lambda: new("fit-*/checkpoints-0/last.ckpt"), 300, "the fit did not begin", 0.05)
    finished = stages(unattended)
    assert {path.partition("/")[0] for path in set(finished) - before} == {"ingest", "prepare", "search"}
    killed = datetime.now(UTC)
    kill(unattended, "prefect worker start")
    wait_for(lambda: state_is(unattended, run.id, "Completed"), 420, "it was not taken up again")
    again = [
        state.timestamp for state in states(unattended, run.id) if state.name == "Running" and state.timestamp > killed
    ]
    assert len(again) == 1
    assert again[0] - killed < TAKEN_UP
    assert {path: stamp for path, stamp in stages(unattended).items() if path in finished} == finished
    assert len(versions(unattended, "killed")) == 1


def test_a_run_that_never_began_is_taken_up_too(unattended: Up, abandoned: dict[str, Any]) -> None:
    is_taken_up(unattended, abandoned["never began"])  # By the next worker, or because it counts as crashed.


def test_down_ends_all_of_it(unattended: Up, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down"]) == 0
    assert capsys.readouterr().out == f"Stopped process {unattended.process.pid}.\n"
    assert unattended.process.wait(timeout=30) == 0
    assert processes_of(unattended.home) == []


def is_taken_up(unattended: Up, run_id: Any) -> list[str]:
    """Wait until a run without a process got one and failed in it, of its wrong input; return its states before."""
    run = wait_for(lambda: state_is(unattended, run_id, "Failed"), 400, "it was not taken up again")
    names = [state.name for state in states(unattended, run_id)]
    assert "AwaitingRetry" in names[:-1]
    assert "a model is NAME" in run.state.message
    return names[: names.index("AwaitingRetry")]


def grow(unattended: Up, days: int) -> None:
    """Let the source hold so many days, at once."""
    os.replace(write_series(unattended.directory / "next.csv", days), unattended.directory / "tiny.csv")


def state_is(unattended: Up, run_id: Any, name: str) -> Any:
    run = read(unattended, run_id)
    return run if run.state_name == name else None


def states(unattended: Up, run_id: Any) -> list[Any]:
    with prefect_client(unattended.addresses) as client:
        return sorted(client.read_flow_run_states(run_id), key=lambda state: state.timestamp)


def work_of(unattended: Up, run: Any) -> tuple[datetime, datetime] | None:
    """Return when the first task of a run, or of a run that it called, began, and when the last one ended."""
    from prefect.client.schemas.filters import FlowRunFilter

    with prefect_client(unattended.addresses) as client:
        children = client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate({"parent_flow_run_id": {"any_": [run.id]}})
        )
        family = {"id": {"any_": [run.id, *(child.id for child in children)]}}
        tasks = client.read_task_runs(flow_run_filter=FlowRunFilter.model_validate(family))
    spans = [(task.start_time, task.end_time) for task in tasks if task.start_time and task.end_time]
    return (min(span[0] for span in spans), max(span[1] for span in spans)) if spans else None


def emit(
    client: Any,
    event: str,
    resource: dict[str, str],
    related: list[dict[str, str]],
    payload: dict[str, Any] | None = None,
) -> None:
    """Send an event as Prefect's clients do."""
    told = {"id": str(uuid4()), "occurred": datetime.now(UTC).isoformat(), "event": event, "resource": resource}
    client.request("POST", "/events", json=[told | {"related": related, "payload": payload or {}}]).raise_for_status()


def stages(unattended: Up) -> dict[str, int]:
    """Return when each finished stage wrote its manifest."""
    found = (unattended.home / "stages").glob("*/*/manifest.json")
    return {str(path.relative_to(unattended.home / "stages")): path.stat().st_mtime_ns for path in found}


def kill(unattended: Up, command: str) -> None:
    """SIGKILL the process of the home that runs ``command``, and not its guard."""
    for process in processes_of(unattended.home):
        try:
            line = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue  # It has just ended.
        if command in line and "carousel.guard" not in line:
            psutil.Process(process.pid).send_signal(signal.SIGKILL)
            return
    raise AssertionError(f"no process runs {command}")
