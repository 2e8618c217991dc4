"""The loss of a forecaster, and the training that trials run.

``fit`` runs the same pieces under Lightning. Shapes: B windows, F horizon, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from models.forecaster import Forecaster, Quantiles
from models.optimisation import Optimisation
from models.panel import Panel, Windows
from models.sampling import WindowSampler
from models.training_config import TrainingConfig


def pinball_loss(forecast: Quantiles, windows: Windows, levels: torch.Tensor, config: TrainingConfig) -> torch.Tensor:
    """Return the quantile loss on scaled values, averaged over what was observed.

    With ``error_scale`` weighting each window counts in units of its item's seasonal-naive error, as MASE does.
    Koenker & Bassett 1978.
    """
    truth_BF = (windows.truth_BF - forecast.location_B[:, None]) / forecast.scale_B[:, None]
    observed_BF = ~truth_BF.isnan()
    error_BFQ = truth_BF.nan_to_num().float()[..., None] - forecast.scaled_BFQ
    loss_BF = torch.maximum(levels * error_BFQ, (levels - 1) * error_BFQ).mean(dim=2) * 2
    if config.weighting == "error_scale":
        weight_B = (forecast.scale_B / windows.error_scale_B).float().nan_to_num(nan=1.0, posinf=1.0).clamp(0.05, 20.0)
        loss_BF = loss_BF * weight_B[:, None]
    return (loss_BF * observed_BF).sum() / observed_BF.sum().clamp(min=1)


def training_of(
    model: Forecaster, panel: Panel, sampler: WindowSampler, config: TrainingConfig, device: torch.device
) -> Optimisation:
    """Return the training of a forecaster on the windows that ``sampler`` draws from ``panel``."""
    levels = torch.tensor(model.facts.quantiles, device=device)

    def losses_of(step: int) -> Iterator[torch.Tensor]:
        items_B, ends_B = sampler.batch(step)
        windows = panel.gather(items_B, ends_B, model.config.context_length, model.facts.horizon).to(device)
        yield pinball_loss(model(windows), windows, levels, config)

    return Optimisation(model, config, losses_of, sampler.seed)
