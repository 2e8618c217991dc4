"""What the trials of a running search leave for each other and for ``fit``, each file whole or absent.

trial-N.safetensors           weights at its best step
trial-N.values.npy, .offsets  what they give on the validation part: ``models.ragged``
trial-N.state                 where its training stands: tensors and numbers alone

Workers on several machines leave them in the shared store, too, and look there: a trial may go on elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models import bundle
from models.ragged import Ragged
from tasks.shared import SharedStore, work_folder

BEST = ("offsets.npy", "values.npy", "safetensors")


def name(number: int) -> str:
    """Return what the files of a trial begin with."""
    return f"trial-{number}"


def read_outputs(directory: Path, number: int) -> list[np.ndarray]:
    """Return a trial's outputs on the validation part, an array an item."""
    ragged = Ragged.open(directory, name(number))
    return [ragged.item(i) for i in range(len(ragged))]


class TrialFiles:
    """The files of all trials of a search.

    Args:
        directory: where this machine has them.
        shared: where all machines do, in its ``work_folder``; none: there are no others.
    """

    def __init__(self, directory: Path, shared: SharedStore | None = None) -> None:
        self.directory, self.shared = directory, shared
        self.folder = work_folder(directory)

    def write_best(self, number: int, model: nn.Module, outputs: Sequence[np.ndarray]) -> None:
        """Replace the weights of the best step, and their outputs."""
        ragged = Ragged.of(outputs)
        for part, array in (("offsets", ragged.offsets), ("values", ragged.values)):
            target = self.directory / f"{name(number)}.{part}.npy"
            with (partial := target.with_suffix(".partial")).open("wb") as stream:
                np.save(stream, array)
            os.replace(partial, target)
        target = self.directory / f"{name(number)}.safetensors"
        bundle.save_weights(model, partial := target.with_suffix(".partial"))
        os.replace(partial, target)
        for part in BEST:
            self.share(f"{name(number)}.{part}")

    def write_state(self, number: int, state: dict[str, Any]) -> None:
        """Replace where the training stands."""
        target = self.directory / f"{name(number)}.state"
        torch.save(state, partial := target.with_suffix(".state-partial"))
        os.replace(partial, target)
        self.share(target.name)

    def read_state(self, number: int) -> dict[str, Any] | None:
        """Return where the training stands; None: at its beginning."""
        path = self._newest(f"{name(number)}.state")
        return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None

    def remove_state(self, number: int) -> None:
        """Forget where a training stands that will not go on."""
        self._remove(f"{name(number)}.state")

    def remove_best(self, numbers: Iterable[int]) -> None:
        """Forget weights and outputs of trials that have ended."""
        for number in numbers:
            for part in BEST:
                self._remove(f"{name(number)}.{part}")

    def copy_best(self, number: int, target: Path) -> None:
        """Copy weights and outputs of a trial into ``target``."""
        for part in BEST:
            path = self._newest(f"{name(number)}.{part}")
            (target / path.name).write_bytes(path.read_bytes())

    def share(self, file: str) -> None:
        """Let other machines have ``file`` of the directory."""
        if self.shared is not None:
            self.shared.put(self.directory / file, f"{self.folder}/{file}")

    def fetch(self, ending: str) -> list[Path]:
        """Return the files whose names end so, of all machines, in order of their names."""
        if self.shared is not None:
            for file in self.shared.names(self.folder):
                if file.endswith(ending):
                    self._newest(file)
        return sorted(self.directory.glob(f"*{ending}"))

    def _newest(self, file: str) -> Path:
        """Return the path of ``file`` as the machine left it that wrote it last."""
        path = self.directory / file
        if self.shared is not None and not self.shared.get(f"{self.folder}/{file}", path):
            path.unlink(missing_ok=True)
        return path

    def _remove(self, file: str) -> None:
        (self.directory / file).unlink(missing_ok=True)
        if self.shared is not None:
            self.shared.remove(f"{self.folder}/{file}")
