"""Dropout that recurrent layers bear: it disturbs training alone, and all steps of a sequence alike."""

from __future__ import annotations

import torch
from torch import nn


class SequenceDropout(nn.Module):
    """Drop the same channels at every step of a row: ``[B, T, C]`` to the same shape.

    Gal & Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural networks". Parts that
    are read one after the other have a mask each.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.p:
            return x_BTC
        return x_BTC * nn.functional.dropout(torch.ones_like(x_BTC[:, :1]), self.p)


def drop_weights(layer: nn.LSTM, p: float) -> list[list[torch.Tensor]]:
    """Return ``layer``'s weights for each direction, in training with a share ``p`` of the recurrent ones dropped.

    One mask for all rows and steps of a call, so that the layer stays torch's fast one. Merity, Keskar & Socher 2018,
    "Regularizing and optimizing LSTM language models".
    """
    return [
        [weight_ih, nn.functional.dropout(weight_hh, p, layer.training), *others]
        for weight_ih, weight_hh, *others in layer.all_weights
    ]
