"""A model that has become worse: monitor says so, Prefect retrains it, the gate promotes, and monitor is quiet."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from forms import chromium, picture
from operated import ended, runs_of, trigger, versions, wait_for

from tests.conftest import Up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NAME, SHOPS, HORIZON, GROWS_FROM = "visitors", 24, 7, 140
NOISE = 2.0
"""So much that what a model misses of the growth hardly counts: trained on it, it errs alike in all weeks."""
EXPERIMENT: dict[str, Any] = {
    "name": NAME,
    "data": {"source": "visitors.parquet", "item_id": "shop", "timestamp": "day", "target": "visitors"},
    "problem": {"kind": "forecast", "horizon": HORIZON, "season_length": 7},
    "split": {"test_windows": 2, "validation_windows": 1},
    "search": {"time_budget": "3m", "max_trials": 4, "max_steps": 200},
    "fit": {"members": 1, "refit": "never"},
    "evaluate": {"baselines": ["last_value"]},
}


def write_visitors(directory: Path, days: int) -> None:
    """Write shops whose visitors have the same week all the time, and from the day ``GROWS_FROM`` on grow each day."""
    rng, day = np.random.default_rng(3), np.arange(400)
    week = 4 * np.sin(2 * np.pi * day / 7)
    growth = 1.0 * np.maximum(day - GROWS_FROM, 0)
    stamps = np.datetime64("2024-01-01", "us") + day * np.timedelta64(1, "D")
    frames = [
        pl.DataFrame({"shop": f"shop {shop}", "day": stamps, "visitors": values}).head(days)
        for shop in range(SHOPS)
        for values in [30 + shop + week + growth + rng.normal(0, NOISE, len(day))]
    ]
    pl.concat(frames).write_parquet(directory / "next.parquet")
    os.replace(directory / "next.parquet", directory / "visitors.parquet")


def completed(up: Up, name: str, **parameters: Any) -> Any:
    run = ended(up, trigger(up, name, parameters))
    assert run.state.is_completed(), run.state
    return run


def health(up: Up) -> dict[str, Any]:
    """Let the deployment ``monitor`` look at the champion, and return what it newly wrote."""
    before = set((up.home / "stages" / "monitor").glob("*/health.json"))
    completed(up, "monitor", model=NAME)
    [written] = set((up.home / "stages" / "monitor").glob("*/health.json")) - before
    return json.loads(written.read_text())


def holders(up: Up) -> dict[str, str]:
    from mlflow import MlflowClient

    return MlflowClient(up.addresses.mlflow).get_registered_model(NAME).aliases


def sees_the_champion(up: Up, version: str, directory: Path) -> None:
    """Find the version with the alias champion in MLflow's user interface, as somebody does who looks for it."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{up.addresses.mlflow}/#/models")
        page.get_by_role("link", name=NAME, exact=True).first.wait_for(timeout=60_000)
        page.keyboard.press("Escape")  # MLflow greets a new visitor with a dialog.
        page.get_by_role("link", name=NAME, exact=True).first.click()
        row = page.get_by_role("row").filter(has_text=f"Version {version}")
        row.get_by_text("champion", exact=False).first.wait_for(timeout=60_000)
        page.wait_for_timeout(1000)
        picture(page, "mlflow-champion", directory)


def test_planted_degradation_is_found_retrained_promoted_and_then_over(up: Up, tmp_path: Path) -> None:
    write_visitors(up.directory, GROWS_FROM)
    (up.directory / "visitors.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    completed(up, "pipeline", experiment="visitors.yaml")
    assert holders(up) == {"challenger": "1", "champion": "1"}
    completed(up, "predict", model=NAME, source="visitors.parquet")
    retrained = {run.id for run in runs_of(up, "retrain")}

    write_visitors(up.directory, GROWS_FROM + 63)
    found = health(up)
    assert found["degraded"]
    assert any("level of visitors" in reason for reason in found["reasons"]), found["reasons"]
    assert any(reason.startswith("MASE of past predictions is") for reason in found["reasons"]), found["reasons"]
    [run] = wait_for(lambda: [run for run in runs_of(up, "retrain") if run.id not in retrained], 120, "no retraining")
    assert run.parameters["model"] == NAME
    run = ended(up, run)
    assert run.state.is_completed(), run.state
    newest = versions(up, NAME)[0]
    assert holders(up)["champion"] == "2", newest.tags["carousel.decision"]
    assert "better than champion" in newest.tags["carousel.decision"]
    sees_the_champion(up, "2", tmp_path)

    completed(up, "predict", model=NAME, source="visitors.parquet")
    write_visitors(up.directory, GROWS_FROM + 70)
    assert health(up)["reasons"] == []
    assert {run.id for run in runs_of(up, "retrain")} - retrained == {run.id}
