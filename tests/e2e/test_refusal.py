"""A run on broken data ends with status 2 before anything is trained, and leaves nothing in the registry."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import mlflow
import polars as pl
import pytest
from tiny import finish, write_experiment, write_panel

pytestmark = pytest.mark.slow


def test_a_run_on_broken_data_says_why_and_registers_nothing(
    tmp_path: Path, carousel: Callable[..., subprocess.Popen[str]]
) -> None:
    write_panel(tmp_path / "panel.parquet")
    panel = pl.read_parquet(tmp_path / "panel.parquet")
    pl.concat([panel, panel.head(3)]).write_parquet(tmp_path / "panel.parquet")
    printed = finish(carousel("run", str(write_experiment(tmp_path, {}))), status=2)
    for part in ("received: ", "remedy: ", "item-0000", "data.duplicates"):
        assert part in printed
    home = tmp_path / "mlruns"
    assert not list(home.glob("stages/*/*/manifest.json"))
    assert not (home / "optuna.db").exists()
    assert mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}").search_registered_models() == []
