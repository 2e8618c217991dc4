"""Which trial goes on, by hand and in a whole simulated search."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.halving import CERTAIN, Standing, best_waiting, is_out, thawed

HALF = 0.5


def trials(*bests: tuple[float, ...]) -> list[Standing]:
    return [Standing(number, best) for number, best in enumerate(bests)]


def test_nobody_goes_on_alone() -> None:
    assert thawed(trials((1.0,)), 4, HALF) is None


def test_the_better_of_two_goes_on() -> None:
    chosen = thawed(trials((1.0,), (0.9,)), 4, HALF)
    assert chosen is not None
    assert chosen.number == 1


def test_the_highest_rung_comes_first() -> None:
    chosen = thawed(trials((1.0, 0.9), (0.9, 0.8), (0.5,), (2.0,)), 4, HALF)
    assert chosen is not None
    assert chosen.number == 1


def test_a_trial_that_has_climbed_still_counts_at_the_rungs_below() -> None:
    """Of four at the first rung two may climb: the best has, so that the second best is left."""
    chosen = thawed(trials((0.5, 0.4), (0.6,), (0.7,), (0.8,)), 4, HALF)
    assert chosen is not None
    assert chosen.number == 1
    assert thawed(trials((0.5, 0.4), (0.6, 0.5), (0.7,), (0.8,)), 2, HALF) is None


def test_busy_and_closed_trials_are_not_chosen_but_take_their_place() -> None:
    busy = [replace(one, busy=one.number == 0) for one in trials((0.5,), (0.6,))]
    assert thawed(busy, 4, HALF) is None
    closed = [replace(one, open=one.number != 0) for one in trials((0.5,), (0.6,), (0.7,), (0.8,))]
    chosen = thawed(closed, 4, HALF)
    assert chosen is not None
    assert chosen.number == 1


def test_the_top_of_the_ladder_is_the_end() -> None:
    whole = trials((0.5, 0.4), (0.6, 0.5))
    assert thawed(whole, 2, HALF) is None
    assert best_waiting(whole, 2) is None


def test_without_halving_everybody_goes_on() -> None:
    chosen = thawed(trials((1.0,)), 4, 1.0)
    assert chosen is not None


def test_what_is_left_of_a_budget_goes_to_the_best_value() -> None:
    chosen = best_waiting(trials((0.9,), (0.8, 0.7), (0.6,), ()), 4)
    assert chosen is not None
    assert chosen.number == 2


def test_a_trial_is_out_only_far_behind_and_among_enough() -> None:
    few = trials(*((float(i),) for i in range(CERTAIN - 1)))
    assert not any(is_out(one, few, HALF) for one in few)
    enough = trials(*((float(i),) for i in range(CERTAIN)))
    assert [one.number for one in enough if is_out(one, enough, HALF)] == [6, 7]


@pytest.mark.parametrize(
    ("best", "converged"),
    [((1.0,), False), ((1.0, 1.0), False), ((1.0, 1.0, 1.0), True), ((1.0, 1.0, 0.9), False), ((2.0, 1.0, 1.0), False)],
)
def test_a_trial_has_converged_when_two_rungs_brought_nothing(best: tuple[float, ...], converged: bool) -> None:
    assert Standing(0, best).converged is converged


def test_a_search_spends_alike_on_every_rung_and_brings_the_best_to_the_top() -> None:
    """64 points whose value falls with steps, the order known early: about half of each rung climbs on."""
    rungs, found = 7, []
    while len(found) < 64 or thawed(found, rungs, HALF) is not None:
        chosen = thawed(found, rungs, HALF)
        if chosen is None:
            chosen = Standing(len(found))
            found.append(chosen)
        value = (chosen.number * 37 % 64) + 1 / (chosen.rung + 1)
        found[chosen.number] = replace(chosen, best=(*chosen.best, value))
    reached = [sum(one.rung > rung for one in found) for rung in range(rungs)]
    assert reached[0] == 64
    # Those that climbed before better ones came are too many by about the square root (Li et al. 2020).
    for below, above in zip(reached, reached[1:], strict=False):
        assert below // 2 <= above <= below / 2 + 2 * below**0.5
    top = max(found, key=lambda one: one.rung)
    assert top.number * 37 % 64 <= 1
