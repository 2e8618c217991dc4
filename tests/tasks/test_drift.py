"""Drift: at most 1 in 20 runs on data that did not change raises an alarm, at least 19 in 20 on data that did.

A run is a table of several series that a model was trained on, and the weeks that came since. Here a column is a run:
what is found in it is corrected as one family, with three times the strictness that a monitor has for the inputs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from tasks.monitoring import drift, series
from tasks.monitoring.drift import Finding
from tasks.monitoring.features import Spans

SEASON, BEFORE, SINCE = 7, 420, 28
NULL, PLANTED = 200, 40
SIGNIFICANCE = 0.05 / 3
Make = Callable[[np.random.Generator, int, int], np.ndarray]


def seasonal(rng: np.random.Generator, items: int, steps: int) -> np.ndarray:
    """Series [items, steps] with a weekly season, each with its own level, and noise of AR(1)."""
    noise = rng.normal(0, 1, (items, steps))
    for step in range(1, steps):
        noise[:, step] += 0.7 * noise[:, step - 1]
    week = np.sin(2 * np.pi * (np.arange(steps) / SEASON + rng.random((items, 1))))
    return rng.normal(100, 30, (items, 1)) + 2 * week + noise


def wandering(rng: np.random.Generator, items: int, steps: int) -> np.ndarray:
    """Random walks [items, steps] that all move together in part."""
    return rng.normal(0, 1, (items, steps)).cumsum(axis=1) + rng.normal(0, 0.7, steps).cumsum()


def growing(rng: np.random.Generator, items: int, steps: int) -> np.ndarray:
    """Series [items, steps] with a trend, a season and noise that grow with the level."""
    level = np.exp(0.5 * np.arange(steps) / steps + rng.normal(0, 0.3, (items, 1)))
    week = 0.3 * np.sin(2 * np.pi * np.arange(steps) / SEASON)
    return 100 * level * (1 + week + 0.1 * rng.standard_t(4, (items, steps)))


def counted(rng: np.random.Generator, items: int, steps: int) -> np.ndarray:
    """Rare sales [items, steps]: most steps are 0."""
    return rng.poisson(0.4 * (1 + np.sin(2 * np.pi * np.arange(steps) / SEASON)) ** 2, (items, steps)).astype(float)


def alarms(runs: list[np.ndarray]) -> list[list[Finding]]:
    """Return what each run's monitor finds that drifted; a run is [items, BEFORE + SINCE], NaN what is missing."""
    items, steps = runs[0].shape
    frame = pl.DataFrame(
        {
            "item_id": np.repeat([f"i{item:02d}" for item in range(items)], steps),
            "position": np.tile(np.arange(steps) - BEFORE, items),
        }
    ).with_columns(pl.Series(str(run), values.ravel()).fill_nan(None) for run, values in enumerate(runs))
    known = series.learn([frame], list(map(str, range(len(runs)))), [], Spans.of(SEASON))
    findings, blocks = series.watch([frame], known)
    assert blocks == SINCE // SEASON
    by_run = [[one for one in findings if one.column == str(run)] for run in range(len(runs))]
    return [[one for one in drift.holm(of_run, SIGNIFICANCE) if one.drifted] for of_run in by_run]


@pytest.mark.parametrize("items", [1, 6])
@pytest.mark.parametrize("make", [seasonal, wandering, growing, counted])
def test_of_200_runs_on_data_that_did_not_change_at_most_1_in_20_raises_an_alarm(make: Make, items: int) -> None:
    rng = np.random.default_rng(11)
    found = alarms([make(rng, items, BEFORE + SINCE) for _ in range(NULL)])
    assert sum(map(bool, found)) <= NULL // 20, [one for run in found for one in run]


Plant = Callable[[np.ndarray, np.random.Generator, int], None]
"""Changes a run from a step on."""


def level(run: np.ndarray, rng: np.random.Generator, start: int) -> None:
    run[:, start:] += 2 * run[:, :start].std(axis=1, keepdims=True)


def variance(run: np.ndarray, rng: np.random.Generator, start: int) -> None:
    run[:, start:] += rng.normal(0, 2 * run[:, :start].std(axis=1, keepdims=True), run[:, start:].shape)


def seasonality(run: np.ndarray, rng: np.random.Generator, start: int) -> None:
    """The days of the week change places: what was the week's first half becomes its second."""
    run[:, start:] = np.roll(run, 3, axis=1)[:, start:]


def dead_sensor(run: np.ndarray, rng: np.random.Generator, start: int) -> None:
    run[:, start:] = run[:, start - 1 : start]


def silent_sensor(run: np.ndarray, rng: np.random.Generator, start: int) -> None:
    run[0, start:] = np.nan


@pytest.mark.parametrize("make", [seasonal, growing])
@pytest.mark.parametrize(
    ("plant", "features"),
    [
        (level, {"level"}),
        (variance, {"spread"}),
        (seasonality, {"season"}),
        (dead_sensor, {"stuck"}),
        (silent_sensor, {"missing"}),
    ],
)
def test_of_40_planted_drifts_at_least_19_in_20_are_found_and_named(
    make: Make, plant: Plant, features: set[str]
) -> None:
    rng = np.random.default_rng(12)
    runs = [make(rng, 6, BEFORE + SINCE) for _ in range(PLANTED)]
    for run in runs:
        plant(run, rng, BEFORE)
    found = [{one.feature for one in run} for run in alarms(runs)]
    assert sum(bool(of_run & features) for of_run in found) >= 0.95 * PLANTED, found


@pytest.mark.parametrize(
    ("plant", "known"), [(level, 35), (variance, 70), (seasonality, 35), (dead_sensor, 35), (silent_sensor, 35)]
)
def test_of_100_models_that_were_trained_again_on_the_change_at_most_1_in_20_raises_an_alarm(
    plant: Plant, known: int
) -> None:
    rng = np.random.default_rng(13)
    runs = [seasonal(rng, 6, BEFORE + SINCE) for _ in range(NULL // 2)]
    for run in runs:
        plant(run, rng, BEFORE - known)
    found = alarms(runs)
    assert sum(map(bool, found)) <= NULL // 40, [one for run in found for one in run]
