"""Errors then and now: at most 1 in 20 unchanged models is said to be worse, at least 19 in 20 degraded ones are.

A family has a third of the significance of a run, as a monitor gives it. Days and series are bad by factors that the
test does not know, and a bad day is bad for all series.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from tasks.monitoring import live

SIGNIFICANCE = 0.05 / 3
RUNS = 200


def windows(errors: np.ndarray, inside: np.ndarray | None = None) -> pl.DataFrame:
    """Return a row for each of the errors [series, periods]."""
    series, periods = errors.shape
    return pl.DataFrame(
        {
            "period": np.tile(np.arange(periods), series),
            "unit": np.repeat([f"s{number}" for number in range(series)], periods),
            "error": errors.ravel(),
            "inside": pl.Series([None] * errors.size if inside is None else inside.ravel(), dtype=pl.Float64),
        }
    )


def days(rng: np.random.Generator, series: int, periods: int) -> np.ndarray:
    """Errors [series, periods] in which days are alike their neighbours, and all series share them."""
    shared = rng.normal(0, 0.3, periods)
    for day in range(1, periods):
        shared[day] += 0.5 * shared[day - 1]
    return np.exp(shared + rng.normal(0, 0.3, (series, 1)) + rng.normal(0, 0.3, (series, periods)))


def by_period(rng: np.random.Generator, factor: float, newest: int) -> live.Live | None:
    errors = days(rng, 3, 28 + newest)
    return live.errors("MASE", windows(errors[:, :28]), windows(factor * errors[:, 28:]), SIGNIFICANCE)


def by_series(rng: np.random.Generator, factor: float, _: int) -> live.Live | None:
    base = rng.normal(0, 0.5, (60, 1))
    then, now = (np.exp(base + rng.normal(0, 0.4, (60, 1)) + rng.normal(0, 0.05)) for _ in range(2))
    return live.errors("MASE", windows(then), windows(factor * now), SIGNIFICANCE)


def by_item(rng: np.random.Generator, factor: float, _: int) -> live.Live | None:
    then, now = (
        windows((rng.random((400, 1)) < share).astype(float)).with_columns(period=pl.lit(None, pl.Int64))
        for share in (0.1, 0.1 * factor)
    )
    return live.errors("error rate", then, now, SIGNIFICANCE)


CASES = [(by_period, 1), (by_period, 4), (by_period, 7), (by_series, 1), (by_item, 1)]


@pytest.mark.parametrize(("make", "newest"), CASES)
def test_of_200_models_that_are_as_good_as_they_were_at_most_1_in_20_is_called_worse(
    make: Callable[..., live.Live | None], newest: int
) -> None:
    rng = np.random.default_rng(3)
    found = [make(rng, 1.0, newest) for _ in range(RUNS)]
    assert all(found)
    assert sum(one.degraded for one in found if one) <= RUNS // 20


@pytest.mark.parametrize(("make", "newest", "factor"), [(by_period, 7, 3.0), (by_series, 1, 1.5), (by_item, 1, 2.0)])
def test_of_40_models_that_are_worse_at_least_19_in_20_are_found(
    make: Callable[..., live.Live | None], newest: int, factor: float
) -> None:
    rng = np.random.default_rng(4)
    found = [make(rng, factor, newest) for _ in range(40)]
    assert sum(one.degraded for one in found if one) >= 38


def test_intervals_that_hold_fewer_truths_are_found_and_those_that_hold_more_are_not() -> None:
    rng = np.random.default_rng(5)
    then, since = days(rng, 3, 28), days(rng, 3, 7)
    registered = windows(then, 0.8 + 0.1 * rng.normal(0, 1, then.shape))
    for share, degraded in ((0.8, False), (0.95, False), (0.5, True)):
        now = windows(since, share + 0.1 * rng.normal(0, 1, since.shape))
        figure = live.coverage(registered, now, SIGNIFICANCE)
        assert figure is not None
        assert (figure.degraded, figure.by, figure.units) == (degraded, "period", 7)


def test_a_little_more_error_does_not_count_however_sure_it_is() -> None:
    rng = np.random.default_rng(6)
    then = np.exp(rng.normal(0, 0.01, (3, 200)))
    figure = live.errors("MASE", windows(then), windows(1.05 * then), SIGNIFICANCE)
    assert figure is not None
    assert (figure.degraded, figure.p_value) == (False, 1.0)


def test_too_few_to_tell_are_named_and_nothing_is_nothing() -> None:
    few = windows(np.ones((3, 2)))
    figure = live.errors("MASE", few, few, SIGNIFICANCE)
    assert figure is not None
    assert (figure.p_value, figure.degraded, figure.note) == (None, False, "2 sealed periods of few series")
    assert live.errors("MASE", few, few.clear(), SIGNIFICANCE) is None
    assert live.coverage(few, few, SIGNIFICANCE) is None
