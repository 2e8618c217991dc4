"""Prepare: from a table written by the real ingest to ragged arrays whose test part nobody else can see."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from models.calendar import Frequency, features, wall_clock
from models.encoding import Encoding
from models.panel import Panel, Windows
from models.problem import Forecast
from models.sampling import WindowSampler
from tasks import store
from tasks.data import buckets
from tasks.errors import InputError
from tasks.kinds import forecast_calendar
from tasks.kinds.forecast_dataset import ForecastDataset
from tasks.kinds.forecast_prediction import lay_out
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.references import Dataset, Table

ARRAYS = [field.name for field in fields(Panel) if field.name != "encoding"]
ROLES: dict[str, Any] = {
    "item_id": "k",
    "past_covariates": ["wind", "sky"],
    "known_covariates": ["price", "holiday"],
    "static_covariates": ["size", "region"],
}


def frame(items: dict[str, int], seed: int = 0) -> pl.DataFrame:
    """Daily items of the given lengths with a covariate of every role and type."""
    rng, parts = np.random.default_rng(seed), []
    for number, (item, steps) in enumerate(items.items()):
        part = {
            "k": [item] * steps,
            "t": (np.datetime64("2024-01-01") + number + np.arange(steps)).astype("datetime64[us]"),
            "y": 100 * (number + 1) + rng.normal(0, 5, steps),
            "z": -(number + 1) + rng.normal(0, 1, steps),
            "wind": rng.normal(8, 3, steps),
            "sky": rng.choice(["clear", "rain"], steps),
            "price": rng.normal(2, 0.5, steps),
            "holiday": rng.choice(["none", "eve"], steps),
            "size": [float(number)] * steps,
            "region": ["north" if number % 2 else "south"] * steps,
        }
        parts.append(pl.DataFrame(part))
    return pl.concat(parts)


class Prepared:
    """What ``prepare_dataset`` left in the store, read back."""

    def __init__(self, dataset: Dataset) -> None:
        self.reference, self.directory = dataset, store.path(dataset)
        self.opened = ForecastDataset(self.directory)
        self.train, self.sealed = (Panel.open(self.directory / name) for name in ("train", "sealed"))
        self.series = pl.read_parquet(self.directory / "series.parquet")

    @property
    def encoding(self) -> Encoding:
        return self.opened.facts.encoding

    @property
    def findings(self) -> list[dict[str, Any]]:
        return json.loads((self.directory / "dataset.json").read_text())["findings"]


@pytest.fixture
def prepared(ingest: Callable[..., Any], tmp_path: Path) -> Callable[..., Prepared]:
    """Ingest a frame and prepare it: ``ingest`` for the one, ``problem`` and ``split`` for the other."""

    def call(rows: pl.DataFrame, problem: dict[str, Any], split: dict[str, Any], **roles: Any) -> Prepared:
        rows.write_parquet(tmp_path / "data.parquet")
        table = ingest(tmp_path / "data.parquet", **roles).table
        return Prepared(prepare_dataset.fn(table, Forecast(**problem), SplitConfig(**split)))

    return call


def same(one: torch.Tensor, other: Any) -> bool:
    return np.array_equal(one.numpy(), np.asarray(other), equal_nan=one.is_floating_point())


SHORT: dict[str, Any] = {"horizon": 4, "season_length": 7}


def test_the_split_is_the_picture_of_its_docstring(prepared: Callable[..., Prepared]) -> None:
    """Thirty steps, windows of horizon 4 every 3: test origins 20, 23, 26, validation origins 13 and 16."""
    split = {"test_windows": 3, "validation_windows": 2, "stride": 3}
    one = prepared(frame({"a": 30, "b": 41}), SHORT, split, item_id="k")
    assert one.opened.train_end.tolist() == [20, 31]
    assert [w.tolist() for w in one.opened.test_windows()] == [[0, 0, 0, 1, 1, 1], [20, 23, 26, 31, 34, 37]]
    assert [w.tolist() for w in one.opened.validation_windows()] == [[0, 0, 1, 1], [13, 16, 24, 27]]
    assert one.opened.training_stops(with_validation=False).tolist() == [13, 24]
    assert one.opened.training_stops(with_validation=True).tolist() == [20, 31]
    assert one.train.lengths.tolist() == [20, 31]
    assert one.sealed.lengths.tolist() == [30, 41]


def test_without_a_stride_windows_stand_side_by_side(prepared: Callable[..., Prepared]) -> None:
    one = prepared(frame({"a": 30}), SHORT, {"test_windows": 2, "validation_windows": 2}, item_id="k")
    assert one.opened.test_windows()[1].tolist() == [22, 26]
    assert one.opened.validation_windows()[1].tolist() == [14, 18]


def test_arrays_hold_the_table_and_the_reference_its_size(prepared: Callable[..., Prepared]) -> None:
    rows = frame({"a": 30, "b": 41})
    one = prepared(rows, SHORT, {}, **ROLES)
    assert (one.reference.kind, one.reference.items, one.reference.steps) == ("forecast", 2, 71)
    assert same(one.sealed.target, rows["y"])
    assert same(one.sealed.offsets, [0, 30, 71])
    encoding = one.encoding
    assert (encoding.numeric, encoding.categorical) == (["wind", "price"], ["sky", "holiday"])
    for i, name in enumerate(encoding.numeric):
        assert same(one.sealed.numeric[:, i], encoding.encode_numeric(name, rows[name].to_numpy()))
    for i, name in enumerate(encoding.categorical):
        assert same(one.sealed.codes[:, i], encoding.encode_categories(name, rows[name].to_list()))
    assert same(one.sealed.static_numeric[:, 0], encoding.encode_numeric("size", np.array([0.0, 1.0])))
    assert one.sealed.static_codes.tolist() == [[2], [1]]
    assert encoding.vocabularies == {"sky": ["clear", "rain"], "holiday": ["eve", "none"], "region": ["north", "south"]}
    facts = one.opened.facts
    assert (facts.horizon, facts.season_length, facts.frequency, facts.longest) == (4, 7, "1d", 37)
    assert (facts.item_columns, facts.time_column, facts.targets) == (["k"], "t", ["y"])
    assert one.series.rows() == [
        ("a", "y", 1_704_067_200_000_000, 30, 26),
        ("b", "y", 1_704_153_600_000_000, 41, 37),
    ]


def test_scalers_are_the_moments_of_the_training_part(prepared: Callable[..., Prepared]) -> None:
    rows = frame({"a": 30, "b": 41})
    training = pl.concat([rows.filter(k="a").head(26), rows.filter(k="b").head(37)])
    for name, affine in prepared(rows, SHORT, {}, **ROLES).encoding.affine.items():
        assert affine.mean == pytest.approx(training[name].mean())
        assert affine.std == pytest.approx(training[name].std(ddof=0))


def planted(rows: pl.DataFrame) -> pl.DataFrame:
    """Change every value of each item's last four days, to something huge or new."""
    late = pl.int_range(pl.len()).over("k") >= pl.len().over("k") - 4
    changes = {"y": 1e9, "z": -1e9, "wind": 1e7, "price": -1e7, "sky": "meteors", "holiday": "carnival"}
    return rows.with_columns(
        pl.when(late).then(pl.lit(value)).otherwise(name).alias(name) for name, value in changes.items()
    )


def test_the_test_part_leaves_no_trace_outside_of_the_sealed_panel(prepared: Callable[..., Prepared]) -> None:
    rows = frame({"a": 30, "b": 41})
    clean, dirty = prepared(rows, SHORT, {}, **ROLES), prepared(planted(rows), SHORT, {}, **ROLES)
    assert clean.reference != dirty.reference
    for path in sorted((clean.directory / "train").iterdir()):
        assert path.read_bytes() == (dirty.directory / "train" / path.name).read_bytes(), path.name
    for name in ("dataset.json", "train_end.npy", "series.parquet"):
        assert (clean.directory / name).read_bytes() == (dirty.directory / name).read_bytes(), name
    assert float(dirty.train.target.max()) < 1000
    assert same(dirty.sealed.error_scale, clean.sealed.error_scale)


def test_what_only_the_test_part_holds_is_unknown_and_scaled_by_the_training_part(
    prepared: Callable[..., Prepared],
) -> None:
    one = prepared(planted(frame({"a": 30, "b": 41})), SHORT, {}, **ROLES)
    assert one.sealed.codes[26:30].tolist() == [[0, 0]] * 4
    assert (one.sealed.codes[:26] > 0).all()
    affine = one.encoding.affine["wind"]
    assert one.sealed.numeric[29, 0].item() == pytest.approx((1e7 - affine.mean) / affine.std, rel=1e-5)
    assert one.sealed.target[26:30].tolist() == [1e9] * 4


def test_a_category_of_the_validation_part_is_known(prepared: Callable[..., Prepared]) -> None:
    rows = frame({"a": 30}).with_columns(
        sky=pl.when(pl.int_range(pl.len()) == 24).then(pl.lit("fog")).otherwise("sky"), t="t"
    )
    assert prepared(rows, SHORT, {}, **ROLES).encoding.vocabularies["sky"] == ["clear", "fog", "rain"]


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e9 + 0.1, 0.0])
def test_a_covariate_that_was_constant_in_training_cannot_explode_afterwards(
    prepared: Callable[..., Prepared], value: float
) -> None:
    late = pl.int_range(pl.len()) >= 997
    rows = frame({"a": 1000}).with_columns(wind=pl.when(late).then(value + 1.5).otherwise(value))
    one = prepared(rows, SHORT, {}, **ROLES)
    assert one.encoding.affine["wind"].std == 1.0
    assert one.train.numeric[:, 0].abs().max() < 1e-6
    assert one.sealed.numeric[-1, 0].item() == pytest.approx(1.5)


def test_scalers_of_far_levels_keep_their_small_spread(prepared: Callable[..., Prepared]) -> None:
    rows = frame({"a": 300}).with_columns(pl.col("wind") + 1e9)
    affine = prepared(rows, SHORT, {}, **ROLES).encoding.affine["wind"]
    assert affine.std == pytest.approx(rows["wind"][:296].std(ddof=0), rel=1e-6)


def test_each_target_is_a_series_of_its_own_with_its_name_as_a_category(prepared: Callable[..., Prepared]) -> None:
    rows = frame({"a": 30, "b": 41})
    rows = rows.with_columns(z=pl.when(pl.int_range(pl.len()).over("k") < 25).then("z"))
    one = prepared(rows, SHORT, {}, **ROLES, target=["y", "z"])
    assert sorted(one.series.select("item_id", "target", "steps").rows()) == [
        ("a", "y", 30), ("a", "z", 25), ("b", "y", 41), ("b", "z", 25),
    ]  # fmt: skip
    assert one.encoding.static_categorical == ["region", Encoding.TARGET]
    assert one.encoding.vocabularies[Encoding.TARGET] == ["y", "z"]
    for number, (item, target, _, steps, train_end) in enumerate(one.series.rows()):
        given = rows.filter(k=item).head(steps)
        assert train_end == steps - 4
        assert same(one.sealed.target[int(one.sealed.offsets[number]) :][:steps], given[target])
        assert same(one.train.target[int(one.train.offsets[number]) :][:train_end], given[target][:train_end])
        assert one.sealed.static_codes[number].tolist() == [2 if item == "a" else 1, 1 if target == "y" else 2]
        wind = one.sealed.numeric[int(one.sealed.offsets[number]) :][:steps, 0]
        assert same(wind, one.encoding.encode_numeric("wind", given["wind"].to_numpy()))


def test_gaps_are_nan_in_the_target_and_in_covariates_and_unknown_in_categories(
    prepared: Callable[..., Prepared],
) -> None:
    rows = frame({"a": 30}).with_row_index("n").filter(pl.col("n") != 11)
    rows = rows.with_columns(y=pl.when(pl.col("n") != 7).then("y"), wind=pl.when(pl.col("n") != 5).then("wind"))
    one = prepared(rows.drop("n"), SHORT, {}, **ROLES)
    assert np.flatnonzero(one.sealed.target.isnan()).tolist() == [7, 11]
    assert np.flatnonzero(one.sealed.numeric[:, 0].isnan()).tolist() == [5, 11]
    assert np.flatnonzero(one.sealed.codes[:, 0] == 0).tolist() == [11]
    assert one.sealed.static_codes.tolist() == [[1]]
    assert one.opened.train_end.tolist() == [26]


def test_steps_after_the_last_observed_target_are_no_part_of_a_series(prepared: Callable[..., Prepared]) -> None:
    rows = frame({"a": 30, "b": 41})
    rows = rows.with_columns(y=pl.when((pl.col("k") == "a") | (pl.int_range(pl.len()).over("k") < 35)).then("y"))
    one = prepared(rows, SHORT, {}, **ROLES)
    assert one.sealed.lengths.tolist() == [30, 35]
    assert one.opened.train_end.tolist() == [26, 31]
    assert not one.sealed.target.isnan().any()


def test_series_that_are_too_short_are_reported_and_kept_out_of_the_search(prepared: Callable[..., Prepared]) -> None:
    rows = frame({"a": 30, "b": 12, "c": 6, "d": 4, "e": 2, "f": 13})
    one = prepared(rows, SHORT, {}, item_id="k")
    assert one.opened.train_end.tolist() == [26, 8, 2, 0, 0, 9]
    (finding,) = one.findings
    assert (finding["check"], finding["level"], finding["items"]) == ("short_series", "warning", 4)
    assert finding["message"] == "4 series have fewer than 13 steps: b, c, d, e"
    assert finding["examples"] == ["b", "c", "d", "e"]
    assert set(one.opened.test_windows()[0].tolist()) == {0, 1, 2, 5}
    assert set(one.opened.validation_windows()[0].tolist()) == {0, 1, 5}
    sampler = WindowSampler.before(one.opened.training_stops(False), 4, 7, 64, seed=0)
    assert sampler.eligible.tolist() == [0, 5]


def test_a_table_of_nothing_but_short_series_is_refused(prepared: Callable[..., Prepared]) -> None:
    with pytest.raises(InputError) as refused:
        prepared(frame({"a": 12, "b": 9}), SHORT, {}, item_id="k")
    assert refused.value.rule == "horizon must fit the data: a series needs 13 steps to train, validate and test on"
    assert refused.value.received.endswith("1 validation and 1 test windows; the longest series has 12 steps")
    assert "lower problem.horizon" in refused.value.remedy


def test_the_longest_series_that_is_too_short_and_the_shortest_that_is_not_differ_by_one_step(
    prepared: Callable[..., Prepared],
) -> None:
    split = {"test_windows": 2, "validation_windows": 3, "stride": 2}
    assert prepared(frame({"a": 19}), SHORT, split, item_id="k").findings == []
    with pytest.raises(InputError, match="needs 19 steps"):
        prepared(frame({"a": 18}), SHORT, split, item_id="k")


@pytest.mark.parametrize(
    ("lengths", "given", "expected"),
    [
        ({f"s{i}": 200 for i in range(10)}, {}, 12),
        ({f"s{i}": 200 for i in range(10)}, {"validation_windows": 2}, 2),
        ({f"s{i}": 200 for i in range(10)}, {"stride": 1}, 46),
        ({f"s{i}": 30 + i for i in range(10)}, {}, 1),
        ({f"s{i}": 4000 for i in range(4)}, {}, 249),
        ({**{f"s{i}": 200 for i in range(8)}, "t": 20, "u": 21}, {}, 2),
    ],
    ids=["a fourth", "as given", "close together", "short", "many", "the shortest tenth"],
)
def test_validation_windows_are_as_many_as_compare_soundly_and_the_series_can_spare(
    lengths: dict[str, int], given: dict[str, int], expected: int, prepared: Callable[..., Prepared]
) -> None:
    opened = prepared(frame(lengths), SHORT, given, item_id="k").opened
    assert opened.split.validation_windows == expected
    assert opened.training_stops(with_validation=False).max() > SHORT["horizon"]


def test_tables_of_several_parts_give_the_arrays_of_one(
    prepared: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    rows = frame({name: 25 + i for i, name in enumerate("abcdefg")})
    one = prepared(rows, SHORT, {}, **ROLES, target=["y", "z"])
    monkeypatch.setattr(buckets, "CELLS", 600)
    monkeypatch.setenv("CAROUSEL_HOME", str(home.with_name("other")))
    several = prepared(rows, SHORT, {}, **ROLES, target=["y", "z"])
    assert len(list((home.with_name("other") / "stages" / "ingest").glob("*/part-*.parquet"))) > 2
    assert several.encoding.vocabularies == one.encoding.vocabularies
    for column, affine in several.encoding.affine.items():
        assert affine.mean == pytest.approx(one.encoding.affine[column].mean)
        assert affine.std == pytest.approx(one.encoding.affine[column].std)
    order = [
        one.series.select("item_id", "target").rows().index(r)
        for r in several.series.select("item_id", "target").rows()
    ]
    for number, origin in enumerate(order):
        ends = several.opened.train_end[[number]]
        left = several.sealed.gather(torch.tensor([number]), torch.from_numpy(ends), 14, 4)
        right = one.sealed.gather(torch.tensor([origin]), torch.from_numpy(ends), 14, 4)
        for field in fields(Windows):
            torch.testing.assert_close(
                getattr(left, field.name), getattr(right, field.name), equal_nan=True, msg=field.name
            )


def hourly(zone: str | None, starts: list[str], steps: int = 72) -> pl.DataFrame:
    frames = []
    for i, start in enumerate(starts):
        instants = np.datetime64(start, "us") + np.arange(steps) * np.timedelta64(1, "h")
        stamps = (
            pl.Series(instants).dt.replace_time_zone("UTC").dt.convert_time_zone(zone) if zone else pl.Series(instants)
        )
        frames.append(pl.DataFrame({"k": [f"i{i}"] * steps, "t": stamps, "y": np.arange(steps) % 24.0}))
    return pl.concat(frames)


@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_calendar_rows_are_those_of_each_items_own_stamps(prepared: Callable[..., Prepared], zone: str | None) -> None:
    starts = ["2024-03-09T05:00", "2024-03-08T05:30", "2024-03-09T07:00"]
    one = prepared(hourly(zone, starts), {"horizon": 5}, {}, item_id="k")
    facts, frequency = one.opened.facts, Frequency.parse("1h")
    assert (facts.season_length, facts.time_zone, facts.calendar_width) == (24, zone, 7)
    for item, start in enumerate(starts):
        grid = frequency.grid(int(np.datetime64(start, "us").astype(np.int64)), 72 + 5)
        expected = features(wall_clock(grid, zone), frequency)
        first = int(one.sealed.calendar_start[item])
        assert same(one.sealed.calendar[first : first + 77], expected)
    shared = one.sealed.calendar_start[2] - one.sealed.calendar_start[0]
    assert int(shared) == 2


def test_a_calendar_of_many_grids_is_written_a_stretch_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each series begins at a second of its own, so that no two share a row."""
    monkeypatch.setattr(forecast_calendar, "CHUNK", 1000)
    starts, steps, frequency = np.arange(300) * 1_000_000, np.full(300, 2500), Frequency.parse("1h")
    series, laid = pl.DataFrame({"start": starts}), forecast_calendar.on_disk(tmp_path / "calendar.npy")
    tracemalloc.start()
    calendar, rows = forecast_calendar.lay_calendar(series, steps, 24, frequency, "UTC", laid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert calendar.shape == (300 * 2524, 7)
    assert peak < calendar.nbytes / 10
    for number in (0, 17, 299):
        expected = features(frequency.grid(int(starts[number]), 2524), frequency)
        np.testing.assert_array_equal(calendar[rows[number] : rows[number] + 2524], expected)


@pytest.mark.parametrize(("frequency", "season"), [("1mo", 12), ("1q", 4)])
def test_calendar_rows_of_months_ends_are_those_of_the_ends(
    prepared: Callable[..., Prepared], frequency: str, season: int
) -> None:
    ends = pl.date_range(pl.date(2019, 12, 1), pl.date(2034, 1, 1), frequency, eager=True).dt.month_end()
    rows = pl.DataFrame({"k": ["a"] * 40, "t": ends[:40], "y": np.arange(40.0)})
    one = prepared(rows, {"horizon": 3}, {}, item_id="k")
    assert (one.opened.facts.frequency, one.opened.facts.season_length) == (frequency, season)
    stamps = ends[:43].cast(pl.Datetime("us")).to_physical().to_numpy()
    assert same(one.sealed.calendar[:43], features(stamps, Frequency.parse(frequency)))


def test_an_integer_index_has_no_calendar(prepared: Callable[..., Prepared]) -> None:
    rows = pl.DataFrame({"k": ["a"] * 30 + ["b"] * 20, "t": [*range(30), *range(5, 25)], "y": np.arange(50.0)})
    one = prepared(rows, SHORT, {}, item_id="k")
    assert one.sealed.calendar.shape == (34, 0)
    assert one.sealed.gather(torch.tensor([0, 1]), torch.tensor([30, 20]), 7, 4).known_calendar_BFA.shape == (2, 4, 0)


def test_error_scales_are_the_seasonal_naive_errors_of_the_training_part(prepared: Callable[..., Prepared]) -> None:
    rows = frame({"a": 30, "b": 41})
    one = prepared(rows, SHORT, {}, item_id="k")
    for number, (item, end) in enumerate([("a", 26), ("b", 37)]):
        training = rows.filter(k=item)["y"].to_numpy()[:end]
        expected = np.abs(training[7:] - training[:-7]).mean()
        for panel in (one.train, one.sealed):
            assert panel.error_scale[number].item() == pytest.approx(expected)


def test_too_many_categories_are_refused_by_name(
    prepared: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.kinds import forecast_panel

    monkeypatch.setattr(forecast_panel, "MOST_CATEGORIES", 1)
    with pytest.raises(InputError, match="a categorical column may have 1 values") as refused:
        prepared(frame({"a": 30}), SHORT, {}, **ROLES)
    assert refused.value.received in ("more in column 'sky'", "more in column 'holiday'")


def test_a_table_laid_out_for_prediction_has_the_windows_of_the_sealed_panel(
    prepared: Callable[..., Prepared], home: Path
) -> None:
    rows = frame({"a": 30, "b": 41}).with_row_index("n").filter(pl.col("n") != 11)
    rows = rows.with_columns(y=pl.when(pl.col("n") != 7).then("y"), sky=pl.when(pl.col("n") != 9).then("sky"))
    one = prepared(rows.drop("n"), SHORT, {}, **ROLES, target=["y", "z"])
    (part,) = (home / "stages" / "ingest").glob("*/part-*.parquet")
    upcoming = lay_out(pl.read_parquet(part).with_columns(known_to_the_end()), one.opened.facts)
    order = one.series.select("item_id", "target").rows()
    assert sorted(zip(upcoming.item_ids, upcoming.targets, strict=True)) == sorted(order)
    for number, name in enumerate(zip(upcoming.item_ids, upcoming.targets, strict=True)):
        end = torch.from_numpy(upcoming.ends_N[[number]])
        assert end.item() == one.opened.train_end[order.index(name)]
        left = upcoming.panel.gather(torch.tensor([number]), end, 14, 4)
        right = one.sealed.gather(torch.tensor([order.index(name)]), end, 14, 4)
        for field in {field.name for field in fields(Windows)} - {"truth_BF", "error_scale_B"}:
            ours, theirs = getattr(left, field), getattr(right, field)
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=f"{name} {field}")
    assert upcoming.stamps(one.opened.facts).shape == (4, 4)


def known_to_the_end() -> list[pl.Expr]:
    """Empty the targets of the sealed part, as a table for a prediction has them."""
    late = pl.int_range(pl.len()).over("item_id") >= pl.len().over("item_id") - 4
    return [pl.when(~late).then(name).alias(name) for name in ("y", "z")]


def test_the_same_call_computes_nothing_and_another_split_something_else(
    ingest: Callable[..., Any], tmp_path: Path
) -> None:
    frame({"a": 30}).write_parquet(tmp_path / "data.parquet")
    table: Table = ingest(tmp_path / "data.parquet", item_id="k").table
    first = prepare_dataset.fn(table, Forecast(**SHORT), SplitConfig())
    written = (store.path(first) / "manifest.json").stat().st_mtime_ns
    assert prepare_dataset.fn(table, Forecast(**SHORT), SplitConfig()) == first
    assert (store.path(first) / "manifest.json").stat().st_mtime_ns == written
    for problem, split in [(SHORT | {"horizon": 3}, {}), (SHORT, {"test_windows": 2}), (SHORT, {"stride": 1})]:
        assert prepare_dataset.fn(table, Forecast(**problem), SplitConfig(**split)) != first


def test_upcoming_windows_of_a_daily_series_keep_a_midnight_that_the_clocks_skipped(
    ingest: Callable[..., Any], tmp_path: Path
) -> None:
    """In Sao Paulo 4 November 2018 began at 01:00."""
    days = pl.date_range(pl.date(2018, 10, 1), pl.date(2018, 11, 20), eager=True)
    pl.DataFrame({"t": days, "y": np.arange(len(days)) % 7.0}).write_parquet(tmp_path / "data.parquet")
    ingested = ingest(tmp_path / "data.parquet", time_zone="America/Sao_Paulo")
    facts = ForecastDataset(store.path(prepare_dataset.fn(ingested.table, Forecast(horizon=4), SplitConfig()))).facts
    upcoming = lay_out(ingested.rows, facts)
    assert upcoming.ends_N.tolist() == [51]
    shown = upcoming.stamps(facts)[0].astype("datetime64[us]").astype(str)
    assert [text[:16] for text in shown] == [f"2018-11-{day}T00:00" for day in (21, 22, 23, 24)]
