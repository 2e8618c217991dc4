"""Grids, local clocks and calendar features, against pandas and zoneinfo."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from models.calendar import Frequency, feature_names, features, wall_clock

HOUR = 3600 * 10**6
DAY = 24 * HOUR
PANDAS = {"s": "s", "m": "min", "h": "h", "d": "D", "w": "7D"}


def micros(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


def stamps(*texts: str) -> np.ndarray:
    return np.array([micros(text) for text in texts])


@pytest.mark.parametrize("text", ["0h", "h", "1.5h", "-1d", "1 h", "1x", "", "1H"])
def test_what_is_no_frequency_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"\(got '.*'\): write for example 1h"):
        Frequency.parse(text)


@pytest.mark.parametrize("text", ["1s", "15m", "1h", "1d", "2w", "1mo", "1q", "3y", "1", "10"])
def test_a_frequency_is_written_as_it_is_read(text: str) -> None:
    assert str(Frequency.parse(text)) == text


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("unit", ["s", "m", "h", "d", "w"])
@pytest.mark.parametrize("start", ["2023-12-30T22:15:30", "1969-12-31T23:00", "2024-02-28"])
def test_a_grid_of_even_steps_is_that_of_pandas(count: int, unit: str, start: str) -> None:
    grid = Frequency(count, unit).grid(micros(start), 50)
    expected = pd.Timestamp(start) + np.arange(50) * count * pd.Timedelta(1, PANDAS[unit].lstrip("7")) * (
        7 if unit == "w" else 1
    )
    np.testing.assert_array_equal(grid.astype("datetime64[us]"), np.array(expected, dtype="datetime64[us]"))


@pytest.mark.parametrize(("frequency", "months"), [("1mo", 1), ("2mo", 2), ("1q", 3), ("1y", 12), ("2y", 24)])
@pytest.mark.parametrize("start", ["2023-11-01", "2023-11-15T06:00", "1960-02-10", "2023-01-30", "2023-01-29"])
def test_a_grid_of_months_keeps_the_day_and_ends_with_the_month(frequency: str, months: int, start: str) -> None:
    grid = Frequency.parse(frequency).grid(micros(start), 40)
    expected = [pd.Timestamp(start) + pd.DateOffset(months=months * i) for i in range(40)]
    np.testing.assert_array_equal(grid.astype("datetime64[us]"), np.array(expected, dtype="datetime64[us]"))


@pytest.mark.parametrize(("frequency", "alias"), [("1mo", "ME"), ("1q", "QE"), ("1y", "YE")])
@pytest.mark.parametrize("start", ["2023-12-31", "1964-02-29", "2023-04-30T12:00"])
def test_a_grid_of_months_that_begins_on_a_last_day_keeps_to_last_days(frequency: str, alias: str, start: str) -> None:
    step = Frequency.parse(frequency)
    grid = step.grid(micros(start), 30)
    if start.startswith("2023-12") or alias == "ME":
        expected = pd.date_range(start, periods=30, freq=alias).to_numpy("datetime64[us]")
        np.testing.assert_array_equal(grid.astype("datetime64[us]"), expected)
    np.testing.assert_array_equal(step.steps_from(np.full(30, grid[0]), grid), np.arange(30))
    assert {step.phase(int(stamp)) for stamp in grid} == {step.phase(int(grid[0]))}


@pytest.mark.parametrize("frequency", ["1s", "15m", "1h", "6h", "1d", "2d", "1w", "1mo", "2mo", "1q", "1y", "1", "5"])
def test_steps_are_counted_back_from_every_grid(frequency: str) -> None:
    step = Frequency.parse(frequency)
    start = 7 if frequency in ("1", "5") else micros("2023-03-26T00:00")
    grid = step.grid(start, 60)
    np.testing.assert_array_equal(step.steps_from(np.full(60, start), grid), np.arange(60))
    assert [step.steps_between(start, int(stamp)) for stamp in grid] == list(range(60))
    assert {step.phase(int(stamp)) for stamp in grid} == {step.phase(start)}


@pytest.mark.parametrize(
    ("frequency", "first", "stamp"),
    [
        ("1h", "2024-01-01T00:00", "2024-01-01T00:30"),
        ("1d", "2024-01-01T00:00", "2024-01-02T01:00"),
        ("2d", "2024-01-01", "2024-01-04"),
        ("1w", "2024-01-01", "2024-01-09"),
        ("1mo", "2024-01-01", "2024-02-02"),
        ("1mo", "2024-01-01T00:00", "2024-02-01T00:01"),
        ("1mo", "2024-01-31", "2024-02-28"),
        ("1mo", "2024-01-30T00:00", "2024-02-29T01:00"),
        ("1q", "2024-01-01", "2024-03-01"),
        ("1y", "2024-01-01", "2024-07-01"),
    ],
)
def test_a_stamp_off_the_grid_has_no_step(frequency: str, first: str, stamp: str) -> None:
    assert Frequency.parse(frequency).steps_from(stamps(first), stamps(stamp)).tolist() == [-1]


def test_an_index_off_the_grid_has_no_step() -> None:
    assert Frequency.parse("5").steps_from(np.array([2, 2]), np.array([12, 13])).tolist() == [2, -1]


def test_a_series_of_twenty_eighths_that_begins_in_february_lies_on_a_grid() -> None:
    firsts, given = stamps("2023-02-28", "2023-02-28"), stamps("2023-03-28", "2023-03-31")
    assert Frequency.parse("1mo").steps_from(firsts, given).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("frequency", "one", "other"),
    [
        ("1h", "2024-01-01T00:00", "2024-01-01T00:30"),
        ("2d", "2024-01-01", "2024-01-02"),
        ("1w", "2024-01-01", "2024-01-04"),
        ("1mo", "2024-01-01", "2024-01-02"),
        ("1mo", "2024-01-30", "2024-01-31"),
        ("1mo", "2024-01-01T00:00:00.000005", "2024-01-31T00:00:00.000006"),
        ("1q", "2024-01-01", "2024-02-01"),
        ("1y", "2024-01-01", "2024-07-01"),
    ],
)
def test_stamps_of_two_grids_differ_in_phase(frequency: str, one: str, other: str) -> None:
    step = Frequency.parse(frequency)
    assert step.phase(micros(one)) != step.phase(micros(other))


@pytest.mark.parametrize(
    ("frequency", "season"),
    [
        ("1s", 60), ("1m", 1440), ("15m", 96), ("30m", 48), ("1h", 24), ("6h", 4), ("1d", 7), ("1w", 52), ("1mo", 12),
        ("3mo", 4), ("1q", 4), ("1y", 1), ("5y", 1), ("7d", 1), ("1", 1),
    ],
)  # fmt: skip
def test_the_season_is_the_natural_one_of_the_unit(frequency: str, season: int) -> None:
    assert Frequency.parse(frequency).season_length == season


ZONES = ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("start", ["2024-03-09", "2024-03-30", "2024-10-26", "2024-11-02", "2011-12-29", "1965-10-30"])
def test_the_wall_clock_is_that_of_the_zone_through_every_change(zone: str, start: str) -> None:
    instants = micros(start) + np.arange(0, 3 * 96) * 15 * 60 * 10**6 + 7
    shown = wall_clock(instants, zone).astype("datetime64[us]")
    expected = [
        datetime.fromtimestamp(i // 10**6, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None, microsecond=7)
        for i in instants.tolist()
    ]
    np.testing.assert_array_equal(shown, np.array(expected, dtype="datetime64[us]"))


def test_without_a_zone_the_wall_shows_the_stamp() -> None:
    instants = np.arange(5) * HOUR
    assert wall_clock(instants, None) is instants


def test_hours_across_a_change_of_clocks_keep_their_local_hour_as_a_feature() -> None:
    grid = Frequency.parse("1h").grid(micros("2024-03-09T05:00"), 48)
    local = pd.DatetimeIndex(grid.astype("datetime64[us]")).tz_localize("UTC").tz_convert("America/New_York")
    made = features(wall_clock(grid, "America/New_York"), Frequency.parse("1h"))
    np.testing.assert_allclose(made[:, 0], np.sin(2 * np.pi * local.hour / 24), atol=1e-6)
    np.testing.assert_allclose(made[:, 1], np.cos(2 * np.pi * local.hour / 24), atol=1e-6)
    assert list(local.hour[20:28]) == [20, 21, 22, 23, 0, 1, 3, 4]


@pytest.mark.parametrize(
    ("frequency", "names"),
    [
        ("1h", ["day_sin", "day_cos", "week_sin", "week_cos", "weekend", "year_sin", "year_cos"]),
        ("1d", ["week_sin", "week_cos", "weekend", "year_sin", "year_cos"]),
        ("1w", ["year_sin", "year_cos"]),
        ("1mo", ["year_sin", "year_cos"]),
        ("1q", ["year_sin", "year_cos"]),
        ("1y", []),
        ("1", []),
    ],
)
def test_features_are_named_in_their_order_and_only_those_that_the_step_can_show(
    frequency: str, names: list[str]
) -> None:
    step = Frequency.parse(frequency)
    made = features(step.grid(micros("2024-01-05T06:00"), 9), step)
    assert feature_names(step) == names
    assert (made.shape, made.dtype) == ((9, len(names)), np.float32)


def test_features_are_the_phases_of_day_week_and_year() -> None:
    when = pd.DatetimeIndex(["2024-01-01T00:00", "2024-01-06T18:00", "2023-12-31T12:00", "1968-02-29T06:00"])
    made = features(when.to_numpy("datetime64[us]").astype(np.int64), Frequency.parse("1h"))
    day = (when - when.normalize()) / pd.Timedelta("1D")
    phases = [day, (when.weekday + day) / 7, (when.dayofyear - 1) / 366]
    for i, phase in zip((0, 2, 5), phases, strict=True):
        np.testing.assert_allclose(made[:, i], np.sin(2 * np.pi * phase), atol=1e-6)
        np.testing.assert_allclose(made[:, i + 1], np.cos(2 * np.pi * phase), atol=1e-6)
    assert made[:, 4].tolist() == [0, 1, 1, 0]
