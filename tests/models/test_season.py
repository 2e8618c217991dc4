"""What forecasts of windows without their season have in common, and where windows are hostile."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from statsmodels.tsa.seasonal import seasonal_decompose
from windows import NAN, WAVE, Method, forecast, wandering

from models.inputs.damped_trend import damped_trend_forecast
from models.inputs.season import _season
from models.inputs.theta import theta_forecast

METHODS = pytest.mark.parametrize(("method", "rtol"), [(theta_forecast, 1e-9), (damped_trend_forecast, 1e-5)])


@pytest.mark.parametrize(("model", "season"), [("additive", 4), ("multiplicative", 4), ("additive", 7)])
def test_the_season_is_that_of_classical_decomposition(model: str, season: int) -> None:
    rng = np.random.default_rng(1)
    pattern = rng.uniform(0.5, 1.5, season)
    level = np.linspace(50, 100, 8 * season)
    x = level * np.tile(pattern, 8) if model == "multiplicative" else level + 40 * np.tile(pattern, 8)
    x = x + rng.normal(scale=0.5, size=len(x))
    expected = seasonal_decompose(x, model=model, period=season).seasonal[:season]
    found = _season(torch.tensor(x)[None], season)
    got = (found.factors if model == "multiplicative" else found.terms).numpy()[0]
    np.testing.assert_allclose(got, expected, rtol=0.01, atol=0.01 * np.ptp(expected))


@METHODS
def test_a_pattern_that_repeats_is_forecast_exactly(method: Method, rtol: float) -> None:
    np.testing.assert_allclose(forecast(method, np.tile(WAVE, 5)), [np.resize(WAVE, 6)], rtol=rtol)
    np.testing.assert_allclose(forecast(method, np.tile(WAVE - 1, 5)), [np.resize(WAVE - 1, 6)], atol=rtol)
    np.testing.assert_allclose(forecast(method, [5.0] * 12, [-5.0] * 12), [[5.0] * 6, [-5.0] * 6], rtol=rtol)


def test_noise_has_no_season() -> None:
    """Of pure noise the decomposition leaves nearly all unexplained, so nearly nothing of it comes back."""
    rng = np.random.default_rng(0)
    spread = np.ptp(forecast(theta_forecast, *rng.normal(size=(200, 40))), axis=1)
    assert np.median(spread) < 0.5, "unshrunk means of ten values differ by 0.9"


@METHODS
def test_units_do_not_matter_and_what_lies_before_a_window_neither(method: Method, rtol: float) -> None:
    x = wandering(2) * np.tile(WAVE, 12)
    expected = forecast(method, x)[0]
    np.testing.assert_allclose(forecast(method, 1e12 * x, 1e-12 * x), [1e12 * expected, 1e-12 * expected], rtol=rtol)
    np.testing.assert_allclose(forecast(method, [NAN] * 7 + x.tolist())[0], expected, rtol=rtol)


@METHODS
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
def test_hostile_windows_have_a_forecast(window: list[float], expected: float, method: Method, rtol: float) -> None:
    np.testing.assert_allclose(forecast(method, window), [[expected] * 6], rtol=rtol)


@pytest.mark.parametrize("method", [theta_forecast, damped_trend_forecast])
def test_it_stays_within_a_range_of_what_was_seen(method: Method) -> None:
    rng = np.random.default_rng(0)
    windows = 10 ** rng.uniform(-6, 6, size=(500, 24))
    low, high = windows.min(axis=1, keepdims=True), windows.max(axis=1, keepdims=True)
    found = forecast(method, *windows, horizon=50)
    assert ((found >= 2 * low - high - 1e-6) & (found <= 2 * high - low + 1e-6)).all()
