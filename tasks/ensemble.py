"""Which trials predict together: greedy selection with replacement (Caruana et al. 2004) on the validation part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Outputs = TypeVar("Outputs")


@dataclass(frozen=True)
class Cost:
    """What a network takes: parameters, and seconds to predict one item."""

    parameters: float = 0.0
    latency: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.latency + other.latency)

    def within(self, limit: Cost) -> bool:
        return self.parameters <= limit.parameters and self.latency <= limit.latency


UNLIMITED = Cost(float("inf"), float("inf"))


@dataclass(frozen=True)
class Ensemble:
    """How often each candidate counts, by its place among them, and the value of all together."""

    counts: dict[int, int]
    value: float


def select(
    candidates: Sequence[Outputs],
    value: Callable[[Sequence[Outputs]], float],
    members: int,
    costs: Sequence[Cost] | None = None,
    limit: Cost = UNLIMITED,
) -> Ensemble | None:
    """Return the best ensemble of at most ``members``, or None where no candidate is within the limit.

    In each round the candidate is added that makes the whole best, again if it is one that is there; the round after
    which it was best is the last one that counts.

    Args:
        candidates: outputs of each on the validation part, the best candidate first.
        value: of candidates together; less is better.
        members: rounds.
        costs: of each candidate, each time that it counts.
        limit: on their sum.
    """
    costs = costs or [Cost()] * len(candidates)
    chosen: list[int] = []
    spent, best = Cost(), None
    for _ in range(members):
        fitting = [i for i in range(len(candidates)) if (spent + costs[i]).within(limit)]
        if not fitting:
            break
        values = {i: value([candidates[j] for j in [*chosen, i]]) for i in fitting}
        added = min(fitting, key=lambda i: (values[i], i))
        chosen.append(added)
        spent += costs[added]
        if best is None or values[added] < best.value:
            best = Ensemble(dict(Counter(chosen)), values[added])
    return best
