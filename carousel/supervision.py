"""Services that are started again when they end, so that a killed server costs its users seconds."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from carousel.services import Service, answers

DEATHS, PERIOD = 5, 60.0
"""A service that ends so often within so many seconds will not be mended by another start."""

_log = logging.getLogger("carousel.up")


class Supervised:
    """A service that is started again when it ends, after a pause that doubles with each of its recent ends.

    Args:
        start: starts it.
        needs: a URL that must answer before it is started again; none: it needs nothing.
        first: what is done before each start; if that fails, the service is started all the same.
    """

    def __init__(
        self, start: Callable[[], Service], needs: str | None = None, first: Callable[[], None] | None = None
    ) -> None:
        self._start, self._needs, self._first = start, needs, first
        self.service = self._begin()
        self._ends: deque[float] = deque(maxlen=DEATHS)
        self._due: float | None = None

    def look(self, now: float) -> None:
        """Start the service again if it has ended and its pause is over; ``now`` is in seconds of a monotonic clock.

        Raises:
            RuntimeError: it has ended too often, with the end of its log.
        """
        if self._due is None:
            if self.service.alive:
                return
            self._due = now + self._pause(now)
        elif now >= self._due and (self._needs is None or answers(self._needs)):
            self.service, self._due = self._begin(), None
            _log.info("%s was started again", self.service.name)

    def stop(self) -> None:
        """End the service and everything that it started."""
        self.service.stop()

    def _begin(self) -> Service:
        """Start the service; what could not be done before must not keep it from running."""
        try:
            if self._first:
                self._first()
        except Exception as error:
            _log.warning("before a start: %s: %s", type(error).__name__, error)
        return self._start()

    def _pause(self, now: float) -> float:
        """Return the seconds to wait after the end that was just found."""
        self._ends.append(now)
        recent = sum(now - end < PERIOD for end in self._ends)
        if recent >= DEATHS:
            raise RuntimeError(
                f"{self.service.name} has ended {recent} times within {PERIOD:.0f} s: "
                f"see {self.service.log}\n{self.service.tail()}"
            )
        pause = 2.0 ** (recent - 1)
        _log.warning(
            "%s has ended and will be started again in %.0f s; its log: %s", self.service.name, pause, self.service.log
        )
        return pause


def keep(services: Sequence[Supervised]) -> None:
    """Keep ``services`` running until this process is told to stop.

    Raises:
        KeyboardInterrupt: Ctrl-C, or SIGTERM.
        RuntimeError: one of them ends again and again.
    """
    while True:
        for service in services:
            service.look(time.monotonic())
        time.sleep(0.5)
