"""Which errors are not independent of each other: a paired test counts clusters of them, not each as new evidence.

Forecasts of several series for the same days share what happened on those days, and their windows of neighbouring days
share a regime; items of one group share their speaker or machine. Where there are too few clusters of one sort to
test by, the next sort is taken, and the evidence says which.

Shapes: N windows or items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST = 6
"""Clusters that a signed-rank test needs to reach 5 % at all: with six, each must point the same way (p = 0.031)."""

BATCHES = 30
"""Into about as many batches go the periods of a long test part: more units of less width gain little power, and
neighbours depend on each other the more (the method of batch means; Schmeiser 1982)."""


@dataclass(frozen=True)
class Clusters:
    """Windows or items with the same number belong together; ``noun`` says what a cluster is: period, series, group."""

    noun: str
    number_N: NDArray[np.int64]

    def of(self, chosen_N: NDArray[np.bool_]) -> Clusters:
        """Return the clusters of the chosen windows or items, numbered from 0."""
        return Clusters(self.noun, np.unique(self.number_N[chosen_N], return_inverse=True)[1])

    def effective(self, weights_N: NDArray[np.float64]) -> float:
        """Return how many clusters of equal weight would count as much: a large one beside tiny ones is about one."""
        shares = np.bincount(self.number_N, weights=weights_N)
        return float(shares.sum() ** 2 / (shares**2).sum())


def most_telling(several: Sequence[Clusters], weights_N: NDArray[np.float64]) -> Clusters:
    """Return the first of ``several``, the most cautious first, that is enough for a test; else the most numerous."""
    counts = [clusters.effective(weights_N) for clusters in several]
    enough = [clusters for clusters, count in zip(several, counts, strict=True) if round(count) >= FEWEST]
    return enough[0] if enough else several[int(np.argmax(counts))]


def periods(steps_N: NDArray[np.int64], horizon: int) -> Clusters:
    """Return the stretches of the calendar that windows fall into.

    Args:
        steps_N: the first step that each window predicts, counted from one day that all series share.
        horizon: the length of a window: those that begin within one stretch of it overlap.
    """
    _, rank_N = np.unique((steps_N - steps_N.min()) // horizon, return_inverse=True)
    width = max(1, int(rank_N.max() + 1) // BATCHES)
    return Clusters("period", (rank_N // width).astype(np.int64))
