"""The Lightning layer over a forecaster: loss, optimiser and batches, no architecture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as lightning
import torch
from torch.utils.data import DataLoader, IterableDataset

from models.forecaster import Forecaster
from models.panel import Panel, Windows
from models.sampling import WindowSampler
from models.training import make_optimizer, pinball_loss
from models.training_config import TrainingConfig


class Steps(IterableDataset):
    """The batches of a training from the step that it has reached: resumed, it repeats and leaves out nothing."""

    def __init__(self, module: LightningForecaster) -> None:
        self.module = module

    def __iter__(self) -> Iterator[Windows]:
        module = self.module
        trainer, model = module.trainer, module.model
        for step in range(trainer.global_step, module.config.steps):
            items_B, ends_B = module.sampler.batch(step, trainer.global_rank, trainer.world_size)
            yield module.panel.gather(items_B, ends_B, model.config.context_length, model.facts.horizon)


class LightningForecaster(lightning.LightningModule):
    """Trains ``model`` on the windows that ``sampler`` draws from ``panel``."""

    def __init__(self, model: Forecaster, panel: Panel, sampler: WindowSampler, config: TrainingConfig) -> None:
        super().__init__()
        self.model, self.panel, self.sampler, self.config = model, panel, sampler, config
        self.levels: torch.Tensor
        self.register_buffer("levels", torch.tensor(model.facts.quantiles), persistent=False)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Steps(self), batch_size=None)

    def transfer_batch_to_device(self, batch: Windows, device: torch.device, dataloader_idx: int) -> Windows:
        return batch.to(device)

    def training_step(self, batch: Windows, batch_idx: int) -> torch.Tensor:
        return pinball_loss(self.model(batch), batch, self.levels, self.config)

    def configure_optimizers(self) -> Any:
        optimizer, schedule = make_optimizer(self.model, self.config)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
