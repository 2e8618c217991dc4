"""Problem kinds as configuration: what is to be learned, known to every layer above."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

DEFAULT_QUANTILES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


class Forecast(BaseModel):
    """Predict quantiles of the target over the next ``horizon`` steps of each item."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["forecast"] = "forecast"
    horizon: int = Field(title="Horizon", description="Steps to predict.", ge=1, le=10_000, strict=True)
    season_length: int | None = Field(
        None, title="Season length", description="Steps in a season; none: taken from the frequency.", ge=1
    )
    quantiles: list[float] = Field(
        DEFAULT_QUANTILES, title="Quantile levels", description="Must hold 0.1, 0.5 and 0.9."
    )

    @field_validator("quantiles")
    @classmethod
    def _levels(cls, levels: list[float]) -> list[float]:
        if sorted(set(levels)) != levels or not {0.1, 0.5, 0.9} <= set(levels) or not 0 < levels[0] <= levels[-1] < 1:
            raise ValueError("quantile levels must rise strictly between 0 and 1 and hold 0.1, 0.5 and 0.9")
        return levels
