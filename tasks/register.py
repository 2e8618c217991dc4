"""Stage ``register``: a version in the MLflow registry, challenger always, champion through the gate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tasks.config import Config


class RegisterConfig(Config):
    """The gate between challenger and champion."""

    promote: Literal["auto", "never"] = Field(
        "auto", title="Promote", description="auto: the challenger becomes champion if no baseline and no champion is better."
    )
