"""Greedy selection: what is added, how often, and when it stops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tasks.ensemble import Cost, select

TRUTH = np.array([1.0, -1.0, 2.0, 0.5])


def value(members: Sequence[np.ndarray]) -> float:
    return float(np.abs(np.mean(members, axis=0) - TRUTH).mean())


def candidates(count: int = 6, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    made = [TRUTH + rng.normal(0, 1, len(TRUTH)) for _ in range(count)]
    return sorted(made, key=lambda one: value([one]))


def test_one_member_is_the_best_candidate() -> None:
    found = select(candidates(), value, 1)
    assert found is not None
    assert found.counts == {0: 1}


@pytest.mark.parametrize("seed", range(5))
def test_more_members_never_make_it_worse(seed: int) -> None:
    given = candidates(seed=seed)
    values = [found.value for members in range(1, 9) if (found := select(given, value, members)) is not None]
    assert values == sorted(values, reverse=True)
    assert values[-1] < value(given[:1])


@pytest.mark.parametrize("seed", range(5))
def test_the_value_is_that_of_the_counted_members_together(seed: int) -> None:
    given = candidates(seed=seed)
    found = select(given, value, 8)
    assert found is not None
    assert value([given[i] for i, count in found.counts.items() for _ in range(count)]) == pytest.approx(found.value)
    best_pair = min(value([given[0], other]) for other in given)
    assert found.value <= best_pair


def test_opposite_errors_cancel() -> None:
    found = select([TRUTH + 1.0, TRUTH - 1.1], value, 4)
    assert found is not None
    assert found.counts[0] == found.counts[1]


def test_a_limit_holds_for_the_sum_of_what_is_counted() -> None:
    given = candidates()
    costs = [Cost(parameters=10.0, latency=0.01 * (i + 1)) for i in range(len(given))]
    for limit in (Cost(30.0, 1.0), Cost(1e9, 0.05)):
        found = select(given, value, 8, costs, limit)
        assert found is not None
        spent = [costs[i] for i, count in found.counts.items() for _ in range(count)]
        assert sum(cost.parameters for cost in spent) <= limit.parameters
        assert sum(cost.latency for cost in spent) <= limit.latency
    assert select(given, value, 8, costs, Cost(9.0, 1.0)) is None
