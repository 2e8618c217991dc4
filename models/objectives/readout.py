"""The last layers of every head: dropout, an optional hidden layer, one linear map to the scores.

Shapes: any leading dimensions, R core output (or its pooled form).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from models.suggest import Suggest


class ReadoutConfig(BaseModel):
    """``mlp_size`` 0 means one linear map."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dropout: float = Field(0.0, ge=0, lt=1, description="before each linear map")
    mlp_size: int = Field(0, ge=0)

    @classmethod
    def suggest(cls, trial: Suggest) -> ReadoutConfig:
        return cls(
            dropout=trial.suggest_float("head_dropout", 0.0, 0.6),
            mlp_size=trial.suggest_categorical("head_mlp_size", [0, 64, 128]),
        )

    @classmethod
    def portfolio(cls) -> list[dict[str, Any]]:
        """Return good points as trial parameters, the safest first."""
        return [{"head_dropout": 0.3, "head_mlp_size": 0}, {"head_dropout": 0.5, "head_mlp_size": 0}]

    def build(self, input_size: int, output_size: int) -> nn.Module:
        if not self.mlp_size:
            return nn.Sequential(nn.Dropout(self.dropout), nn.Linear(input_size, output_size))
        return nn.Sequential(
            nn.Dropout(self.dropout),
            nn.Linear(input_size, self.mlp_size),
            nn.GELU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.mlp_size, output_size),
        )
