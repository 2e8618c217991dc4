"""The Theta forecast of each window, from its context alone.

Assimakopoulos and Nikolopoulos (2000), as Hyndman and Billah (2003) read it: simple exponential smoothing and half the
linear trend of values whose season is taken out. The smoothing constant is the one of ``ALPHAS`` with the least squared
error one step ahead. The season is that of classical decomposition, shrunk by what it leaves unexplained: a factor
where all values are positive and a factor explains more, else a term.

Shapes: B windows, L context steps, F horizon, S season length, A smoothing constants, N blocks of C steps.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

ALPHAS = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 0.95)
LEAST_FACTOR = 0.01
"""Of a season: what is divided by less would outweigh all else."""
BLOCK = 32
"""Steps that are smoothed by one product of matrices; block follows upon block."""


def theta_forecast(target_BL: torch.Tensor, season_length: int, horizon: int) -> torch.Tensor:
    """Return the forecast of each window in the target's units: float64 ``[B, F]``, 0 where nothing was observed.

    It lies no further outside of what was observed than the range of that.

    Args:
        target_BL: float64, NaN where nothing was observed.
        season_length: S; with 1, or where the context is no longer than a season, no season is taken out.
        horizon: F.
    """
    unit_B = torch.nanmean(target_BL.abs(), dim=1).nan_to_num()
    unit_B = torch.where(unit_B > 0, unit_B, 1.0)
    x_BL = target_BL / unit_B[:, None]
    season = _season(x_BL, season_length)
    past, ahead = season.of_steps(-x_BL.shape[1], 0), season.of_steps(0, horizon)
    level_BL = (x_BL - past.terms) / past.factors
    ahead_F = torch.arange(1, horizon + 1, device=x_BL.device)
    y_BF = _newest_level(level_BL)[:, None] + 0.5 * _slope(level_BL)[:, None] * ahead_F
    y_BF = y_BF * ahead.factors + ahead.terms
    low_B, high_B = x_BL.nan_to_num(torch.inf).amin(dim=1), x_BL.nan_to_num(-torch.inf).amax(dim=1)
    range_B = high_B - low_B
    y_BF = torch.minimum(torch.maximum(y_BF, (low_B - range_B)[:, None]), (high_B + range_B)[:, None])
    return y_BF.nan_to_num(posinf=0.0, neginf=0.0) * unit_B[:, None]


class _Season(NamedTuple):
    """What is added to the level, and what that is multiplied by: ``[B, S]`` each, from the horizon's first step on."""

    terms: torch.Tensor
    factors: torch.Tensor

    def of_steps(self, first: int, end: int) -> _Season:
        """Return the season of the steps from ``first`` to ``end``, counted from the horizon's first one."""
        phases = torch.arange(first, end, device=self.terms.device) % self.terms.shape[1]
        return _Season(self.terms[:, phases], self.factors[:, phases])


def _season(x_BL: torch.Tensor, season_length: int) -> _Season:
    """Return the season: what is left, phase by phase, of the values without their centred moving average."""
    none = _Season(x_BL.new_zeros((len(x_BL), season_length)), x_BL.new_ones((len(x_BL), season_length)))
    if not 1 < season_length < x_BL.shape[1]:
        return none
    weights = x_BL.new_ones(season_length + 1 - season_length % 2)
    if season_length % 2 == 0:
        weights[0] = weights[-1] = 0.5
    trend_BL = nn.functional.conv1d(x_BL[:, None], weights[None, None] / season_length)[:, 0]
    trend_BL = nn.functional.pad(trend_BL, (len(weights) // 2, len(weights) // 2), value=torch.nan)
    term_BS, by_term_B = _profile(x_BL - trend_BL, season_length, 0.0)
    factor_BS, by_factor_B = _profile(x_BL / trend_BL, season_length, 1.0)
    positive_B = ((x_BL > 0) | x_BL.isnan()).all(dim=1)
    as_factor_B1 = (positive_B & (by_factor_B > by_term_B))[:, None]
    return _Season(
        torch.where(as_factor_B1, none.terms, term_BS),
        torch.where(as_factor_B1, factor_BS.clamp(min=LEAST_FACTOR), none.factors),
    )


def _profile(relative_BL: torch.Tensor, season_length: int, neutral: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each phase's mean, shrunk towards ``neutral``, and by how much: the share of the variance it explains."""
    missing = -relative_BL.shape[1] % season_length
    relative_BKS = nn.functional.pad(relative_BL, (missing, 0), value=torch.nan).unflatten(1, (-1, season_length))
    mean_BS = torch.nanmean(relative_BKS, dim=1)
    middle_B1 = torch.nanmean(mean_BS, dim=1, keepdim=True)
    mean_BS = (mean_BS / middle_B1 if neutral else mean_BS - middle_B1).nan_to_num(nan=neutral)
    observed_B = (~relative_BKS.isnan()).sum(dim=(1, 2))
    free_B = observed_B - season_length
    around_neutral_B = torch.nansum((relative_BKS - neutral) ** 2, dim=(1, 2)) / observed_B
    around_mean_B = torch.nansum((relative_BKS - mean_BS[:, None]) ** 2, dim=(1, 2)) / free_B
    explained_B = torch.where(free_B > 0, 1 - around_mean_B / around_neutral_B, 0.0).nan_to_num().clamp(0, 1)
    return neutral + explained_B[:, None] * (mean_BS - neutral), explained_B


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
