"""How a forecaster is trained, as one point of the search space."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.suggest import Suggest


class TrainingConfig(BaseModel):
    """How a forecaster is trained, and for how many steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    batch_size: int = Field(128, ge=1)
    weighting: Literal["error_scale", "none"] = "error_scale"
    grad_clip: float = Field(1.0, gt=0)

    @classmethod
    def suggest(cls, trial: Suggest, max_steps: int) -> TrainingConfig:
        return cls(
            steps=max_steps,
            learning_rate=trial.suggest_float("learning_rate", 5e-4, 1e-2, log=True),
            weight_decay=trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True),
            batch_size=trial.suggest_categorical("batch_size", [64, 128, 256]),
            weighting=trial.suggest_categorical("weighting", ["error_scale", "none"]),
        )
