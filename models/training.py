"""The loss of a forecaster, and the training that trials run.

``fit`` runs the same pieces under Lightning. Shapes: B windows, F horizon.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from models import ranks
from models.distributions import Forecast
from models.forecaster import Forecaster
from models.optimisation import Optimisation
from models.panel import Panel, Windows
from models.sampling import WindowSampler
from models.training_config import TrainingConfig


def mean_loss(forecast: Forecast, windows: Windows, config: TrainingConfig) -> torch.Tensor:
    """Return the forecast's loss averaged over what was observed.

    With ``error_scale`` weighting each window counts in units of its item's seasonal-naive error, as MASE does.
    """
    observed_BF = ~windows.truth_BF.isnan()
    truth_BF = torch.where(observed_BF, windows.truth_BF, forecast.location_B[:, None])
    loss_BF = forecast.loss_BF(truth_BF)
    if config.weighting == "error_scale":
        weight_B = (forecast.scale_B / windows.error_scale_B).float().nan_to_num(nan=1.0, posinf=1.0).clamp(0.05, 20.0)
        loss_BF = loss_BF * weight_B[:, None]
    return (loss_BF * observed_BF).sum() / observed_BF.sum().clamp(min=1)


def loss_weight(windows: Windows) -> float:
    """Return what ``mean_loss`` is a mean over: observed values."""
    return float((~windows.truth_BF.isnan()).sum())


def share_of(
    model: Forecaster, panel: Panel, sampler: WindowSampler, step: int, share: int, shares: int
) -> tuple[Windows, float]:
    """Return one of the ``shares`` of a step's windows, and its weight; none fell to it: those of another, weight 0."""
    items_B, ends_B = sampler.batch(step, share, shares)
    nothing = not len(items_B)
    if nothing:
        items_B, ends_B = sampler.batch(step, 0, shares)
    windows = panel.gather(items_B, ends_B, model.config.context_length, model.facts.horizon)
    return windows, 0.0 if nothing else loss_weight(windows)


def training_of(
    model: Forecaster, panel: Panel, sampler: WindowSampler, config: TrainingConfig, device: torch.device
) -> Optimisation:
    """Return the training of a forecaster on the windows that ``sampler`` draws from ``panel``."""

    def losses_of(step: int) -> Iterable[torch.Tensor]:
        rank, world = ranks.place()
        windows, weight = share_of(model, panel, sampler, step, rank, world)
        windows = windows.to(device)
        losses = [mean_loss(model(windows), windows, config)]
        return losses if world == 1 else ranks.weighed(losses, weight, device)

    return Optimisation(model, config, losses_of, sampler.seed)
