"""What every input kind of sequences has: facts fitted on the training part, a point of the space, a module.

Facts turn one raw item into an array of steps, once, in ``prepare`` and at prediction; the module reads those arrays.
In an integer view 0 is padding everywhere, so a padded step never meets a parameter that means something.

Shapes: B items, T steps, X what a step of the view holds, C channels that the core reads.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from models.suggest import Suggest


class FittedInput(BaseModel):
    """Facts of one input kind; everything in it is JSON and travels in ``model.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def views(self) -> list[str]:
        """The forms in which items are prepared; a config reads one of them."""
        raise NotImplementedError

    @property
    def variants(self) -> int:
        """How many times a training item is prepared, differently: 1, or more for augmentation that cannot wait."""
        return 1

    def layout(self, view: str) -> tuple[np.dtype, tuple[int, ...]]:
        """Return the dtype of ``encode``'s arrays and the shape X of a step."""
        raise NotImplementedError

    def encode(self, view: str, raw: Any) -> np.ndarray:
        """Turn one raw item into ``[T, *X]``, T at least 1."""
        raise NotImplementedError

    def encode_variant(self, view: str, raw: Any, variant: int) -> np.ndarray:
        """Turn one raw training item into its ``variant``; 0 is what ``encode`` gives."""
        assert variant == 0, "this input has one variant"
        return self.encode(view, raw)


class InputPoint(BaseModel):
    """A point of one input kind's space."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    view: str

    @property
    def frames_per_step(self) -> int:
        """Steps of the view that one step of the core reads."""
        return 1

    @property
    def draws_variants(self) -> bool:
        """Whether a training draws from the prepared variants of an item."""
        return False

    @classmethod
    def suggest(cls, trial: Suggest, facts: Any, views: list[str]) -> Self:
        """Draw a point that fits ``facts`` and reads one of ``views``, which are some of theirs."""
        raise NotImplementedError

    @classmethod
    def portfolio(cls, facts: Any) -> list[dict[str, Any]]:
        """Return points worth beginning with, as the parameters that ``suggest`` draws; the first is the default."""
        raise NotImplementedError

    def build(self, facts: Any) -> InputModule:
        raise NotImplementedError


class InputModule(nn.Module):
    """Reads padded views. Augments in training alone; past an item's length its output is zero."""

    output_size: int

    def forward(self, values_BTX: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``x_BTC`` and its lengths int64 ``[B]``, at least 1; T may be shorter than it was."""
        raise NotImplementedError


def inside(lengths_B: torch.Tensor, steps: int) -> torch.Tensor:
    """Return which steps are real: bool ``[B, T]``."""
    return torch.arange(steps, device=lengths_B.device) < lengths_B[:, None]
