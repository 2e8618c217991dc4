"""What the search asks of whatever runs its workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence


class Running(ABC):
    """One worker that was started. Its trials carry ``name`` for as long as it holds them."""

    name: str

    @abstractmethod
    def succeeded(self) -> bool | None:
        """Say whether it ended of itself; None: it runs, or waits for a place to run."""

    @abstractmethod
    def log(self) -> str:
        """Return the end of what it said."""


class Engine(ABC):
    """Starts workers of one search.

    ``apart``: they are no children of this process: they may fall silent without an end, and hold trials when the stage
    begins again.
    """

    apart: bool

    @abstractmethod
    def start(self, index: int, attempt: int) -> Running:
        """Start worker ``index``; ``attempt`` counts how often it has been started in this study."""

    @abstractmethod
    def stop(self, workers: Sequence[Running]) -> None:
        """End those that still run."""
