"""Predict: a registered version and new data in, parquet out, the same as the registered model says elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest
from registered import register_untrained

from tasks import registry, store
from tasks.data import buckets
from tasks.errors import InputError
from tasks.ingest import SeriesData, ingest_table
from tasks.predict import predict_table
from tasks.references import ModelVersion, Predictions, Table

QUANTILES = [f"q{level / 10:g}" for level in range(1, 10)]
ZONE = "America/New_York"
HOURLY: dict[str, Any] = {
    "item_id": "place", "timestamp": "at", "target": ["load", "flow"], "known_covariates": ["price", "event"],
    "past_covariates": "wind",
}  # fmt: skip
MONTHLY: dict[str, Any] = {"timestamp": "month", "target": "visits"}
INDEX: dict[str, Any] = {"item_id": "item", "timestamp": "step", "target": "y", "static_covariates": "size"}


def hourly(steps: int = 80, ahead: int = 0, places: str = "ab") -> pl.DataFrame:
    """Hours up to 9 March 2024 at 22:00 in New York, where clocks change four hours later, and ``ahead`` more."""
    rng, frames = np.random.default_rng(3), []
    last = np.datetime64("2024-03-10T03:00", "us")
    stamps = last + np.arange(1 - steps, ahead + 1) * np.timedelta64(1, "h")
    for number, place in enumerate(places):
        count = steps + ahead
        values = {
            "place": [place] * count,
            "at": pl.Series(stamps).dt.replace_time_zone("UTC").dt.convert_time_zone(ZONE),
            "load": 20 * (number + 1) + np.sin(np.arange(count) / 4) + rng.normal(0, 0.1, count),
            "flow": -5.0 + rng.normal(0, 1, count),
            "price": rng.normal(3, 1, count),
            "event": rng.choice(["none", "match"], count),
            "wind": rng.normal(3, 1, count),
        }
        emptied = [pl.when(pl.int_range(pl.len()) < steps).then(c).alias(c) for c in ("load", "flow", "wind")]
        frames.append(pl.DataFrame(values).with_columns(emptied))
    return pl.concat(frames)


def monthly() -> pl.DataFrame:
    months = pl.date_range(pl.date(2018, 2, 1), pl.date(2023, 12, 1), "1mo", eager=True).dt.month_end()
    return pl.DataFrame({"month": months, "visits": 100 + 9 * np.sin(np.arange(len(months)) * np.pi / 6)})


def index(items: int = 3) -> pl.DataFrame:
    frames = [
        pl.DataFrame(
            {"item": f"i{i:02d}", "step": np.arange(i, 40 + i), "y": np.arange(40.0) * i + 1, "size": float(i)}
        )
        for i in range(items)
    ]
    return pl.concat(frames)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, ModelVersion]]]:
    """Three registered versions: hours in a zone with several targets, ends of months, an integer index."""
    place = tmp_path_factory.mktemp("predict")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAROUSEL_HOME", str(place / "home"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        made = {
            "hourly": register_untrained("hourly", hourly(), place, 4, **HOURLY),
            "monthly": register_untrained("monthly", monthly(), place, 3, **MONTHLY),
            "index": register_untrained("index", index(), place, 3, **INDEX),
        }
        yield place / "home", made


@pytest.fixture
def version(versions: tuple[Path, dict[str, ModelVersion]], monkeypatch: pytest.MonkeyPatch) -> dict[str, ModelVersion]:
    monkeypatch.setenv("CAROUSEL_HOME", str(versions[0]))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return versions[1]


def ingested(rows: pl.DataFrame, directory: Path, **roles: Any) -> Table:
    rows.write_parquet(directory / "new.parquet")
    return ingest_table.fn(SeriesData(source=str(directory / "new.parquet"), **roles))


def read(predictions: Predictions) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(part) for part in sorted(store.path(predictions).glob("part-*.parquet"))])


def test_each_item_target_and_step_has_a_row_with_its_local_stamp(
    version: dict[str, ModelVersion], tmp_path: Path
) -> None:
    predictions = predict_table.fn(version["hourly"], ingested(hourly(ahead=4), tmp_path, **HOURLY))
    rows = read(predictions)
    assert (predictions.rows, predictions.items) == (16, 2)
    assert rows.columns == ["item_id", "target", "timestamp", "forecast", *QUANTILES]
    assert rows.select("item_id", "target").unique(maintain_order=True).rows() == [
        ("a", "load"), ("a", "flow"), ("b", "load"), ("b", "flow"),
    ]  # fmt: skip
    assert rows.schema["timestamp"] == pl.Datetime("us", ZONE)
    shown = [stamp.isoformat() for stamp in rows["timestamp"][:4]]
    assert shown == [f"2024-03-{day}:00:00-05:00" for day in ("09T23", "10T00", "10T01")] + [
        "2024-03-10T03:00:00-04:00"
    ]
    assert rows["forecast"].to_list() == rows["q0.5"].to_list()
    assert (np.diff(rows.select(QUANTILES).to_numpy(), axis=1) >= 0).all()


def test_several_targets_in_a_zone_are_forecast_as_by_the_registered_model(
    version: dict[str, ModelVersion], tmp_path: Path
) -> None:
    rows = hourly(ahead=4)
    staged = read(predict_table.fn(version["hourly"], ingested(rows, tmp_path, **HOURLY)))
    model = mlflow.pyfunc.load_model("models:/hourly/1")
    table = rows.to_pandas()
    with pytest.raises(mlflow.exceptions.MlflowException, match="timezone-naive"):
        model.predict(table)
    card = registry.client().get_model_version("hourly", "1").description or ""
    scope: dict[str, Any] = {"table": table, "pd": pd}
    exec("\n".join(line for line in card.splitlines() if line.startswith("table")), scope)
    served = pl.from_pandas(model.predict(scope["table"]))
    assert served.select("place", "target").rows() == staged.select("item_id", "target").rows()
    utc = staged["timestamp"].dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    assert served["at"].cast(pl.Datetime("us")).to_list() == utc.to_list()
    for name in ("forecast", *QUANTILES):
        np.testing.assert_allclose(served[name], staged[name], rtol=1e-6, err_msg=name)


def test_ends_of_months_are_followed_by_ends_of_months(version: dict[str, ModelVersion], tmp_path: Path) -> None:
    staged = read(predict_table.fn(version["monthly"], ingested(monthly(), tmp_path, **MONTHLY)))
    assert [str(stamp)[:10] for stamp in staged["timestamp"]] == ["2024-01-31", "2024-02-29", "2024-03-31"]
    served = mlflow.pyfunc.load_model("models:/monthly/1").predict(monthly().to_pandas())
    assert list(served.columns) == ["month", "forecast", *QUANTILES]
    assert [str(stamp)[:10] for stamp in served["month"]] == ["2024-01-31", "2024-02-29", "2024-03-31"]
    np.testing.assert_allclose(served[QUANTILES], staged.select(QUANTILES), rtol=1e-6)


def test_an_index_goes_on_from_each_items_own_last_step(version: dict[str, ModelVersion], tmp_path: Path) -> None:
    staged = read(predict_table.fn(version["index"], ingested(index(), tmp_path, **INDEX)))
    assert staged["timestamp"].to_list() == [40, 41, 42, 41, 42, 43, 42, 43, 44]
    served = mlflow.pyfunc.load_model("models:/index/1").predict(index().to_pandas())
    assert served["step"].tolist() == staged["timestamp"].to_list()
    np.testing.assert_allclose(served[QUANTILES], staged.select(QUANTILES), rtol=1e-6)


def test_tables_of_several_parts_give_a_file_each_and_the_same_forecasts(
    version: dict[str, ModelVersion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(predict_table.fn(version["index"], ingested(index(9), tmp_path, **INDEX)))
    monkeypatch.setattr(buckets, "CELLS", 400)
    (tmp_path / "other").mkdir()
    shuffled = index(9).sample(fraction=1, shuffle=True, seed=0)
    table = ingested(shuffled, tmp_path / "other", **INDEX)
    predictions = predict_table.fn(version["index"], table)
    parts = sorted(path.name for path in store.path(predictions).glob("*.parquet"))
    assert parts == sorted(path.name for path in store.path(table).glob("part-*.parquet"))
    assert len(parts) > 2
    assert (predictions.rows, predictions.items) == (27, 9)
    for name in ("item_id", "timestamp"):
        assert read(predictions)[name].to_list() == whole[name].to_list()
    np.testing.assert_allclose(read(predictions).select(QUANTILES), whole.select(QUANTILES), rtol=1e-5)


def test_the_same_prediction_is_computed_once(version: dict[str, ModelVersion], tmp_path: Path) -> None:
    table = ingested(index(), tmp_path, **INDEX)
    first = predict_table.fn(version["index"], table)
    written = (store.path(first) / "manifest.json").stat().st_mtime_ns
    assert predict_table.fn(version["index"], table) == first
    assert (store.path(first) / "manifest.json").stat().st_mtime_ns == written


def test_new_data_of_another_step_are_refused(version: dict[str, ModelVersion], tmp_path: Path) -> None:
    every_other = hourly(ahead=4).filter(pl.col("at").dt.hour() % 2 == 0, pl.col("at").dt.day() < 10)
    with pytest.raises(InputError, match=r"must have the model's step of 1h \(got 2h\): give data of the same"):
        predict_table.fn(version["hourly"], ingested(every_other, tmp_path, **HOURLY))


def test_known_covariates_that_end_too_early_are_refused(version: dict[str, ModelVersion], tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        predict_table.fn(version["hourly"], ingested(hourly(ahead=3), tmp_path, **HOURLY))
    assert refused.value.rule == "known covariates ['price', 'event'] must reach 4 steps past the last target"
    assert refused.value.received == "3 for 'a'"
    assert refused.value.remedy == "add rows for the horizon, with the target empty"


def test_a_table_without_a_column_of_the_model_is_refused(version: dict[str, ModelVersion], tmp_path: Path) -> None:
    roles = {**HOURLY, "known_covariates": ["price"]}
    with pytest.raises(InputError, match=r"columns that the model was trained on \(got none called event\)"):
        predict_table.fn(version["hourly"], ingested(hourly(ahead=4), tmp_path, **roles))


def test_a_column_of_another_type_is_refused(version: dict[str, ModelVersion], tmp_path: Path) -> None:
    rows = hourly(ahead=4).with_columns(event=pl.lit(7))
    with pytest.raises(InputError, match=r"'event' must hold text, as the training data did \(got numbers\)"):
        predict_table.fn(version["hourly"], ingested(rows, tmp_path, **HOURLY))


def test_a_category_column_without_any_value_is_unknown_throughout(
    version: dict[str, ModelVersion], tmp_path: Path
) -> None:
    tables = []
    for name, event in (("none", pl.lit(None, dtype=pl.String)), ("new", pl.lit("carnival"))):
        (tmp_path / name).mkdir()
        tables.append(ingested(hourly(ahead=4).with_columns(event=event), tmp_path / name, **HOURLY))
    empty, new = (read(predict_table.fn(version["hourly"], table)) for table in tables)
    assert empty.equals(new)


def test_a_refused_prediction_leaves_nothing_behind(version: dict[str, ModelVersion], tmp_path: Path) -> None:
    table = ingested(hourly(ahead=2), tmp_path, **HOURLY)
    root = Path(store.path(table)).parents[1] / "predict"
    before = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.exists() else []
    with pytest.raises(InputError):
        predict_table.fn(version["hourly"], table)
    assert sorted(path.name for path in root.iterdir() if path.is_dir()) == before


@pytest.mark.parametrize("model", ["index", "index@champion", "index@challenger", "index/1"])
def test_a_version_is_found_by_name_alias_and_number(version: dict[str, ModelVersion], model: str) -> None:
    client = registry.client()
    client.set_registered_model_alias("index", "champion", "1")
    found = registry.resolve(model)
    assert (found.name, found.version, found.fingerprint) == ("index", "1", version["index"].fingerprint)
    assert found.champion


@pytest.mark.parametrize("model", ["nobody", "index@nobody", "index/99", "index/x", ""])
def test_a_version_that_does_not_exist_is_refused_with_those_that_do(
    version: dict[str, ModelVersion], model: str
) -> None:
    with pytest.raises(InputError, match=r"choose .*: hourly, index, monthly") as refused:
        registry.resolve(model)
    assert refused.value.received == repr(model)


def test_a_version_of_somebody_else_is_refused(version: dict[str, ModelVersion], tmp_path: Path) -> None:
    client = registry.client()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "weights.txt").write_text("not ours")
    client.create_registered_model("foreign")
    try:
        client.create_model_version("foreign", str(tmp_path / "foreign"))
        table = ingested(index(), tmp_path, **INDEX)
        with pytest.raises(InputError, match=r"registered by Carousel \(got foreign version 1: no artifacts/bundle\)"):
            predict_table.fn(registry.resolve("foreign/1"), table)
    finally:
        client.delete_registered_model("foreign")
