"""The Theta forecast of each window, from its context alone.

Assimakopoulos and Nikolopoulos (2000), as Hyndman and Billah (2003) read it: simple exponential smoothing and half the
linear trend of values whose season is taken out. The smoothing constant is the one of ``ALPHAS`` with the least squared
error one step ahead.

Shapes: B windows, L context steps, F horizon, A smoothing constants, N blocks of C steps.
"""

from __future__ import annotations

import torch
from torch import nn

from models.inputs.season import Deseasonalised

ALPHAS = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 0.95)
BLOCK = 32
"""Steps that are smoothed by one product of matrices; block follows upon block."""


def theta_forecast(windows: Deseasonalised) -> torch.Tensor:
    """Return the forecast of each window in the target's units: float64 ``[B, F]``, 0 where nothing was observed."""
    level_BL = windows.level_BL
    ahead_F = torch.arange(1, windows.horizon + 1, device=level_BL.device)
    return windows.forecast(_newest_level(level_BL)[:, None] + 0.5 * _slope(level_BL)[:, None] * ahead_F)


def _slope(x_BL: torch.Tensor) -> torch.Tensor:
    """Return the slope of the line through the observed values, in units a step: ``[B]``, 0 through a single one."""
    observed_BL = ~x_BL.isnan()
    steps_L = torch.arange(x_BL.shape[1], device=x_BL.device, dtype=x_BL.dtype)
    middle_B = (steps_L * observed_BL).sum(dim=1) / observed_BL.sum(dim=1)
    steps_BL = torch.where(observed_BL, steps_L - middle_B[:, None], 0.0)
    return ((steps_BL * x_BL.nan_to_num()).sum(dim=1) / (steps_BL**2).sum(dim=1)).nan_to_num(posinf=0.0, neginf=0.0)


def _newest_level(x_BL: torch.Tensor) -> torch.Tensor:
    """Return the newest level by the best of the smoothing constants: ``[B]``, NaN where nothing was observed.

    Weights are divided by their sum, so that the first value counts as any other; what is missing weighs nothing.
    """
    decays_A = 1 - x_BL.new_tensor(ALPHAS)
    weight_BAL = _discounted((~x_BL.isnan()).to(x_BL), decays_A)
    level_BAL = _discounted(x_BL.nan_to_num(), decays_A) / weight_BAL
    errors_BAL = (x_BL[:, None, 1:] - level_BAL[:, :, :-1]) ** 2
    best_B = torch.nansum(errors_BAL, dim=2).argmin(dim=1)
    return level_BAL[torch.arange(len(x_BL), device=x_BL.device), best_B, -1]


def _discounted(x_BL: torch.Tensor, decays_A: torch.Tensor) -> torch.Tensor:
    """Return the sum of all values up to each step, each times the decay to the power of its age: ``[B, A, L]``."""
    ages_C = torch.arange(BLOCK, device=x_BL.device)
    ages_CC = ages_C[:, None] - ages_C
    weights_ACC = torch.where(ages_CC >= 0, decays_A[:, None, None] ** ages_CC.clamp(min=0), 0.0)
    blocks_BNC = nn.functional.pad(x_BL, (-x_BL.shape[1] % BLOCK, 0)).unflatten(1, (-1, BLOCK))
    first_BAC, *others_BAC = torch.einsum("bnc,adc->nbad", blocks_BNC, weights_ACC)
    since_AC = decays_A[:, None] ** (ages_C + 1)
    sums_BAC = [first_BAC]
    for block_BAC in others_BAC:
        sums_BAC.append(block_BAC + sums_BAC[-1][:, :, -1:] * since_AC)
    return torch.cat(sums_BAC, dim=2)[:, :, -x_BL.shape[1] :]
