"""An encoder-decoder: a second LSTM goes on from the encoder's state, a patch of the horizon a step.

Sutskever, Vinyals & Le 2014; as in Wen et al. 2017 it reads what is known of the horizon, not its own output, so that
errors do not feed on themselves and the whole horizon is one call.

Shapes: as in ``direct``.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from models.cores.stacked_lstm import State
from models.heads.shape import HeadShape
from models.suggest import Suggest


class DecoderHeadConfig(BaseModel):
    """The decoder is as deep and wide as the core, whose state it takes over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: Literal["decoder"] = "decoder"

    @classmethod
    def suggest(cls, trial: Suggest) -> DecoderHeadConfig:
        return cls()

    def build(self, shape: HeadShape) -> DecoderHead:
        return DecoderHead(shape)


class DecoderHead(nn.Module):
    """Reads known covariates, the seasonal skip and static features; writes quantiles patch by patch."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.known_patch_width + shape.patch_length + shape.static_width
        self.decoder = shape.core.build(width)
        self.out = nn.Linear(shape.core.output_size, shape.patch_length * shape.quantiles)

    def forward(
        self,
        h_BTR: torch.Tensor,
        lengths_B: torch.Tensor,
        state: State,
        static_BS: torch.Tensor,
        known_BMK: torch.Tensor,
        skip_BF: torch.Tensor,
    ) -> torch.Tensor:
        """Return ``[B, F, Q]``, relative to ``skip_BF``."""
        shape = self.shape
        skip_BMP = nn.functional.pad(skip_BF, (0, shape.patches * shape.patch_length - shape.horizon))
        skip_BMP = skip_BMP.reshape(len(skip_BF), shape.patches, shape.patch_length)
        static_BMS = static_BS[:, None].expand(-1, shape.patches, -1)
        h_BMR, _ = self.decoder(torch.cat([known_BMK, skip_BMP, static_BMS], dim=2), None, state)
        y_BGQ = self.out(h_BMR).reshape(len(skip_BF), shape.patches * shape.patch_length, shape.quantiles)
        return y_BGQ[:, : shape.horizon]
