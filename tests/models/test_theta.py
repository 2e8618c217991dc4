"""The Theta forecast against its parts as others compute them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from statsmodels.tsa.holtwinters import SimpleExpSmoothing
from windows import NAN, WAVE, forecast, wandering

from models.inputs import theta
from models.inputs.theta import ALPHAS, theta_forecast


@pytest.mark.parametrize("steps", [6, 31, 32, 33, 100])
def test_without_a_season_it_is_exponential_smoothing_and_half_the_slope(steps: int) -> None:
    for seed in range(3):
        x = wandering(seed, steps)
        smoothed = []
        for alpha in ALPHAS:
            # Sums that are divided by the sum of their weights, one step at a time.
            level, weight, error = 0.0, 0.0, 0.0
            for value in x:
                error += (value - level / weight) ** 2 if weight else 0.0
                level, weight = (1 - alpha) * level + value, (1 - alpha) * weight + 1
            smoothed.append((error, level / weight))
        slope = np.polyfit(np.arange(steps), x, 1)[0]
        expected = min(smoothed)[1] + slope / 2 * np.arange(1, 7)
        np.testing.assert_allclose(forecast(theta_forecast, x, season=1)[0], expected, rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.3, 0.95])
def test_a_long_window_is_smoothed_as_statsmodels_does(alpha: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theta, "ALPHAS", (alpha,))
    x = wandering(0, 300)
    fitted = SimpleExpSmoothing(x, initialization_method="known", initial_level=x[0]).fit(alpha, optimized=False)
    level = theta._newest_level(torch.tensor(x)[None])
    np.testing.assert_allclose(level.numpy(), fitted.forecast(1), rtol=1e-9)


def test_missing_values_are_passed_over() -> None:
    x = wandering(3, 400) * np.tile(WAVE, 100)
    gaps = np.where(np.random.default_rng(0).random(400) < 0.05, NAN, x)
    np.testing.assert_allclose(forecast(theta_forecast, gaps), forecast(theta_forecast, x), rtol=0.1)
