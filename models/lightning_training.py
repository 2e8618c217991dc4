"""The Lightning layer over any model: optimiser, schedule and the order of batches; what is learned is a subclass's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from models.optimisation import Schedule, begin_with, folded, make_average, make_optimizer, seed_step


class Steps(IterableDataset):
    """The batches of a training from the step that it has reached: resumed, it repeats and leaves out nothing."""

    def __init__(self, module: LightningTraining) -> None:
        self.module = module

    def __iter__(self) -> Iterator[Any]:
        trainer = self.module.trainer
        for step in range(trainer.global_step, self.module.config.steps):
            yield self.module.batch(step, trainer.global_rank, trainer.world_size)


class LightningTraining(lightning.LightningModule, ABC):
    """Trains ``model`` as ``config`` says; what the training gives is ``average``."""

    def __init__(self, model: nn.Module, config: Schedule, seed: int) -> None:
        super().__init__()
        self.model, self.config, self.seed = model, config, seed
        # A part of this module, so that checkpoints hold it; no gradient, so that DDP leaves it alone.
        self.averaged = make_average(model).requires_grad_(False)

    @property
    def average(self) -> nn.Module:
        """The model that the training gives at this step."""
        return self.averaged.module

    def begin_with(self, weights: Path) -> None:
        """Go on from the ``weights`` of a model of the same configuration: safetensors."""
        if not begin_with(weights, self.model, self.average):
            raise ValueError(f"weights must be of the model that goes on (got {weights}): train it from its beginning")

    @abstractmethod
    def batch(self, step: int, rank: int, world: int) -> Any:
        """Return one step's batch, or the share of it that ``rank`` reads; it has a method ``to(device)``."""

    @abstractmethod
    def losses(self, batch: Any) -> Iterable[torch.Tensor]:
        """Yield what is to be back-propagated for ``batch``: the gradient is the sum of theirs."""

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Steps(self), batch_size=None)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        seed_step(self.seed, self.trainer.global_step, self.trainer.global_rank)
        return folded(self.losses(batch), self.model)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.averaged.update_parameters(self.model)

    def configure_optimizers(self) -> Any:
        # Under mixed precision Lightning clips gradients itself, and refuses to with a fused optimiser.
        fused = self._trainer is None or self.trainer.precision == "32-true"
        optimizer, schedule = make_optimizer(self.model, self.config, fused)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
