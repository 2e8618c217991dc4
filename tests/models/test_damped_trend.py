"""The forecast with a damped trend against statsmodels' smoothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from statsmodels.tsa.holtwinters import Holt
from windows import NAN, forecast, wandering

from models.inputs import damped_trend
from models.inputs.damped_trend import CONSTANTS, damped_trend_forecast

DRIFT = 0.3
"""A step: a trend that smoothing can find."""


def smoothed(x: np.ndarray, constants: tuple[float, float, float], horizon: int) -> tuple[float, np.ndarray]:
    """Return the sum of squared errors and the forecast, one step after the other."""
    alpha, beta, phi = constants
    level, trend, error = x[0], 0.0, 0.0
    for value in x:
        missed = value - (level + phi * trend)
        error += missed**2
        level, trend = level + phi * trend + alpha * missed, phi * trend + alpha * beta * missed
    return error, level + trend * np.cumsum(phi ** np.arange(1, horizon + 1))


@pytest.mark.parametrize("steps", [5, 31, 32, 33, 64, 100])
def test_without_a_season_it_is_the_recursion_with_the_best_constants(steps: int) -> None:
    chosen = set()
    for seed in range(8):
        x = wandering(seed, steps, DRIFT) if seed % 2 else 20 + np.random.default_rng(seed).normal(size=steps)
        best = min(CONSTANTS, key=lambda constants: smoothed(x, constants, 6)[0])
        chosen.add(best)
        # Not further outside of what was seen than the range of that.
        low, high = 2 * x.min() - x.max(), 2 * x.max() - x.min()
        np.testing.assert_allclose(
            forecast(damped_trend_forecast, x, season=1)[0], smoothed(x, best, 6)[1].clip(low, high), rtol=1e-5
        )
    assert len(chosen) > 1


@pytest.mark.parametrize(("alpha", "beta", "phi"), [(0.3, 0.5, 0.9), (0.85, 0.15, 0.97)])
def test_one_choice_of_constants_is_what_statsmodels_makes_of_it(
    alpha: float, beta: float, phi: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damped_trend, "CONSTANTS", [(alpha, beta, phi)])
    x = wandering(1, 90, DRIFT)
    model = Holt(x, damped_trend=True, initialization_method="known", initial_level=x[0], initial_trend=0.0)
    fitted = model.fit(smoothing_level=alpha, smoothing_trend=beta, damping_trend=phi, optimized=False)
    np.testing.assert_allclose(forecast(damped_trend_forecast, x, season=1)[0], fitted.forecast(6), rtol=1e-5)


def test_a_trend_goes_on_and_is_damped() -> None:
    steps = np.diff(forecast(damped_trend_forecast, np.arange(60.0), season=1, horizon=20)[0])
    assert 0.8 < steps[0] <= 1
    assert (np.diff(steps) < 0).all()


def test_a_missing_value_is_the_one_before() -> None:
    x = wandering(3, 40, DRIFT)
    gap, held = x.copy(), x.copy()
    gap[20:23], held[20:23] = NAN, x[19]
    np.testing.assert_allclose(
        forecast(damped_trend_forecast, gap, season=1), forecast(damped_trend_forecast, held, season=1), rtol=1e-5
    )


def test_mixed_precision_changes_nothing() -> None:
    windows = [wandering(seed, drift=DRIFT) for seed in range(20)]
    expected = forecast(damped_trend_forecast, *windows)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(forecast(damped_trend_forecast, *windows), expected)
