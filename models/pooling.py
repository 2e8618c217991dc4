"""From the outputs of all steps to one vector an item. What lies past an item's length never acts.

Each form can go on from what it carries of the steps before, so that a sequence may be read in chunks: pooling the
chunks in turn equals pooling the whole. A row that has ended before a chunk has length 0 in it and keeps its vector.

Shapes: B items, T steps, R core output, P pooled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import nn

Carried = tuple[torch.Tensor, ...]
"""What a pooling remembers of earlier chunks: tensors of B rows; detach them to cut the gradient."""

CARRIED_TYPE = torch.float64
"""Of sums over steps: in float32 a sequence of millions of them would drift, and its count stop at 2 ** 24."""

PoolingName = Literal["attention", "max", "mean", "last", "max_mean"]

ATTENTION_SIZE = 64


def build_pooling(name: PoolingName, input_size: int, bidirectional: bool) -> Pooling:
    """Return the pooling called ``name``; only ``last`` needs to know which half of R was read backwards."""
    if name == "attention":
        return AttentionPooling(input_size)
    if name == "max":
        return MaxPooling(input_size)
    if name == "mean":
        return MeanPooling(input_size)
    if name == "last":
        return LastPooling(input_size, bidirectional)
    return MaxMeanPooling(input_size)


class Pooling(nn.Module, ABC):
    """``forward`` returns the pooled vector of all steps so far, and what to carry on."""

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.output_size = input_size

    @abstractmethod
    def forward(
        self, h_BTR: torch.Tensor, lengths_B: torch.Tensor, carried: Carried | None = None
    ) -> tuple[torch.Tensor, Carried]:
        """Pool ``h_BTR`` over each row's first ``lengths_B`` steps: at least 1 where nothing is carried, else 0."""


class MeanPooling(Pooling):
    def forward(
        self, h_BTR: torch.Tensor, lengths_B: torch.Tensor, carried: Carried | None = None
    ) -> tuple[torch.Tensor, Carried]:
        total_BR = h_BTR.masked_fill(padding(h_BTR, lengths_B), 0.0).sum(dim=1).to(CARRIED_TYPE)
        steps_B1 = lengths_B[:, None].to(CARRIED_TYPE)
        if carried is not None:
            total_BR, steps_B1 = total_BR + carried[0], steps_B1 + carried[1]
        return (total_BR / steps_B1).to(h_BTR.dtype), (total_BR, steps_B1)


class MaxPooling(Pooling):
    def forward(
        self, h_BTR: torch.Tensor, lengths_B: torch.Tensor, carried: Carried | None = None
    ) -> tuple[torch.Tensor, Carried]:
        peak_BR = h_BTR.masked_fill(padding(h_BTR, lengths_B), -torch.inf).amax(dim=1)
        if carried is not None:
            peak_BR = torch.maximum(peak_BR, carried[0])
        return peak_BR, (peak_BR,)


class LastPooling(Pooling):
    """The last step; of the half of R that was read backwards, the first, where that half has seen all."""

    def __init__(self, input_size: int, bidirectional: bool) -> None:
        super().__init__(input_size)
        self.bidirectional = bidirectional

    def forward(
        self, h_BTR: torch.Tensor, lengths_B: torch.Tensor, carried: Carried | None = None
    ) -> tuple[torch.Tensor, Carried]:
        last_BR = last_step(h_BTR, lengths_B)
        if self.bidirectional:
            half = h_BTR.shape[2] // 2
            last_BR = torch.cat([last_BR[:, :half], h_BTR[:, 0, half:]], dim=1)
        if carried is not None:
            assert not self.bidirectional, "chunks are read in one direction"
            last_BR = torch.where((lengths_B > 0)[:, None], last_BR, carried[0])
        return last_BR, (last_BR,)


class AttentionPooling(Pooling):
    """A weighted mean; a step's weight comes from its own output (Yang et al. 2016). Carried as an online softmax."""

    def __init__(self, input_size: int) -> None:
        super().__init__(input_size)
        self.hidden = nn.Linear(input_size, ATTENTION_SIZE)
        self.query = nn.Linear(ATTENTION_SIZE, 1, bias=False)

    def forward(
        self, h_BTR: torch.Tensor, lengths_B: torch.Tensor, carried: Carried | None = None
    ) -> tuple[torch.Tensor, Carried]:
        outside = padding(h_BTR, lengths_B)
        h_BTR = h_BTR.masked_fill(outside, 0.0)
        score_BT1 = self.query(torch.tanh(self.hidden(h_BTR))).masked_fill(outside, -torch.inf)
        peak_B1 = score_BT1.detach().amax(dim=1)
        if carried is not None:
            peak_B1 = torch.maximum(peak_B1, carried[0])
        weight_BT1 = (score_BT1 - peak_B1[:, None]).exp()
        mass_B1 = weight_BT1.sum(dim=1).to(CARRIED_TYPE)
        total_BR = (weight_BT1 * h_BTR).sum(dim=1).to(CARRIED_TYPE)
        if carried is not None:
            faded_B1 = (carried[0] - peak_B1).exp()
            mass_B1, total_BR = mass_B1 + faded_B1 * carried[1], total_BR + faded_B1 * carried[2]
        return (total_BR / mass_B1).to(h_BTR.dtype), (peak_B1, mass_B1, total_BR)


class MaxMeanPooling(Pooling):
    """Both, side by side (Howard & Ruder 2018)."""

    def __init__(self, input_size: int) -> None:
        super().__init__(input_size)
        self.output_size = 2 * input_size
        self.max = MaxPooling(input_size)
        self.mean = MeanPooling(input_size)

    def forward(
        self, h_BTR: torch.Tensor, lengths_B: torch.Tensor, carried: Carried | None = None
    ) -> tuple[torch.Tensor, Carried]:
        peak_BR, peaks = self.max(h_BTR, lengths_B, None if carried is None else carried[:1])
        mean_BR, sums = self.mean(h_BTR, lengths_B, None if carried is None else carried[1:])
        return torch.cat([peak_BR, mean_BR], dim=1), (*peaks, *sums)


def shared(loss_B: torch.Tensor, share_B: torch.Tensor | None) -> torch.Tensor:
    """Return the losses of items, each multiplied by its share if there are shares."""
    return loss_B if share_B is None else loss_B * share_B


def last_step(h_BTR: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    """Return the output of each item's last step, of an empty one the first: ``[B, R]``."""
    return h_BTR[torch.arange(len(h_BTR), device=h_BTR.device), (lengths_B - 1).clamp(min=0)]


def padding(h_BTR: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    """Return bool ``[B, T, 1]``, true past each row's length."""
    return (torch.arange(h_BTR.shape[1], device=h_BTR.device) >= lengths_B[:, None])[..., None]
