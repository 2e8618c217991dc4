"""What one optimiser step is: the loss, the optimiser, its schedule, and the bare loop that trials run.

``fit`` runs the same pieces under Lightning. Shapes: B windows, F horizon, Q quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from models.forecaster import Forecaster, Quantiles
from models.panel import Panel, Windows
from models.sampling import WindowSampler
from models.training_config import TrainingConfig

WARMUP = 0.05
"""Share of the steps over which the learning rate rises."""


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


def make_optimizer(
    model: nn.Module, config: TrainingConfig
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """Return AdamW and a schedule of linear warm-up and cosine decay to zero, stepped after each optimiser step."""
    fused = next(model.parameters()).is_cuda
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=fused or None
    )
    warmup = max(1, int(config.steps * WARMUP))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, config.steps - warmup))))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def train(
    model: Forecaster, panel: Panel, sampler: WindowSampler, config: TrainingConfig, device: torch.device
) -> Iterator[tuple[int, float]]:
    """Train ``model`` in place, yielding the number of finished steps and the loss after each.

    A bare loop: the caller decides between steps whether to validate, to report or to stop.
    """
    levels = torch.tensor(model.facts.quantiles, device=device)
    optimizer, schedule = make_optimizer(model, config)
    for step in range(config.steps):
        model.train()
        items_B, ends_B = sampler.batch(step)
        windows = panel.gather(items_B, ends_B, model.config.context_length, model.facts.horizon).to(device)
        loss = pinball_loss(model(windows), windows, levels, config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)
        optimizer.step()
        schedule.step()
        yield step + 1, loss.item()
