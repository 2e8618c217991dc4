"""Progress of long work: a live artifact in Prefect's UI and a passing line on the terminal."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import cast
from uuid import UUID


class Progress:
    """Shows how far a stage is, by the nearer of its two ends: items done or seconds spent.

    Args:
        name: the stage.
        items: how many there are to do.
        budget: seconds that it may take; none: no limit.
    """

    def __init__(self, name: str, items: int, budget: float | None = None) -> None:
        self.name, self.items, self.budget = name, items, budget
        self._artifact: UUID | None = None
        self._note = ""
        self._log = logging.getLogger(f"carousel.{name}")

    def __enter__(self) -> Progress:
        from prefect.context import TaskRunContext

        if TaskRunContext.get() is not None:
            from prefect.artifacts import create_progress_artifact

            created = create_progress_artifact(progress=0.0, key=f"{self.name}-progress", description=self.name)
            self._artifact = cast(UUID, created)
        return self

    def update(self, done: int, seconds: float, note: str) -> None:
        """Show ``done`` items after ``seconds``; ``note`` says the best so far."""
        share = max(done / self.items, seconds / self.budget if self.budget else 0.0)
        left = f", at most {max(0.0, self.budget - seconds):.0f} s left" if self.budget else ""
        self._note = f"{done} of {self.items}, {note}"
        text = f"{self._note}{left}"
        self._log.info(text, extra={"passing": True})
        if self._artifact:
            from prefect.artifacts import update_progress_artifact

            update_progress_artifact(self._artifact, progress=min(100.0, 100 * share), description=text)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._note:
            self._log.info(self._note)
