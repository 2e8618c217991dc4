"""A tiny experiment, and the command line as a child process."""

from __future__ import annotations

import subprocess
from pathlib import Path

import polars as pl
import yaml


def write_panel(target: Path, items: int = 12, steps: int = 80, seed: int = 0) -> None:
    """Write a panel with a season of 4 and an integer index."""
    rows = pl.DataFrame({"item": range(items)}).join(pl.DataFrame({"step": range(steps)}), how="cross")
    season = pl.col("step") % 4 * (pl.col("item") % 3 + 1)
    noise = (pl.col("step") * 37 + pl.col("item") * 11 + seed).hash(seed=7) % 1000 / 1000.0
    rows.with_columns(value=10 + pl.col("item") + season + noise).with_columns(
        pl.col("item").map_elements(lambda i: f"item-{i:04d}", return_dtype=pl.String)
    ).write_parquet(target)


def write_experiment(directory: Path, changes: dict[str, dict]) -> Path:
    """Write a tiny experiment on ``panel.parquet`` beside it, with ``changes`` of its sections."""
    values: dict[str, dict] = {
        "data": {"source": str(directory / "panel.parquet"), "item_id": "item", "timestamp": "step", "target": "value"},
        "problem": {"kind": "forecast", "horizon": 4, "season_length": 4},
        "search": {"time_budget": "60s", "max_trials": 3, "max_steps": 20},
        "fit": {"members": 1, "checkpoint_every": 5, "refit": "never"},
        "evaluate": {"baselines": ["last_value", "seasonal_naive"]},
    }
    merged = {section: {**content, **changes.get(section, {})} for section, content in values.items()}
    path = directory / "experiment.yaml"
    path.write_text(yaml.safe_dump({"name": "tiny", **merged}))
    return path


def finish(process: subprocess.Popen[str], status: int = 0) -> str:
    """Wait for ``process`` and return what it printed; its exit status must be ``status``."""
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == status, printed
    return printed
