"""What a data set fixes for every forecaster of it. Imports no torch, so that data stages may use it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from models.encoding import Encoding


class Facts(BaseModel):
    """Sizes, time and columns; ``longest`` is the longest training part in steps.

    ``item_columns``, ``time_column`` and ``targets`` are the names that the user's tables have; the rest of the
    columns stand in the encoding. ``counts`` says that every target is a whole number from 0 on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon: int
    season_length: int
    frequency: str
    time_zone: str | None
    quantiles: list[float]
    calendar_width: int
    longest: int
    item_columns: list[str]
    time_column: str
    targets: list[str]
    encoding: Encoding
    counts: bool = False

    @property
    def integer_time(self) -> bool:
        """Whether time is an index instead of dates."""
        return self.frequency.isdigit()
