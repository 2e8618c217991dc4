"""Progress of long work: a live artifact in Prefect's UI and a passing line on the terminal.

Prefect may be slow or gone for a while: a thread writes the artifact, so that the work neither waits for it nor fails.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from types import TracebackType
from typing import cast
from uuid import UUID

PAUSE, RETRY = 1.0, 10.0
"""Seconds until the artifact is written again, and until it is tried again after a failure."""

LAST_WORD = 3.0
"""Seconds that the end of the work waits for the artifact to be written once more."""


class Progress:
    """Shows how far a stage is, by the nearer of its two ends: items done or seconds spent.

    Args:
        name: the stage.
        items: how many there are to do.
        budget: seconds that it may take; none: no limit.
    """

    def __init__(self, name: str, items: int, budget: float | None = None) -> None:
        self.name, self.items, self.budget = name, items, budget
        self._artifact: LiveArtifact | None = None
        self._note = ""
        self._log = logging.getLogger(f"carousel.{name}")

    def __enter__(self) -> Progress:
        from prefect.context import TaskRunContext

        if TaskRunContext.get() is not None:
            self._artifact = LiveArtifact(self.name, self._log)
        return self

    def update(self, done: int, seconds: float, note: str) -> None:
        """Show ``done`` items after ``seconds``; ``note`` says the best so far."""
        share = max(done / self.items, seconds / self.budget if self.budget else 0.0)
        left = f", at most {max(0.0, self.budget - seconds):.0f} s left" if self.budget else ""
        self._note = f"{done} of {self.items}, {note}"
        text = f"{self._note}{left}"
        self._log.info(text, extra={"passing": True})
        if self._artifact:
            self._artifact.show(min(100.0, 100 * share), text)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._artifact:
            self._artifact.close()
        if self._note:
            self._log.info(self._note)


class LiveArtifact:
    """The progress artifact of the present task run, kept at the newest that it is told.

    Args:
        name: of the artifact.
        log: is told once of each outage of Prefect.
    """

    def __init__(self, name: str, log: logging.Logger) -> None:
        self._name, self._log = name, log
        self._newest = (0.0, name)
        self._told, self._ended = threading.Event(), threading.Event()
        self._told.set()
        # Prefect finds the task run, and the logs' way to it, in the context.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._keep,), name=f"{name} progress", daemon=True)
        self._thread.start()

    def show(self, percent: float, text: str) -> None:
        """Let the artifact say this, soon."""
        self._newest = (percent, text)
        self._told.set()

    def close(self) -> None:
        """Let the artifact stand at what it was told last, if Prefect takes that in time."""
        self._ended.set()
        self._told.set()
        self._thread.join(LAST_WORD)

    def _keep(self) -> None:
        """Write what is newest, again and again, until the end."""
        artifact: UUID | None = None
        lost = ended = False
        while not ended:
            self._told.wait()
            self._told.clear()
            ended = self._ended.is_set()
            try:
                artifact = _write(artifact, self._name, *self._newest)
                lost = False
            except Exception as error:
                if not lost:
                    told = "Prefect does not show the progress (%s); the work goes on, and it will be tried again"
                    self._log.warning(told, f"{type(error).__name__}: {error}"[:200])
                lost = True
                self._told.set()
            self._ended.wait(RETRY if lost else PAUSE)


def _write(artifact: UUID | None, name: str, percent: float, text: str) -> UUID:
    """Create the artifact, or update it; return its id."""
    from prefect.artifacts import create_progress_artifact, update_progress_artifact

    if artifact is None:
        return cast(UUID, create_progress_artifact(percent, key=f"{name}-progress", description=text))
    return cast(UUID, update_progress_artifact(artifact, progress=percent, description=text))
