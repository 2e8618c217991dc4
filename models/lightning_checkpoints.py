"""Checkpoints of a training under Lightning: only of whole steps, so that one that is resumed begins with a step."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint

SHARING = 0.05
"""Share of the time that giving checkpoints to others may take."""


class Checkpoints(ModelCheckpoint):
    """Keeps the newest checkpoint as ``last.ckpt`` below ``directory``, written every ``steps``.

    ``share`` is given its path, on the first rank alone, as often as that takes little of the time.
    """

    def __init__(self, directory: Path, steps: int, share: Callable[[Path], None]) -> None:
        super().__init__(dirpath=directory, filename="last", every_n_train_steps=steps, enable_version_counter=False)
        self.file, self.share = directory / "last.ckpt", share
        self._shared, self._next = 0.0, 0.0

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        # Lightning would also write one after the first part of a step, if the step before was one to be kept.
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)
            if trainer.is_global_zero:
                self._share()

    def _share(self) -> None:
        began = time.monotonic()
        if began < self._next or not self.file.exists():
            return
        if (written := self.file.stat().st_mtime) > self._shared:
            self.share(self.file)
            self._shared, self._next = written, began + (time.monotonic() - began) / SHARING
