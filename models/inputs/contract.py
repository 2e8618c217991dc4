"""What every input kind of sequences has: facts fitted on the training part, a point of the space, a module.

Facts turn one raw item into an array of steps, once, in ``prepare`` and at prediction; the module reads those arrays.
In an integer view 0 is padding everywhere, so a padded step never meets a parameter that means something.

Shapes: B items, T steps, X what a step of the view holds, C channels that the core reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from models.suggest import Suggest

if TYPE_CHECKING:
    import pandas as pd

    from models.sequence_columns import SequenceColumns


class FittedInput(BaseModel, ABC):
    """Facts of one input kind; everything in it is JSON and travels in ``model.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    streams: ClassVar[bool] = False
    """Whether steps can be encoded one by one, before the rest of their item is known."""
    opens_files: ClassVar[bool] = False
    """Whether ``read`` opens files that a table names, which nobody from elsewhere may make it do."""

    @property
    @abstractmethod
    def views(self) -> list[str]:
        """The forms in which items are prepared; a config reads one of them."""

    @property
    def variants(self) -> int:
        """How many times a training item is prepared, differently: 1, or more for augmentation that cannot wait."""
        return 1

    @abstractmethod
    def unit(self, view: str) -> str:
        """Return what the steps of ``view`` are called."""

    @abstractmethod
    def layout(self, view: str) -> tuple[np.dtype, tuple[int, ...]]:
        """Return the dtype of ``encode``'s arrays and the shape X of a step."""

    @abstractmethod
    def read(self, frame: pd.DataFrame, columns: SequenceColumns) -> tuple[np.ndarray, list[Any]]:
        """Find the items in the table of a served model's user.

        Args:
            frame: its index is 0, 1, and so on.
            columns: the names that the training data had.

        Returns:
            A row of each item, int64 ``[N]``, in the order in which the items first appear, and the raw items.

        Raises:
            ValueError: a column is missing or an item is empty or unreadable; the row is named.
        """

    def size(self, raw: Any) -> int:
        """Return how many steps a raw item has in its longest view, about: what its memory grows with."""
        return len(raw)

    @abstractmethod
    def encode(self, view: str, raw: Any) -> np.ndarray:
        """Turn one raw item into ``[T, *X]``, T at least 1."""

    def encode_variant(self, view: str, raw: Any, variant: int) -> np.ndarray:
        """Turn one raw training item into its ``variant``; 0 is what ``encode`` gives."""
        assert variant == 0, "this input has one variant"
        return self.encode(view, raw)


class InputPoint(BaseModel, ABC):
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
    @abstractmethod
    def suggest(cls, trial: Suggest, facts: Any, views: list[str]) -> Self:
        """Draw a point that fits ``facts`` and reads one of ``views``, which are some of theirs."""

    @classmethod
    @abstractmethod
    def portfolio(cls, facts: Any, aligning: bool = False) -> list[dict[str, Any]]:
        """Return points worth beginning with, as the parameters that ``suggest`` draws; the first is the default.

        ``aligning``: training has to find out which steps a symbol of the target belongs to, as CTC's does.
        """

    @abstractmethod
    def build(self, facts: Any) -> InputModule:
        """Return a module of this point for data of ``facts``."""


class InputModule(nn.Module, ABC):
    """Reads padded views. Augments in training alone; past an item's length its output is zero.

    What a point draws for a whole item is drawn for each chunk where items are learned chunk by chunk.
    """

    output_size: int

    @abstractmethod
    def forward(self, values_BTX: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``x_BTC`` and its lengths int64 ``[B]``, at least 1; T may be shorter than it was."""


def inside(lengths_B: torch.Tensor, steps: int) -> torch.Tensor:
    """Return which steps are real: bool ``[B, T]``."""
    return torch.arange(steps, device=lengths_B.device) < lengths_B[:, None]
