"""The budget of a search, apart from the stage: a worker that reads it need not import Prefect, which takes long."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from tasks.config import Config, Duration


class SearchConfig(Config):
    """The budget of the search and how it compares trials."""

    model_config = ConfigDict(title="Search")

    time_budget: Duration = Field(
        "10m",
        title="Time budget",
        description="Wall-clock time of search and fit together, such as 90s, 2m or 1h30m.",
    )
    max_trials: int = Field(
        1000, title="Trials", description="The search begins no more trials, pruned ones included.", ge=1
    )
    max_steps: int | None = Field(
        None,
        title="Optimiser steps",
        description="Length of the longest trial; none: as long as it gets better.",
        ge=10,
    )
    space: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        {},
        title="Space",
        description="Values of parameters of the search, such as head: [direct]; what is not named is searched whole.",
    )
    metric: str | None = Field(
        None, title="Metric", description="What trials are compared by on the validation part; none: the kind's first."
    )
    pruning: bool = Field(
        True, title="Pruning", description="Only the better half of the trials goes on after each rung of steps."
    )
    seed: int = Field(0, title="Seed", ge=0)
