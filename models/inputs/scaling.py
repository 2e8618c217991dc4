"""Per-window scaling of the target: location and scale from the context alone, so that level shifts cannot hurt.

Shapes: B windows, L context steps, S season length.
"""

from __future__ import annotations

from typing import Literal

import torch

Scaling = Literal["standard", "season_standard", "season_change", "mean_abs"]
SCALINGS: list[Scaling] = ["standard", "season_standard", "season_change", "mean_abs"]

LEAST_CHANGE = 0.05
"""From season to season, in standard deviations: a network cannot read what is far larger than one."""


def location_scale(target_BL: torch.Tensor, scaling: Scaling, season_length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the location and the scale of each window: float64 ``[B]`` each, the scale above zero.

    Args:
        target_BL: float64, NaN where nothing was observed.
        scaling: ``standard``: mean and standard deviation; ``season_standard``: mean of the newest season and
            standard deviation of the whole; ``season_change``: mean of the newest season and mean absolute change
            from season to season; ``mean_abs``: zero and the mean of the absolute values.
        season_length: steps of a season.
    """
    mean_B, std_B = _moments(target_BL)
    if scaling == "mean_abs":
        return torch.zeros_like(mean_B), _above_zero(torch.nanmean(target_BL.abs(), dim=1), mean_B)
    if scaling == "standard":
        return mean_B, _above_zero(std_B, mean_B)
    newest_B = torch.nanmean(target_BL[:, -season_length:], dim=1)
    location_B = torch.where(newest_B.isnan(), mean_B, newest_B)
    if scaling == "season_change":
        change_BX = target_BL[:, season_length:] - target_BL[:, :-season_length]
        change_B = torch.nanmean(change_BX.abs(), dim=1)
        scale_B = torch.where(change_B.isnan(), std_B, torch.maximum(change_B, LEAST_CHANGE * std_B))
        return location_B, _above_zero(scale_B, mean_B)
    return location_B, _above_zero(std_B, mean_B)


def _moments(target_BL: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean_B = torch.nanmean(target_BL, dim=1).nan_to_num()
    std_B = torch.nanmean((target_BL - mean_B[:, None]) ** 2, dim=1).nan_to_num().sqrt()
    return mean_B, std_B


def _above_zero(scale_B: torch.Tensor, mean_B: torch.Tensor) -> torch.Tensor:
    """Replace the scale of a constant window by its level, and that of an all-zero or empty window by one.

    Constant is what differs by no more than rounding does: small changes at a high level are changes.
    """
    level_B = mean_B.abs()
    fallback_B = torch.where(level_B > 0, level_B, 1.0)
    scale_B = scale_B.nan_to_num()
    return torch.where(scale_B > 1e-12 * level_B, scale_B, fallback_B)


def last_observed(scaled_BL: torch.Tensor) -> torch.Tensor:
    """Return the newest observed value of each window: ``[B]``, 0 where nothing was observed."""
    steps = torch.arange(scaled_BL.shape[1], device=scaled_BL.device)
    newest_B = torch.where(scaled_BL.isnan(), -1, steps).amax(dim=1)
    value_B = scaled_BL.gather(1, newest_B.clamp(min=0)[:, None])[:, 0]
    return torch.where(newest_B >= 0, value_B, 0.0)


def seasonal_profile(scaled_BL: torch.Tensor, season_length: int, seasons: int) -> torch.Tensor:
    """Return the mean of the newest ``seasons`` seasons, phase by phase: ``[B, S]``, 0 where none was observed.

    Args:
        scaled_BL: scaled target, NaN where nothing was observed; holds at least ``seasons`` seasons.
        season_length: S.
        seasons: how many of the newest seasons are averaged.
    """
    newest = scaled_BL[:, -seasons * season_length :].reshape(len(scaled_BL), seasons, season_length)
    return torch.nanmean(newest, dim=1).nan_to_num()
