"""The plain recurrent network that the long-time-lag tasks are also given to: Elman 1990, with tanh units.

It has the interface of a core, so that the benchmarks can put it in a core's place.

Shapes: B batch, T steps, C input channels, H hidden size.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn


class TanhRNNConfig(BaseModel):
    """One layer of tanh units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden_size: int = Field(64, ge=1)

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def build(self, input_size: int) -> TanhRNN:
        return TanhRNN(self, input_size)


class TanhRNN(nn.Module):
    """``h_t = tanh(W x_t + U h_(t-1) + b)``, with torch's initialisation."""

    def __init__(self, config: TanhRNNConfig, input_size: int) -> None:
        super().__init__()
        self.config = config
        self.layer = nn.RNN(input_size, config.hidden_size, batch_first=True)

    def forward(self, x_BTC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``h_BTH`` and the state after the last step, ``[B, H]``."""
        h_BTH, last = self.layer(x_BTC)
        return h_BTH, last[0]
