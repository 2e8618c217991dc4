"""The names that a user's tables have: what a model of sequences reads when it is served."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SequenceColumns(BaseModel):
    """Columns by role.

    ``input`` is one column of texts, token lists, or audio paths, or the numeric channels. ``step`` orders the rows of
    an item; with neither it nor item columns every row is an item of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: list[str]
    input: list[str]
    step: str | None
    target: list[str]
