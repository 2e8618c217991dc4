"""The workers of a search, wherever an engine runs them: kept running until each has ended of itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from tasks.config import seconds
from tasks.environment import environment
from tasks.progress import Progress

if TYPE_CHECKING:
    import optuna

    from tasks.engines.engine import Engine, Running

MOST_DEATHS = 5
"""Workers that may die one after the other without a rung climbed in between."""

NOTE, LOOK = 2.0, 10.0
"""Seconds between notes of how far the search is, and between looks for workers that have fallen silent."""

OVERDUE, LATE = 5.0, 120.0
"""Seconds past the end of the budget for which workers elsewhere are waited for, and while there is no value yet."""


class Budget(Protocol):
    """What of the search's Config the crew needs."""

    @property
    def time_budget(self) -> str: ...
    @property
    def max_trials(self) -> int: ...


class Crew:
    """Starts workers, replaces those that die, and gives their trials back."""

    def __init__(self, study: optuna.Study, engine: Engine, search: Budget, metric: str, began: float) -> None:
        self.study, self.engine = study, engine
        self.search, self.metric, self.began = search, metric, began
        self.workers: list[Running] = []
        self.deaths = self.climbed = 0

    def work(self, count: int) -> None:
        """Let ``count`` workers search until they have ended.

        Raises:
            RuntimeError: workers keep dying, or nobody runs them; the message says what the last one said.
        """
        from tasks import studies

        budget = seconds(self.search.time_budget)
        # Of children the end is seen; who is apart may fall silent.
        signed = studies.open_storage(environment().studies_uri, studies.SILENCE) if self.engine.apart else None
        noted = looked = 0.0
        try:
            self.workers = [self._start(index) for index in range(count)]
            with Progress("search", self.search.max_trials, budget) as progress:
                while any(worker.succeeded() is None for worker in self.workers):
                    time.sleep(0.1)
                    self._replace_dead()
                    if (elapsed := time.time() - self.began) - noted > NOTE:
                        noted = elapsed
                        self._note(progress, elapsed)
                    if signed is None:
                        continue
                    if elapsed - looked > LOOK:
                        looked = elapsed
                        studies.release_silent(self.study, signed)
                    if self._is_over(elapsed - budget):
                        break
        finally:
            self.engine.stop(self.workers)
            for index in range(len(self.workers)):
                self._count_start(index)
        self.study.set_user_attr("seconds", time.time() - self.began)

    def _start(self, index: int) -> Running:
        """Start worker ``index``, or find the one that a process before this one, which was killed, has started."""
        return self.engine.start(index, self.study.user_attrs.get(f"starts-{index}", 0))

    def _count_start(self, index: int) -> None:
        name = f"starts-{index}"
        self.study.set_user_attr(name, self.study.user_attrs.get(name, 0) + 1)

    def _replace_dead(self) -> None:
        from tasks import studies

        for index, worker in enumerate(self.workers):
            if worker.succeeded() is not False:
                continue
            studies.release(self.study, worker=worker.name)
            now = studies.rungs_climbed(self.study)
            self.deaths, self.climbed = (1 if now > self.climbed else self.deaths + 1), now
            if self.deaths > MOST_DEATHS:
                told = f"search workers died {self.deaths} times in a row; the last log ends:"
                raise RuntimeError(f"{told}\n{worker.log()}")
            self._count_start(index)
            self.workers[index] = self._start(index)

    def _note(self, progress: Progress, elapsed: float) -> None:
        from tasks import studies

        self.study.set_user_attr("seconds", elapsed)
        told = studies.entries(self.study)
        best = studies.leading(told)
        value = f"best {self.metric} {best[0].progress.best[-1]:.4f}" if best else "first trials"
        progress.update(len(told), elapsed, value)

    def _is_over(self, overdue: float) -> bool:
        """Say whether workers elsewhere, which may never have begun, are waited for no longer."""
        from tasks import studies

        begun = studies.entries(self.study)
        if overdue > LATE and not begun:
            told = "no worker has begun within the time budget: is there one for the queue of trials?"
            raise RuntimeError(f"{told} Its first run says: {self.workers[0].log()}")
        return overdue > OVERDUE and bool(studies.leading(begun))
