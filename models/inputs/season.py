"""Windows without their season: what methods that know none can forecast, and the way back.

The season is that of classical decomposition, shrunk by what it leaves unexplained: a factor where all values are
positive and a factor explains more, else a term.

Shapes: B windows, L context steps, F horizon, S season length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

LEAST_FACTOR = 0.01
"""Of a season: what is divided by less would outweigh all else."""


@dataclass(frozen=True)
class Deseasonalised:
    """The context of windows, in the unit of each window and without its season."""

    x_BL: torch.Tensor
    level_BL: torch.Tensor
    """What is left of ``x_BL``: float64, NaN where nothing was observed."""
    unit_B: torch.Tensor
    ahead: _Season
    """The season of the horizon."""

    @classmethod
    def of(cls, target_BL: torch.Tensor, season_length: int, horizon: int) -> Deseasonalised:
        """Take the season out of windows.

        Args:
            target_BL: float64, NaN where nothing was observed.
            season_length: S; with 1, or where the context is no longer than a season, no season is taken out.
            horizon: F.
        """
        unit_B = torch.nanmean(target_BL.abs(), dim=1).nan_to_num()
        unit_B = torch.where(unit_B > 0, unit_B, 1.0)
        x_BL = target_BL / unit_B[:, None]
        season = _season(x_BL, season_length)
        past = season.of_steps(-x_BL.shape[1], 0)
        return cls(x_BL, (x_BL - past.terms) / past.factors, unit_B, season.of_steps(0, horizon))

    @property
    def horizon(self) -> int:
        """Steps that are forecast."""
        return self.ahead.terms.shape[1]

    def forecast(self, level_BF: torch.Tensor) -> torch.Tensor:
        """Return the forecast in the target's units that ``level_BF`` is without the season; 0 where it is NaN.

        It lies no further outside of what was observed than the range of that.
        """
        y_BF = level_BF * self.ahead.factors + self.ahead.terms
        low_B, high_B = self.x_BL.nan_to_num(torch.inf).amin(dim=1), self.x_BL.nan_to_num(-torch.inf).amax(dim=1)
        range_B = high_B - low_B
        y_BF = torch.minimum(torch.maximum(y_BF, (low_B - range_B)[:, None]), (high_B + range_B)[:, None])
        return y_BF.nan_to_num(posinf=0.0, neginf=0.0) * self.unit_B[:, None]


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
