"""Runs as a worker executes them: a failure tells how to go on, a retry goes on from there, a question waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from deployed import Deployed
from forms import chromium, picture
from mlflow import MlflowClient

from carousel.services import Addresses
from flows.launch import launch
from flows.promote import promote
from flows.retrain import retrain
from tests.conftest import tiny_experiment, write_series

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def experiment(directory: Path, name: str, **changes: Any) -> str:
    """Write a tiny experiment with ``changes`` into ``directory`` and return the name of the file."""
    (directory / "tiny.yaml").write_text(yaml.safe_dump({**tiny_experiment("tiny.csv", name), **changes}))
    return "tiny.yaml"


def stages(directory: Path) -> dict[Path, int]:
    """Return the outputs in the store, with the times at which they were made."""
    return {path: path.stat().st_mtime_ns for path in directory.glob("home/stages/*/*/manifest.json")}


def test_all_that_is_wrong_with_an_experiment_is_told_in_the_runs_message_and_beside_it(
    running: Addresses, tmp_path: Path
) -> None:
    deployed = Deployed(running, launch, tmp_path)
    run = deployed.begin(experiment=experiment(tmp_path, "wrong", serach={}, fit={"members": 0}))
    state = deployed.state(run)
    assert state.is_failed()
    for said in ("serach: no such parameter (got 'serach'): did you mean search?", "fit.members: must be greater"):
        assert said in str(state.message)
    [told] = deployed.artifacts(run, "failure")
    assert "## 2 of 2" in told.data
    assert "| **remedy** | did you mean search?" in told.data


def test_a_failed_stage_tells_the_remedy_and_a_retry_goes_on_from_there(running: Addresses, tmp_path: Path) -> None:
    deployed = Deployed(running, launch, tmp_path)
    run = deployed.begin(experiment=experiment(tmp_path, "retried"))
    assert deployed.state(run).is_failed()
    [told] = deployed.artifacts(run, "failure")
    assert told.task_run_id is not None, "the stage that failed is known"
    assert told.data.startswith("# ingest failed")
    assert "| **received** | " in told.data
    assert "tiny.csv" in told.data
    [asked] = deployed.artifacts(run, "experiment")
    echoed = yaml.safe_load(asked.data.removeprefix("```yaml\n").removesuffix("```"))
    assert (echoed["name"], echoed["search"]["max_trials"], echoed["fit"]["precision"]) == ("retried", 2, "32-true")

    made: dict[Path, int] = {}
    for days in (80, 90):
        write_series(tmp_path / "tiny.csv", days=days)
        deployed.retry(run, MLFLOW_TRACKING_URI="sqlite:////proc/nowhere/mlflow.db")
        assert deployed.state(run).is_failed()
        assert deployed.artifacts(run, "failure")[-1].data.startswith("# find previous search failed\n\n```\n")
        made = made or stages(tmp_path)
        assert sorted(path.parents[1].name for path in made) == ["ingest", "prepare"]
    assert stages(tmp_path) == made, "it goes on with the data that it began with"


def answer(prefect: str, run: UUID, choice: str, comment: str, directory: Path) -> None:
    """Answer the question of ``run`` in Prefect's user interface."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1200})
        page.goto(f"{prefect}/v2/runs/flow-run/{run}")
        page.get_by_text("Suspended").first.wait_for(timeout=60_000)
        picture(page, "prefect-suspended", directory)
        page.locator("button[aria-haspopup=menu]").first.click()
        page.get_by_role("menuitem", name="Resume").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("Shall it become champion?").wait_for()
        dialog.get_by_label("Select Answer").click()
        page.get_by_role("option", name=choice).click()
        dialog.get_by_role("textbox").last.fill(comment)
        page.wait_for_timeout(500)
        picture(page, "prefect-approve", directory)
        dialog.get_by_role("button", name="Resume").click()
        page.get_by_text("Flow run resumed").wait_for()


def test_a_version_that_passed_waits_until_the_user_interface_has_an_answer(running: Addresses, tmp_path: Path) -> None:
    write_series(tmp_path / "tiny.csv", days=80)
    changes = {"register": {"promote": "approve"}, "evaluate": {"baselines": ["last_value"]}}
    deployed = Deployed(running, launch, tmp_path)
    run = deployed.begin(experiment=experiment(tmp_path, "asked", **changes))
    assert deployed.state(run).name == "Suspended", (tmp_path / "flow-run.log").read_text()
    registry = MlflowClient(running.mlflow)
    assert registry.get_registered_model("asked").aliases == {"challenger": "1"}
    assert registry.get_model_version("asked", "1").tags["carousel.decision"].startswith("waits for approval")

    write_series(tmp_path / "tiny.csv", days=90)
    made = stages(tmp_path)
    answer(running.prefect, run, "promote", "well done", tmp_path)
    deployed.execute(run)
    assert deployed.state(run).is_completed(), (tmp_path / "flow-run.log").read_text()
    assert stages(tmp_path) == made, "nothing was computed again, though the source has grown"
    assert registry.get_registered_model("asked").aliases == {"challenger": "1", "champion": "1"}
    assert (
        "approved (well done); no baseline is better"
        in registry.get_model_version("asked", "1").tags["carousel.decision"]
    )

    write_series(tmp_path / "tiny.csv", days=80)
    again = Deployed(running, retrain, tmp_path)
    run = again.begin(model="asked")
    assert again.state(run).is_completed(), (tmp_path / "flow-run.log").read_text()
    assert stages(tmp_path) == made, "the same data, and a version that was decided on: nothing to do, nobody to ask"

    registry.delete_registered_model_alias("asked", "champion")
    by_hand = Deployed(running, promote, tmp_path)
    run = by_hand.begin(model="asked/1", why="by hand")
    assert by_hand.state(run).is_completed(), (tmp_path / "flow-run.log").read_text()
    assert registry.get_registered_model("asked").aliases["champion"] == "1"
