"""The Theta forecast against its parts as others compute them, and where windows are hostile."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from statsmodels.tsa.holtwinters import SimpleExpSmoothing
from statsmodels.tsa.seasonal import seasonal_decompose

from models.inputs import theta
from models.inputs.season import Deseasonalised
from models.inputs.season import _season as season_of
from models.inputs.theta import ALPHAS, theta_forecast

NAN = float("nan")
WAVE = np.array([0.8, 1.3, 1.1, 0.8])


def forecast(*windows: list[float] | np.ndarray, season: int = 4, horizon: int = 6) -> np.ndarray:
    return theta_forecast(Deseasonalised.of(torch.tensor(np.array(windows)), season, horizon)).numpy()


def noisy(seed: int, steps: int = 48) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 20 + np.cumsum(rng.normal(size=steps)) + rng.normal(size=steps)


@pytest.mark.parametrize("steps", [6, 31, 32, 33, 100])
def test_without_a_season_it_is_exponential_smoothing_and_half_the_slope(steps: int) -> None:
    for seed in range(3):
        x = noisy(seed, steps)
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
        np.testing.assert_allclose(forecast(x, season=1)[0], expected, rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.3, 0.95])
def test_a_long_window_is_smoothed_as_statsmodels_does(alpha: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theta, "ALPHAS", (alpha,))
    x = noisy(0, 300)
    fitted = SimpleExpSmoothing(x, initialization_method="known", initial_level=x[0]).fit(alpha, optimized=False)
    level = theta._newest_level(torch.tensor(x)[None])
    np.testing.assert_allclose(level.numpy(), fitted.forecast(1), rtol=1e-9)


@pytest.mark.parametrize(("model", "season"), [("additive", 4), ("multiplicative", 4), ("additive", 7)])
def test_the_season_is_that_of_classical_decomposition(model: str, season: int) -> None:
    rng = np.random.default_rng(1)
    pattern = rng.uniform(0.5, 1.5, season)
    level = np.linspace(50, 100, 8 * season)
    x = level * np.tile(pattern, 8) if model == "multiplicative" else level + 40 * np.tile(pattern, 8)
    x = x + rng.normal(scale=0.5, size=len(x))
    expected = seasonal_decompose(x, model=model, period=season).seasonal[:season]
    found = season_of(torch.tensor(x)[None], season)
    got = (found.factors if model == "multiplicative" else found.terms).numpy()[0]
    np.testing.assert_allclose(got, expected, rtol=0.01, atol=0.01 * np.ptp(expected))


def test_a_pattern_that_repeats_is_forecast_exactly() -> None:
    np.testing.assert_allclose(forecast(np.tile(WAVE, 5)), [np.resize(WAVE, 6)], rtol=1e-9)
    np.testing.assert_allclose(forecast(np.tile(WAVE - 1, 5)), [np.resize(WAVE - 1, 6)], atol=1e-9)
    np.testing.assert_allclose(forecast([5.0] * 12, [-5.0] * 12), [[5.0] * 6, [-5.0] * 6], rtol=1e-9)


def test_noise_has_no_season() -> None:
    """Of pure noise the decomposition leaves nearly all unexplained, so nearly nothing of it comes back."""
    rng = np.random.default_rng(0)
    spread = np.ptp(forecast(*rng.normal(size=(200, 40))), axis=1)
    assert np.median(spread) < 0.5, "unshrunk means of ten values differ by 0.9"


def test_units_do_not_matter_and_what_lies_before_a_window_neither() -> None:
    x = noisy(2) * np.tile(WAVE, 12)
    np.testing.assert_allclose(
        forecast(1e12 * x, 1e-12 * x), [1e12 * forecast(x)[0], 1e-12 * forecast(x)[0]], rtol=1e-9
    )
    np.testing.assert_allclose(forecast([NAN] * 7 + x.tolist())[0], forecast(x)[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ([NAN] * 12, 0.0),
        ([0.0] * 12, 0.0),
        ([NAN] * 11 + [3.0], 3.0),
        ([3.0] + [NAN] * 1199, 3.0),
        ([7.0], 7.0),
    ],
)
def test_hostile_windows_have_a_forecast(window: list[float], expected: float) -> None:
    np.testing.assert_allclose(forecast(window), [[expected] * 6], rtol=1e-9)


def test_missing_values_are_passed_over() -> None:
    x = noisy(3, 400) * np.tile(WAVE, 100)
    gaps = np.where(np.random.default_rng(0).random(400) < 0.05, NAN, x)
    np.testing.assert_allclose(forecast(gaps), forecast(x), rtol=0.1)


def test_it_stays_within_a_range_of_what_was_seen() -> None:
    rng = np.random.default_rng(0)
    windows = 10 ** rng.uniform(-6, 6, size=(500, 24))
    low, high = windows.min(axis=1, keepdims=True), windows.max(axis=1, keepdims=True)
    found = forecast(*windows, horizon=50)
    assert ((found >= 2 * low - high - 1e-6) & (found <= 2 * high - low + 1e-6)).all()
