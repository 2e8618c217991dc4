"""An encoder-decoder: a second LSTM goes on from the encoder's state, a patch of the horizon a step.

Sutskever, Vinyals & Le 2014; as in Wen et al. 2017 it reads the encoder's last output and what is known of the horizon,
not its own output, so that errors do not feed on themselves and the whole horizon is one call.

Shapes: as in ``direct``.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from models.cores.core import State
from models.heads.shape import HeadShape
from models.pooling import last_step
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
    """Reads the encoding, known covariates, static features and any skip; writes parameters patch by patch."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.core.output_size + shape.known_patch_width + shape.static_width
        width += shape.patch_length if shape.skip else 0
        self.decoder = shape.core.build(width)
        self.out = nn.Linear(shape.core.output_size, shape.patch_length * shape.parameters)

    def forward(
        self,
        h_BTR: torch.Tensor,
        lengths_B: torch.Tensor,
        state: State,
        static_BS: torch.Tensor,
        known_BMK: torch.Tensor,
        skip_BF: torch.Tensor,
    ) -> torch.Tensor:
        """Return ``[B, F, P]``, relative to ``skip_BF``."""
        shape = self.shape
        last_BR = last_step(h_BTR, lengths_B)
        whole_BX = torch.cat([last_BR, static_BS], dim=1)
        inputs = [whole_BX[:, None].expand(-1, shape.patches, -1), known_BMK]
        if shape.skip:
            skip_BG = nn.functional.pad(skip_BF, (0, shape.patches * shape.patch_length - shape.horizon))
            inputs.append(skip_BG.reshape(len(skip_BF), shape.patches, shape.patch_length))
        h_BMR, _ = self.decoder(torch.cat(inputs, dim=2), None, state)
        y_BGP = self.out(h_BMR).reshape(len(skip_BF), shape.patches * shape.patch_length, shape.parameters)
        return y_BGP[:, : shape.horizon]
