"""What the trials of a running search leave on disk, each file whole or absent.

trial-N.safetensors           weights at its best step
trial-N.values.npy, .offsets  what they give on the validation part: ``models.ragged``
trial-N.state                 where its training stands: tensors and numbers alone
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models import bundle
from models.ragged import Ragged


def name(number: int) -> str:
    """Return what the files of a trial begin with."""
    return f"trial-{number}"


def read_outputs(directory: Path, number: int) -> list[np.ndarray]:
    """Return a trial's outputs on the validation part, an array an item."""
    ragged = Ragged.open(directory, name(number))
    return [ragged.item(i) for i in range(len(ragged))]


class TrialFiles:
    """The files of all trials under one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

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

    def write_state(self, number: int, state: dict[str, Any]) -> None:
        """Replace where the training stands."""
        target = self.directory / f"{name(number)}.state"
        torch.save(state, partial := target.with_suffix(".state-partial"))
        os.replace(partial, target)

    def read_state(self, number: int) -> dict[str, Any] | None:
        """Return where the training stands; None: at its beginning."""
        path = self.directory / f"{name(number)}.state"
        return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None

    def remove_state(self, number: int) -> None:
        """Forget where a training stands that will not go on."""
        (self.directory / f"{name(number)}.state").unlink(missing_ok=True)

    def remove_best(self, numbers: Iterable[int]) -> None:
        """Forget weights and outputs of trials that have ended."""
        for number in numbers:
            for part in ("safetensors", "values.npy", "offsets.npy"):
                (self.directory / f"{name(number)}.{part}").unlink(missing_ok=True)

    def copy_best(self, number: int, target: Path) -> None:
        """Copy weights and outputs of a trial into ``target``."""
        for path in self.directory.glob(f"{name(number)}.*"):
            if path.suffix in (".safetensors", ".npy"):
                shutil.copyfile(path, target / path.name)
