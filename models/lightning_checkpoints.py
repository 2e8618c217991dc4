"""Checkpoints of a training under Lightning: only of whole steps, so that one that is resumed begins with a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint


class Checkpoints(ModelCheckpoint):
    """Keeps the newest checkpoint as ``last.ckpt`` below ``directory``, written every ``steps``."""

    def __init__(self, directory: Path, steps: int) -> None:
        super().__init__(dirpath=directory, filename="last", every_n_train_steps=steps, enable_version_counter=False)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        # Lightning would also write one after the first part of a step, if the step before was one to be kept.
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)
