"""Which items a training step reads when lengths differ: batches of similar lengths, filled by steps, not by rows.

Like ``sampling`` a function of the seed and the step alone: a training that was killed at step k goes on with exactly
the batches that it would have seen, and the ranks of a distributed training deal out one batch without talking.

Shapes: N items, B items of a batch.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import pairwise

import numpy as np

MOST_TOKENS = 32_768
"""Padded steps that a batch is never meant to exceed, however many items of average length were asked for."""

JITTER = 0.1
"""Spread of the noise on log-lengths by which items are ordered: neighbours differ from epoch to epoch."""

SLACK = 0.05
"""Share of batches beyond the fewest possible, so that a jittered order fits into as many in every epoch."""


class TokenBatches:
    """Every item once an epoch, in batches whose padded size is at most ``budget``; a longer item is alone.

    An epoch orders the items by length with some noise, cuts the order into batches, and shuffles those:

        lengths   2 2 3 3 3 | 4 5 4 | 8 7 | 31        budget 16
    """

    def __init__(self, lengths_N: np.ndarray, budget: int, seed: int, items: np.ndarray | None = None) -> None:
        """Prepare the epochs.

        Args:
            lengths_N: int64, steps of every item there is, each at least 1.
            budget: padded steps of a batch, over all shares.
            seed: of the whole training.
            items: numbers of the items to be read; none: all.
        """
        self.items = np.arange(len(lengths_N)) if items is None else np.asarray(items)
        if not len(self.items):
            raise ValueError("there must be at least one item to train on (got 0): give more data")
        self.lengths = np.maximum(1, np.asarray(lengths_N)[self.items])
        self.budget, self.seed = budget, seed
        fewest = len(_cut(np.sort(self.lengths), budget)) - 1
        self.steps_per_epoch = min(len(self.items), fewest + max(1, round(SLACK * fewest)))
        self._epoch: tuple[int, list[np.ndarray]] | None = None

    @classmethod
    def sized(cls, lengths_N: np.ndarray, batch_size: int, seed: int, items: np.ndarray | None = None) -> TokenBatches:
        """Return batches that hold ``batch_size`` items of average length, more shorter and fewer longer ones."""
        mean = np.mean(lengths_N if items is None else np.asarray(lengths_N)[items])
        return cls(lengths_N, round(min(MOST_TOKENS, batch_size * float(mean))), seed, items)

    def batch(self, step: int, share: int = 0, shares: int = 1) -> np.ndarray:
        """Return the item numbers of one of the ``shares`` of a step: int64, none if there are fewer items than shares.

        Items are dealt out in the batch's order, that of their lengths. That balances steps as well as dealing each to
        the share of the fewest does, within 1 %: what is left is that a few long items cannot be divided.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, self._plan(epoch)
        return self._epoch[1][place][share::shares]

    def _plan(self, epoch: int) -> list[np.ndarray]:
        """Return the item numbers of each batch of an epoch."""
        rng = np.random.default_rng((self.seed, epoch))
        # Lengths are whole numbers: up to a step of noise also mixes those that are equal or almost so.
        log_N = np.log(self.lengths + rng.random(len(self.lengths)))
        noise_N = rng.standard_normal(len(self.lengths))
        for jitter in (JITTER, JITTER / 2, JITTER / 4, 0.0):
            order = np.argsort(log_N + jitter * noise_N)
            ends = _cut(self.lengths[order], self.budget)
            if len(ends) <= self.steps_per_epoch + 1:
                break
        ends = _split(self.lengths[order], ends, self.steps_per_epoch)
        batches = [self.items[order[start:end]] for start, end in pairwise(ends)]
        return [batches[i] for i in rng.permutation(len(batches))]


def _cut(lengths_N: np.ndarray, budget: int) -> list[int]:
    """Cut neighbours into batches as large as ``budget`` allows: where each begins, and the end of the last."""
    starts, count = [0], len(lengths_N)
    while starts[-1] < count:
        start = starts[-1]
        # The longest is at least as long as the first, so no more than these can fit.
        near = lengths_N[start : start + max(1, budget // int(lengths_N[start]))]
        padded = np.maximum.accumulate(near) * np.arange(1, len(near) + 1)
        starts.append(start + max(1, int(np.searchsorted(padded, budget, side="right"))))
    return starts


def _split(lengths_N: np.ndarray, starts: list[int], count: int) -> list[int]:
    """Halve the batch of the largest padded size, of those of several items, until there are ``count``."""

    def entry(start: int, end: int) -> tuple[int, int, int]:
        return (-(end - start) * int(lengths_N[start:end].max()) if end - start > 1 else 0, start, end)

    heap = [entry(start, end) for start, end in pairwise(starts)]
    heapify(heap)
    while len(heap) < count:
        _, start, end = heappop(heap)
        middle = (start + end) // 2
        heappush(heap, entry(start, middle))
        heappush(heap, entry(middle, end))
    return [*sorted(start for _, start, _ in heap), starts[-1]]


def in_order(lengths_N: np.ndarray, budget: int) -> list[np.ndarray]:
    """Return batches for inference: every item once, by length, padded size at most ``budget``."""
    order = np.argsort(lengths_N, kind="stable")
    ends = _cut(np.maximum(1, lengths_N[order]), budget) if len(order) else [0]
    return [order[start:end] for start, end in pairwise(ends)]


def waste(lengths_N: np.ndarray, batches: list[np.ndarray]) -> float:
    """Return the share of padding among the steps of ``batches``."""
    padded = sum(len(items_B) * int(lengths_N[items_B].max()) for items_B in batches)
    real = sum(int(lengths_N[items_B].sum()) for items_B in batches)
    return 1 - real / padded
