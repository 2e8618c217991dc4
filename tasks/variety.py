"""Which trials a search keeps for the ensemble: the best of each kind of network before the second best of any.

A search that goes on for long draws ever closer to its best point. An ensemble of its best trials would then be one of
near copies, which is worth little (``benchmarks/LOG.md``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

from tasks.points import Points
from tasks.studies import Entry, leading
from tasks.trial_files import TrialFiles

KEPT_FILES = 32
"""Trials whose weights are kept while the search runs, more than its result has: one of those may still fail."""


def kind_of(recipe: dict[str, Any]) -> Hashable:
    """Return what kind of network ``recipe`` makes: the names of its parts and its switches, without any number."""
    parts = {name: part.get(name) if isinstance(part, dict) else part for name, part in recipe["model"].items()}
    return tuple(sorted((name, part) for name, part in parts.items() if isinstance(part, str | bool)))


def varied(ranked: list[Entry], kind: Callable[[Entry], Hashable], most: int) -> list[Entry]:
    """Return ``most`` of the entries, in their order: first of each kind, then the second of each, and so on.

    Args:
        ranked: the entries, best first.
        kind: of an entry.
        most: entries to keep.
    """
    seen: Counter[Hashable] = Counter()
    rounds: dict[int, int] = {}
    for one in ranked:
        seen[of := kind(one)] += 1
        rounds[one.number] = seen[of]
    kept = sorted(ranked, key=lambda one: rounds[one.number])[:most]
    numbers = {one.number for one in kept}
    return [one for one in ranked if one.number in numbers]


class Keeper:
    """Removes weights and outputs of the trials that have ended and will not be kept."""

    def __init__(self, files: TrialFiles, points: Points) -> None:
        self.files, self.points = files, points
        self._kinds: dict[int, Hashable] = {}
        self._forgotten: set[int] = set()
        """Trials whose files are gone: to remove them again would cost more, the longer the search."""

    def forget(self, told: list[Entry]) -> None:
        """Remove the files of those of the entries ``told`` that have ended and are not among the best of each kind.

        A trial that goes on may have written weights which the study does not know of yet.
        """
        kept = {one.number for one in varied(leading(told), self._kind, KEPT_FILES)}
        gone = {one.number for one in told if one.state.is_finished()} - kept
        self.files.remove_best(gone - self._forgotten)
        self._forgotten = gone

    def _kind(self, one: Entry) -> Hashable:
        if one.number not in self._kinds:
            self._kinds[one.number] = kind_of(self.points.recipe(one))
        return self._kinds[one.number]
