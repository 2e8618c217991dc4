"""The Lightning layer over any model: optimiser, schedule and the order of batches; what is learned is a subclass's.

A step's batch is dealt into shares, one for each rank and each micro-batch that gradients are accumulated over. Into
however many it is dealt, the step is the same within rounding: each share counts by what its loss is a mean over.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from models.optimisation import Schedule, begin_with, folded, make_average, make_optimizer, seed_step


@dataclass(frozen=True)
class Share:
    """What a rank reads at once of a step's batch.

    ``number`` is of the share among all of the step; ``weight`` what its loss is a mean over (observed values, items,
    ...), 0 if nothing fell to it; ``rank_weight`` that of all shares that this rank reads in the step.
    """

    batch: Any
    number: int
    weight: float
    rank_weight: float


class Steps(IterableDataset):
    """The shares of a training from the step that it has reached: resumed, it repeats and leaves out nothing."""

    def __init__(self, module: LightningTraining) -> None:
        self.module = module

    def __iter__(self) -> Iterator[Share]:
        for step in range(self.module.trainer.global_step, self.module.config.steps):
            yield from self._of(step)

    def _of(self, step: int) -> list[Share]:
        """Return the shares of this rank; together, those of all ranks are the step's batch."""
        module, trainer = self.module, self.module.trainer
        # So numbered, a share and what is drawn for it are the same whether it falls to a rank or to a part.
        numbers = range(trainer.global_rank, module.shares, trainer.world_size)
        read = [(number, *module.batch(step, number, module.shares)) for number in numbers]
        total = sum(weight for *_, weight in read)
        return [Share(batch, number, weight, total) for number, batch, weight in read]


class LightningTraining(lightning.LightningModule, ABC):
    """Trains ``model`` as ``config`` says; what the training gives is ``average``."""

    def __init__(self, model: nn.Module, config: Schedule, seed: int) -> None:
        super().__init__()
        self.model, self.config, self.seed = model, config, seed
        # A part of this module, so that checkpoints hold it; no gradient, so that DDP leaves it alone.
        self.averaged = make_average(model).requires_grad_(False)
        self._step_weight = torch.ones(())

    @property
    def average(self) -> nn.Module:
        """The model that the training gives at this step."""
        return self.averaged.module

    def begin_with(self, weights: Path) -> None:
        """Go on from the ``weights`` of a model of the same configuration: safetensors."""
        if not begin_with(weights, self.model, self.average):
            raise ValueError(f"weights must be of the model that goes on (got {weights}): train it from its beginning")

    @property
    def shares(self) -> int:
        """Into how many shares a step's batch is dealt."""
        return self.trainer.world_size * self.trainer.accumulate_grad_batches

    @abstractmethod
    def batch(self, step: int, share: int, shares: int) -> tuple[Any, float]:
        """Return one of the ``shares`` of a step's batch, which has a method ``to(device)``, and its weight.

        The weight is what ``losses`` are means over. Of fewer items than shares some shares get none: they read another
        one's with a weight of 0, since every rank has to take the step.
        """

    @abstractmethod
    def losses(self, batch: Any) -> Iterable[torch.Tensor]:
        """Yield what is to be back-propagated for ``batch``: the gradient is the sum of theirs."""

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Steps(self), batch_size=None)

    def transfer_batch_to_device(self, batch: Share, device: torch.device, dataloader_idx: int) -> Share:
        return replace(batch, batch=batch.batch.to(device))

    def training_step(self, batch: Share, batch_idx: int) -> torch.Tensor:
        seed_step(self.seed, self.trainer.global_step, batch.number)
        losses = self.losses(batch.batch)
        if self.shares > 1:
            scale = self._scale(batch)
            losses = (loss * scale for loss in losses)
        return folded(losses, self.model)

    def _scale(self, share: Share) -> torch.Tensor:
        """Return by what to multiply the loss of ``share``, so that the mean over all shares is the loss of the batch.

        DDP takes the mean over ranks, Lightning over the parts that gradients are accumulated over.
        """
        if share.number < self.trainer.world_size:
            mine = torch.tensor(share.rank_weight, device=self.device)
            self._step_weight = self.trainer.strategy.reduce(mine, reduce_op="sum")
        return self.shares * share.weight / self._step_weight.clamp(min=torch.finfo(torch.float32).tiny)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        # Before any callback sees the step: the checkpoint of a step holds the average that it gave.
        self.averaged.update_parameters(self.model)

    def configure_optimizers(self) -> Any:
        # Under mixed precision Lightning clips gradients itself, and refuses to with a fused optimiser.
        fused = self._trainer is None or self.trainer.precision == "32-true"
        optimizer, schedule = make_optimizer(self.model, self.config, fused)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
