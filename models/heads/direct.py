"""All steps of the horizon at once, from the core's last state and what is known of the horizon.

Wen et al. 2017 (multi-horizon quantile forecaster) with a plain decoder.

Shapes: B windows, T core steps, R core output, M patches of the horizon, K known width, F horizon, Q quantiles.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from models.cores.core import State
from models.heads.shape import HeadShape
from models.suggest import Suggest


class DirectHeadConfig(BaseModel):
    """``mlp_size`` 0 means one linear map."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: Literal["direct"] = "direct"
    mlp_size: int = Field(0, ge=0)

    @classmethod
    def suggest(cls, trial: Suggest) -> DirectHeadConfig:
        return cls(mlp_size=trial.suggest_categorical("mlp_size", [0, 64, 128]))

    def build(self, shape: HeadShape) -> DirectHead:
        return DirectHead(self, shape)


class DirectHead(nn.Module):
    """Maps ``[h_last, static, known]`` to every quantile of every step."""

    def __init__(self, config: DirectHeadConfig, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.core.output_size + shape.static_width + shape.patches * shape.known_patch_width
        out = shape.horizon * shape.quantiles
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
        """Return ``[B, F, Q]``, relative to ``skip_BF``."""
        last_BR = h_BTR[torch.arange(len(h_BTR), device=h_BTR.device), lengths_B - 1]
        features = torch.cat([last_BR, static_BS, known_BMK.flatten(1)], dim=1)
        return self.net(features).reshape(-1, self.shape.horizon, self.shape.quantiles)
