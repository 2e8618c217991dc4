"""All steps of the horizon at once, from the core's last output and what is known of the horizon.

Wen et al. 2017 (multi-horizon quantile forecaster) with a plain decoder. With attention the outputs of all steps are
read, too, as a weighted mean of them (Yang et al. 2016).

Shapes: B windows, T core steps, R core output, M patches of the horizon, K known width, F horizon, P parameters a step.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from models.cores.core import State
from models.heads.shape import HeadShape
from models.pooling import AttentionPooling, last_step
from models.suggest import Suggest


class DirectHeadConfig(BaseModel):
    """``mlp_size`` 0 means one linear map; ``attention`` adds the pooled outputs of all steps to the last one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: Literal["direct"] = "direct"
    mlp_size: int = Field(0, ge=0)
    attention: bool = False

    @classmethod
    def suggest(cls, trial: Suggest) -> DirectHeadConfig:
        return cls(
            mlp_size=trial.suggest_categorical("mlp_size", [0, 64, 128]),
            attention=trial.suggest_categorical("attention", [False, True]),
        )

    def build(self, shape: HeadShape) -> DirectHead:
        return DirectHead(self, shape)


class DirectHead(nn.Module):
    """Maps ``[h_last, static, known]`` to every parameter of every step."""

    def __init__(self, config: DirectHeadConfig, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        self.attention = AttentionPooling(shape.core.output_size) if config.attention else None
        read = shape.core.output_size * (2 if config.attention else 1)
        width = read + shape.static_width + shape.patches * shape.known_patch_width
        out = shape.horizon * shape.parameters
        self.net: nn.Module
        if config.mlp_size:
            self.net = nn.Sequential(nn.Linear(width, config.mlp_size), nn.GELU(), nn.Linear(config.mlp_size, out))
        else:
            self.net = nn.Linear(width, out)

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
        last_BR = last_step(h_BTR, lengths_B)
        features = [last_BR, static_BS, known_BMK.flatten(1)]
        if self.attention is not None:
            features.append(self.attention(h_BTR, lengths_B)[0])
        return self.net(torch.cat(features, dim=1)).reshape(-1, self.shape.horizon, self.shape.parameters)
