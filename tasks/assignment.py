"""What the workers of a search are told, wherever they run. Nothing of a machine stands in it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.references import Dataset
from tasks.search_config import SearchConfig


class Assignment(BaseModel):
    """A study to work on, until when, and how. ``began`` and ``deadline`` are times on ``time.time``'s clock.

    ``work`` is a directory below the environment's for work, or an absolute one; ``reserve`` are the seconds before the
    deadline that are left to what follows, at most. ``shared``: machines leave what they made in the shared store.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    metric: str
    study_name: str
    dataset: Dataset
    work: Path
    began: float
    deadline: float
    reserve: float = 0.0
    workers: int = 1
    shared: bool = False
    search: SearchConfig
