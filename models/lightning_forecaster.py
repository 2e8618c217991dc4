"""A forecaster's training under Lightning."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from models.forecaster import Forecaster
from models.lightning_training import LightningTraining
from models.panel import Panel, Windows
from models.sampling import WindowSampler
from models.training import mean_loss, share_of
from models.training_config import TrainingConfig


class LightningForecaster(LightningTraining):
    """Trains ``model`` on the windows that ``sampler`` draws from ``panel``."""

    model: Forecaster
    config: TrainingConfig

    def __init__(self, model: Forecaster, panel: Panel, sampler: WindowSampler, config: TrainingConfig) -> None:
        super().__init__(model, config, sampler.seed)
        self.panel, self.sampler = panel, sampler

    def batch(self, step: int, share: int, shares: int) -> tuple[Windows, float]:
        return share_of(self.model, self.panel, self.sampler, step, share, shares)

    def losses(self, batch: Windows) -> Iterator[torch.Tensor]:
        yield mean_loss(self.model(batch), batch, self.config)
