"""What a data set fixes for every forecaster of it. Imports no torch, so that data stages may use it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from models.encoding import Encoding


class Facts(BaseModel):
    """Sizes, time and columns; ``longest`` is the longest training part in steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon: int
    season_length: int
    frequency: str
    time_zone: str | None
    quantiles: list[float]
    calendar_width: int
    longest: int
    encoding: Encoding
