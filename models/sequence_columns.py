"""The names that a user's tables have: what a model of sequences reads when it is served."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Layout = Literal["items", "steps"]
"""What a row of a table is: an item, whose channels are lists, or a step of one."""
StepType = Literal["integer", "number", "datetime", "text"]


class SequenceColumns(BaseModel):
    """Columns by role.

    ``input`` is one column of texts, token lists, or audio paths, or the numeric channels. Where a row is a step,
    ``item_id`` tells items apart and ``step``, if there is one, orders the rows of each; where a row is an item, item
    columns only name it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: list[str]
    input: list[str]
    step: str | None
    target: list[str]
    layout: Layout = "items"
    step_type: StepType | None = None
