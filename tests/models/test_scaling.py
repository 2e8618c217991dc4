"""Location and scale of a window, where windows are hostile: far levels, constants, nothing observed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from panels import make_facts, make_panel

from models.cores.stacked_lstm import StackedLSTMConfig
from models.forecaster import Forecaster, ForecasterConfig
from models.heads.direct import DirectHeadConfig
from models.inputs.scaling import SCALINGS, Scaling, last_observed, location_scale, seasonal_profile
from models.panel import Panel

NAN = float("nan")


def forecast(panel: Panel, scaling: Scaling, skip: Any = "season") -> torch.Tensor:
    torch.manual_seed(0)
    config = ForecasterConfig(
        context_length=16,
        patch_length=4,
        skip=skip,
        scaling=scaling,
        core=StackedLSTMConfig(hidden_size=8, num_layers=1),
        head=DirectHeadConfig(),
    )
    windows = panel.gather(torch.tensor([0, 0]), torch.tensor([20, 30]), 16, 5)
    with torch.no_grad():
        return Forecaster(config, make_facts())(windows).unscaled()


def test_each_scaling_is_what_it_says() -> None:
    target = torch.tensor([[1.0, NAN, 3.0, 5.0, 7.0, NAN]], dtype=torch.float64)
    expected = {"standard": (4.0, np.sqrt(5)), "season_standard": (6.0, np.sqrt(5)), "mean_abs": (0.0, 4.0)}
    expected["season_change"] = (6.0, 4.0)
    for scaling in SCALINGS:
        location, scale = location_scale(target, scaling, 3)
        assert (location.item(), scale.item()) == pytest.approx(expected[scaling])


@pytest.mark.parametrize("scaling", ["standard", "season_standard", "season_change"])
@pytest.mark.parametrize("level", [1e9, -1e9, 1e12])
def test_a_shift_of_the_level_shifts_the_forecast_and_changes_nothing_else(scaling: Scaling, level: float) -> None:
    panel = make_panel(make_facts(), [40])
    before = forecast(panel, scaling)
    panel.target.add_(level)
    torch.testing.assert_close(forecast(panel, scaling) - level, before, rtol=0, atol=1e-3 * max(1, abs(level) / 1e9))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_another_unit_is_another_unit_of_the_forecast(scaling: Scaling, factor: float) -> None:
    panel = make_panel(make_facts(), [40])
    before = forecast(panel, scaling)
    panel.target.mul_(factor)
    torch.testing.assert_close(forecast(panel, scaling) / factor, before, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("value", [0.0, 0.1, -7.0, 1e9 + 0.1, 1e-9])
def test_a_constant_window_has_a_finite_scale_above_zero(scaling: Scaling, value: float) -> None:
    target = torch.full((3, 16), value, dtype=torch.float64)
    target[1, ::3], target[2, :15] = NAN, NAN
    location, scale = location_scale(target, scaling, 4)
    assert scale.tolist() == pytest.approx([abs(value) or 1.0] * 3)
    assert ((target - location[:, None]) / scale[:, None]).nan_to_num().abs().max() <= 1.000001


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_window_in_which_nothing_was_observed_has_location_zero_and_scale_one(scaling: Scaling) -> None:
    location, scale = location_scale(torch.full((2, 8), NAN, dtype=torch.float64), scaling, 4)
    assert (location.tolist(), scale.tolist()) == ([0, 0], [1, 1])


@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_scale_of_observed_steps_is_used_where_the_newest_season_is_missing(scaling: Scaling) -> None:
    target = torch.tensor([[10.0, 12.0, 14.0, 12.0, NAN, NAN, NAN, NAN]], dtype=torch.float64)
    location, scale = location_scale(target, scaling, 4)
    assert location.item() == (0 if scaling == "mean_abs" else 12)
    assert scale.item() == pytest.approx(12 if scaling == "mean_abs" else np.sqrt(2))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("skip", ["none", "last_value", "season"])
@pytest.mark.parametrize("value", [NAN, 0.0, 1e9])
def test_forecasts_of_empty_and_constant_windows_are_finite(scaling: Scaling, skip: str, value: float) -> None:
    panel = make_panel(make_facts(), [40])
    panel.target[:] = value
    assert forecast(panel, scaling, skip).isfinite().all()


def test_the_seasonal_profile_is_the_mean_of_each_phase_and_zero_where_none_was_observed() -> None:
    scaled = torch.tensor([[9.0, 9.0, 9.0, 1.0, 2.0, NAN, 3.0, NAN, NAN]])
    assert seasonal_profile(scaled, 3, 2).tolist() == [[2.0, 2.0, 0.0]]
    assert seasonal_profile(scaled, 3, 1).tolist() == [[3.0, 0.0, 0.0]]


def test_the_last_observed_value_skips_gaps_and_is_zero_where_there_is_none() -> None:
    scaled = torch.tensor([[1.0, 2.0, NAN], [NAN, NAN, NAN], [NAN, 5.0, 7.0], [3.0, NAN, NAN]])
    assert last_observed(scaled).tolist() == [2, 0, 7, 3]
