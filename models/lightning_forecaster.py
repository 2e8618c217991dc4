"""A forecaster's training under Lightning."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from models.forecaster import Forecaster
from models.lightning_training import LightningTraining
from models.panel import Panel, Windows
from models.sampling import WindowSampler
from models.training import loss_weight, mean_loss
from models.training_config import TrainingConfig


class LightningForecaster(LightningTraining):
    """Trains ``model`` on the windows that ``sampler`` draws from ``panel``."""

    model: Forecaster
    config: TrainingConfig

    def __init__(self, model: Forecaster, panel: Panel, sampler: WindowSampler, config: TrainingConfig) -> None:
        super().__init__(model, config, sampler.seed)
        self.panel, self.sampler = panel, sampler

    def batch(self, step: int, share: int, shares: int) -> tuple[Windows, float]:
        items_B, ends_B = self.sampler.batch(step, share, shares)
        nothing = not len(items_B)
        if nothing:
            items_B, ends_B = self.sampler.batch(step, 0, shares)
        windows = self.panel.gather(items_B, ends_B, self.model.config.context_length, self.model.facts.horizon)
        return windows, 0.0 if nothing else loss_weight(windows)

    def losses(self, batch: Windows) -> Iterator[torch.Tensor]:
        yield mean_loss(self.model(batch), batch, self.config)
