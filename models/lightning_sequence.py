"""The training of a model of whole sequences under Lightning."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from models.batching import TokenBatches
from models.lightning_training import LightningTraining
from models.sequence_model import SequenceModel
from models.sequence_training import SequenceTrainingConfig, losses, share_of
from models.sequences import Batch, SequenceArrays


class LightningSequence(LightningTraining):
    """Trains ``model`` on the items of ``arrays`` that ``batches`` names."""

    model: SequenceModel
    config: SequenceTrainingConfig

    def __init__(
        self, model: SequenceModel, arrays: SequenceArrays, batches: TokenBatches, config: SequenceTrainingConfig
    ) -> None:
        super().__init__(model, config, batches.seed)
        self.arrays, self.batches = arrays, batches

    def batch(self, step: int, share: int, shares: int) -> tuple[Batch, float]:
        return share_of(self.model, self.arrays, self.batches, step, share, shares)

    def losses(self, batch: Batch) -> Iterator[torch.Tensor]:
        yield from losses(self.model, batch)
