"""The forecast of exponential smoothing with a damped trend for each window, from its context alone.

Gardner and McKenzie (1985), in the form with errors of Hyndman et al. (2008), on values whose season is taken out: with
the error e of the forecast one step ahead, level l and trend b become ::

    l = l + phi b + alpha e        b = phi b + alpha beta e

and the forecast h steps ahead is l + (phi + ... + phi^h) b. Without a trend it is simple exponential smoothing.
The constants are those of ``CONSTANTS`` with the least squared error one step ahead. Smoothing begins at the
first observed value with no trend; a value that is missing is taken to be the one before.

Shapes: B windows, L context steps, F horizon, A choices of constants, C steps of a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import nn

from models.inputs.season import Deseasonalised
from models.inputs.theta import BLOCK

ALPHAS, BETA, PHIS = (0.05, 0.1, 0.2, 0.35, 0.55, 0.85), 0.15, (0.85, 0.97)
CONSTANTS = [(alpha, 0.0, 1.0) for alpha in ALPHAS] + [(alpha, BETA, phi) for alpha in ALPHAS for phi in PHIS]
"""Choices of alpha, beta and phi."""


def damped_trend_forecast(windows: Deseasonalised) -> torch.Tensor:
    """Return the forecast of each window in the target's units: float64 ``[B, F]``, 0 where nothing was observed."""
    # Relative to each window's unit, single precision suffices, at a third of the time; half of that does not.
    y_BL = _held(windows.level_BL).float()
    first_B1 = y_BL[:, :1]
    with _single_precision(y_BL.device.type):
        state_BA2, error_BA = _smoothed(y_BL - first_B1, _Kernels.of(CONSTANTS, y_BL))
    best_B = error_BA.nan_to_num(torch.inf).argmin(dim=1)
    level_B1, trend_B1 = state_BA2[torch.arange(len(y_BL), device=y_BL.device), best_B].split(1, dim=1)
    phi_B = y_BL.new_tensor([phi for _, _, phi in CONSTANTS])[best_B]
    ahead_F = torch.arange(1, windows.horizon + 1, device=y_BL.device)
    return windows.forecast(first_B1 + level_B1 + trend_B1 * (phi_B[:, None] ** ahead_F).cumsum(dim=1))


@contextmanager
def _single_precision(device_type: str) -> Iterator[None]:
    """Keep a training in mixed precision from taking products in half of it."""
    if torch.is_autocast_enabled(device_type):
        with torch.autocast(device_type, enabled=False):
            yield
    else:
        yield


def _held(x_BL: torch.Tensor) -> torch.Tensor:
    """Return the values with the newest one before in place of what is missing; at the beginning the first after it."""
    observed_BL = ~x_BL.isnan()
    steps_L = torch.arange(x_BL.shape[1], device=x_BL.device)
    newest_BL = torch.where(observed_BL, steps_L, -1).cummax(dim=1).values
    first_B1 = observed_BL.int().argmax(dim=1, keepdim=True)
    return x_BL.gather(1, torch.where(newest_BL < 0, first_B1, newest_BL))


class _Kernels(NamedTuple):
    """Smoothing as linear maps, for a block of C steps: of its values, and of the state [level, trend] before it."""

    forecasts_of_values: torch.Tensor
    """``[A, C, C]``: what each value adds to the forecast of each step, one step ahead."""
    forecasts_of_state: torch.Tensor
    """``[A, C, 2]``."""
    state_of_values: torch.Tensor
    """``[A, C, 2]``: what each value adds to the state after the block."""
    state_of_state: torch.Tensor
    """``[A, 2, 2]``."""

    @classmethod
    def of(cls, constants: list[tuple[float, float, float]], like: torch.Tensor) -> _Kernels:
        alpha_A, beta_A, phi_A = like.new_tensor(constants).unbind(1)
        gain_A2 = torch.stack([alpha_A, alpha_A * beta_A], dim=1)
        ahead_A2 = torch.stack([torch.ones_like(phi_A), phi_A], dim=1)
        # Without a value the state goes on as forecast; a value adds the gain times its error.
        goes_on_A22 = torch.stack([ahead_A2, torch.stack([torch.zeros_like(phi_A), phi_A], dim=1)], dim=1)
        step_A22 = goes_on_A22 - gain_A2[:, :, None] * ahead_A2[:, None, :]
        powers = [torch.eye(2).to(like).expand_as(step_A22)]
        for _ in range(BLOCK):
            powers.append(step_A22 @ powers[-1])
        powers_AC22 = torch.stack(powers[:-1], dim=1)
        forecasts_AC2 = torch.einsum("ax,acxy->acy", ahead_A2, powers_AC22)
        response_AC = torch.einsum("acy,ay->ac", forecasts_AC2, gain_A2)
        steps_C = torch.arange(BLOCK, device=like.device)
        ages_CC = steps_C[:, None] - 1 - steps_C
        values_ACC = torch.where(ages_CC >= 0, response_AC[:, ages_CC.clamp(min=0)], 0.0)
        return cls(values_ACC, forecasts_AC2, torch.einsum("acxy,ay->acx", powers_AC22.flip(1), gain_A2), powers[BLOCK])


def _smoothed(y_BL: torch.Tensor, kernels: _Kernels) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the newest state ``[B, A, 2]`` and the sum of squared errors ``[B, A]``, from a state of zeros on."""
    missing = -y_BL.shape[1] % BLOCK
    blocks_BNC = nn.functional.pad(y_BL, (missing, 0)).unflatten(1, (-1, BLOCK))
    state_BA2 = y_BL.new_zeros((len(y_BL), len(kernels.state_of_state), 2))
    error_BA = y_BL.new_zeros(state_BA2.shape[:2])
    for y_BC in blocks_BNC.unbind(1):
        forecast_BAC = torch.einsum("bc,adc->bad", y_BC, kernels.forecasts_of_values)
        forecast_BAC = forecast_BAC + _applied(kernels.forecasts_of_state, state_BA2)
        error_BA = error_BA + (y_BC[:, None] - forecast_BAC).square().sum(dim=2)
        added_BA2 = torch.einsum("bc,acx->bax", y_BC, kernels.state_of_values)
        state_BA2 = added_BA2 + _applied(kernels.state_of_state, state_BA2)
    return state_BA2, error_BA


def _applied(map_AX2: torch.Tensor, state_BA2: torch.Tensor) -> torch.Tensor:
    """Return the map of each state: ``[B, A, X]``; by hand, since a product over two is slow as one of matrices."""
    level_BA1, trend_BA1 = state_BA2.split(1, dim=2)
    return map_AX2[..., 0] * level_BA1 + map_AX2[..., 1] * trend_BA1
