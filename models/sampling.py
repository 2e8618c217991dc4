"""Which windows a training step reads: a function of the seed and the step alone.

So a training that was killed at step k goes on with exactly the batches that it would have seen, and the ranks of a
distributed training deal out one batch without talking to each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch


@dataclass(frozen=True)
class WindowSampler:
    """Draws items uniformly, then the end of the window uniformly among those allowed.

    Args:
        first_N: int64, first allowed end of each item.
        last_N: int64, last allowed end; an item with ``last < first`` is never drawn.
        batch_size: windows of a step, over all shares.
        seed: of the whole training.
    """

    first_N: np.ndarray
    last_N: np.ndarray
    batch_size: int
    seed: int

    @classmethod
    def before(
        cls, stops_N: np.ndarray, horizon: int, shortest_context: int, batch_size: int, seed: int
    ) -> WindowSampler:
        """Allow every window whose whole horizon lies before ``stops_N``."""
        last_N = stops_N - horizon
        return cls(np.minimum(shortest_context, last_N).clip(min=1), last_N, batch_size, seed)

    @cached_property
    def eligible(self) -> np.ndarray:
        """Items that have at least one window."""
        return np.flatnonzero(self.last_N >= self.first_N)

    def batch(self, step: int, share: int = 0, shares: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """Return item numbers and ends of one of the ``shares`` of a step: int64 ``[batch_size / shares]`` each."""
        rng = np.random.default_rng((self.seed, step))
        items = rng.choice(self.eligible, self.batch_size)
        low, high = self.first_N[items], self.last_N[items]
        ends = low + np.floor(rng.random(self.batch_size) * (high - low + 1)).astype(np.int64)
        return torch.from_numpy(items[share::shares]), torch.from_numpy(ends[share::shares])
