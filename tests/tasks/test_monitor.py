"""Monitor: a registered version, its past forecasts and the data since, in the store and registry as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from registered import register_untrained

from tasks import registry, store
from tasks.errors import InputError
from tasks.ingest import SeriesData, ingest_table
from tasks.kinds import forecast_monitoring
from tasks.monitor import MonitorConfig, watch_model
from tasks.predict import predict_table
from tasks.references import Health, ModelVersion, Table

HORIZON, TRAINED, SINCE = 7, 210, 28
ROLES: dict[str, Any] = {
    "item_id": "shop", "timestamp": "day", "target": "sold", "past_covariates": ["wind", "sky"],
}  # fmt: skip


def shops(days: int = TRAINED + SINCE, shift: float = 0.0) -> pl.DataFrame:
    """Four daily series with a week; ``shift`` is added to what is sold after the training."""
    rng, frames = np.random.default_rng(1), []
    for number in range(4):
        day, noise = np.arange(TRAINED + SINCE), rng.normal(0, 1, TRAINED + SINCE)
        values = {
            "shop": f"s{number}",
            "day": (np.datetime64("2024-01-01") + day).astype("datetime64[us]"),
            "sold": 50 + 5 * np.sin(2 * np.pi * day / 7) + noise + shift * (day >= TRAINED),
            "wind": rng.normal(8, 3, len(day)),
            "sky": rng.choice(["clear", "rain"], len(day)),
        }
        frames.append(pl.DataFrame(values).head(days))
    return pl.concat(frames)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, ModelVersion]]:
    """A version that has learned nothing but the scale of its data, with eight sealed windows of each series."""
    place = tmp_path_factory.mktemp("monitor")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAROUSEL_HOME", str(place / "home"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        version = register_untrained("shops", shops(TRAINED), place, HORIZON, windows=8, **ROLES)
        for days in range(TRAINED - 7, TRAINED + SINCE, HORIZON):
            predict_table.fn(version, ingested(shops(days), place))
        yield place / "home", version


@pytest.fixture
def version(trained: tuple[Path, ModelVersion], monkeypatch: pytest.MonkeyPatch) -> ModelVersion:
    monkeypatch.setenv("CAROUSEL_HOME", str(trained[0]))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return trained[1]


def ingested(rows: pl.DataFrame, directory: Path) -> Table:
    rows.write_parquet(directory / "since.parquet")
    return ingest_table.fn(SeriesData(source=str(directory / "since.parquet"), **ROLES))


def watched(version: ModelVersion, rows: pl.DataFrame, directory: Path) -> tuple[Health, dict[str, Any]]:
    health = watch_model.fn(version, ingested(rows, directory), MonitorConfig())
    return health, json.loads((store.path(health) / "health.json").read_text())


def drifted(told: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["column"], one["feature"]) for one in told["drift"] if one["drifted"]}


def since(rows: pl.DataFrame) -> pl.Expr:
    return pl.int_range(pl.len()).over("shop") >= TRAINED


def test_data_that_go_on_as_before_are_well_and_past_forecasts_are_measured(
    version: ModelVersion, tmp_path: Path
) -> None:
    health, told = watched(version, shops(), tmp_path)
    assert (health.degraded, health.reasons, told["notes"]) == (False, [], [])
    assert told["new"] == "4 blocks of 7 steps"
    assert told["tested"] == len(told["drift"]) == 2 * 5 + 4
    error, coverage = told["live"]
    assert (error["name"], error["count"], error["units"], error["by"]) == ("MASE", 16, 4, "period")
    assert error["low"] < error["now"] < error["high"]
    assert coverage["name"] == "coverage"
    page = (store.path(health) / "health.html").read_text()
    assert "Health of shops version 1" in page
    assert "Nothing is found to have changed" in page
    assert "plot-error-over-time" in page


def test_live_errors_are_those_of_the_forecasts_that_were_made(version: ModelVersion, tmp_path: Path) -> None:
    table = ingested(shops(), tmp_path)
    made = store.made_from("predict", version.fingerprint)
    assert len(made) == 5
    profiled = registry.profile(version)
    registered, live = forecast_monitoring.live(profiled, [store.path(one) for one in made], store.path(table))
    assert registered.group_by("period").len()["len"].to_list() == [4] * 8
    forecasts = pl.concat([pl.read_parquet(store.path(one) / "part-00000.parquet") for one in made])
    rows = forecasts.join(shops(), left_on=["item_id", "timestamp"], right_on=["shop", "day"])
    new = rows.filter(pl.col("timestamp") >= pl.lit("2024-07-29").str.to_datetime())
    units = pl.read_parquet(profiled / "units.parquet")
    scaled = new.join(units, on="item_id").select((pl.col("forecast") - pl.col("sold")).abs() / pl.col("unit"))
    assert live["error"].mean() == pytest.approx(scaled.to_series().mean())
    inside = new.select(pl.col("sold").is_between("q0.1", "q0.9")).to_series().mean()
    assert live["inside"].mean() == pytest.approx(inside)


def test_a_shift_degrades_the_model_by_its_level_and_by_its_error(version: ModelVersion, tmp_path: Path) -> None:
    health, told = watched(version, shops(shift=40.0), tmp_path)
    assert health.degraded
    assert ("sold", "level") in drifted(told)
    assert told["live"][0]["degraded"]
    assert health.reasons[0].startswith("MASE of past predictions is ")
    assert any("the level of sold is" in reason for reason in health.reasons)
    assert health.reasons[0] in (store.path(health) / "health.html").read_text()


def test_what_happens_to_a_covariate_is_named(version: ModelVersion, tmp_path: Path) -> None:
    rows = shops()
    dead = pl.when(since(rows)).then(8.0).otherwise("wind").alias("wind")
    new = pl.when(since(rows) & (pl.int_range(pl.len()) % 5 == 0)).then(pl.lit("fog")).otherwise("sky").alias("sky")
    _, told = watched(version, rows.with_columns(dead, new), tmp_path)
    assert {("wind", "stuck"), ("sky", "unseen")} <= drifted(told)
    assert not {column for column, _ in drifted(told)} - {"wind", "sky"}
    assert any("wind repeats itself in 100 % more" in reason for reason in told["reasons"])
    gone = pl.when(since(rows) & (pl.col("shop") == "s0")).then(None).otherwise("wind").alias("wind")
    assert drifted(watched(version, rows.with_columns(gone), tmp_path)[1]) == {("wind", "missing")}


def test_data_without_their_past_are_held_against_the_profile_alone(version: ModelVersion, tmp_path: Path) -> None:
    whole, alone = (watched(version, rows, tmp_path)[1] for rows in (shops(), shops().filter(since(shops()))))
    assert whole["live"] == alone["live"]
    for one, other in zip(*(sorted(told["drift"], key=str) for told in (whole, alone)), strict=True):
        # The first step that is new has no step before it to repeat.
        if one["feature"] != "stuck":
            assert one == pytest.approx(other)


def test_a_series_that_falls_silent_and_series_that_come_and_go(version: ModelVersion, tmp_path: Path) -> None:
    rows = shops()
    silent = pl.when(since(rows) & (pl.col("shop") == "s0")).then(None).otherwise("sold").alias("sold")
    assert ("sold", "missing") in drifted(watched(version, rows.with_columns(silent), tmp_path)[1])
    other = rows.filter(pl.col("shop") == "s1").with_columns(shop=pl.lit("s9"))
    changed = pl.concat([rows.filter(pl.col("shop") != "s3"), other])
    health, told = watched(version, changed, tmp_path)
    assert not health.degraded
    assert told["notes"] == [
        "1 series are new since the model was trained: they are not compared",
        "1 series that the model was trained on are not in the data",
    ]


def test_nothing_new_is_no_alarm(version: ModelVersion, tmp_path: Path) -> None:
    health, told = watched(version, shops(TRAINED), tmp_path)
    assert not health.degraded
    assert told["notes"] == [
        "fewer than 7 steps are new: too few to be compared",
        "no past prediction has its truth yet",
    ]


def test_data_of_another_step_are_refused(version: ModelVersion, tmp_path: Path) -> None:
    weekly = shops().filter(pl.col("day").dt.weekday() == 1)
    with pytest.raises(InputError, match=r"must have the model's step of 1d \(got 1w\)"):
        watched(version, weekly, tmp_path)


def test_a_version_without_a_profile_is_to_be_retrained(version: ModelVersion, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"registered by Carousel|registered without a profile"):
        registry.profile(ModelVersion("shops", "7", "", "0" * 32, False))
