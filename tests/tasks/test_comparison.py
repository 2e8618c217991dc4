"""The paired test says what the numbers say, and no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.scoring.comparison import compare


def test_a_clear_winner_beats_the_other_in_one_sentence() -> None:
    rng = np.random.default_rng(0)
    other = rng.uniform(1, 2, 200)
    found = compare("lstm", "auto_ets", other - rng.normal(0.2, 0.1, 200), other, np.full(200, 1 / 200))
    assert found.outcome == "better"
    assert found.high < 0
    assert found.low < found.difference < found.high
    assert found.sentence().startswith("lstm 1.3")
    assert " beats auto_ets 1." in found.sentence()
    assert found.sentence().endswith("p < 0.0001)")


def test_a_baseline_that_wins_is_said_to_win() -> None:
    rng = np.random.default_rng(0)
    mine = rng.uniform(1, 2, 50)
    found = compare("lstm", "linear", mine, mine - 0.1, np.ones(50))
    assert found.outcome == "worse"
    assert "lstm" in found.sentence()
    assert "is beaten by linear" in found.sentence()
    assert found.won == 0


def test_noise_is_no_evidence_of_a_difference() -> None:
    rng = np.random.default_rng(3)
    found = compare("lstm", "linear", rng.uniform(1, 2, 40), rng.uniform(1, 2, 40), np.ones(40))
    assert found.outcome == "undecided"
    assert found.low < 0 < found.high
    assert found.sentence().startswith("No evidence of a difference between lstm ")


def test_a_lower_mean_that_wins_fewer_windows_is_undecided() -> None:
    other = np.concatenate([np.full(5, 100.0), np.full(95, 1.0)])
    mine = np.concatenate([np.full(5, 1.0), np.full(95, 1.1)])
    found = compare("lstm", "linear", mine, other, np.ones(100))
    assert found.difference < 0
    assert found.p_value is not None
    assert found.p_value < 0.05
    assert found.outcome == "undecided"


@pytest.mark.parametrize("windows", [1, 3])
def test_ties_have_no_p_value_and_count_as_half(windows: int) -> None:
    errors = np.arange(2.0, windows + 2)
    found = compare("a", "b", errors, errors, np.ones(windows))
    assert (found.p_value, found.won, found.difference, found.count) == (None, 0.5, 0.0, windows)
    assert found.sentence().endswith(f"on {windows} window{'s' if windows > 1 else ''} (won 50 %, no p-value)")


def test_windows_that_nobody_observed_are_left_out() -> None:
    found = compare("a", "b", np.array([1.0, np.nan, 1.0]), np.array([2.0, 5.0, 2.0]), np.array([0.5, 0.0, 0.5]))
    assert (found.count, found.model_error, found.other_error) == (2, 1.0, 2.0)
    nothing = compare("a", "b", np.array([np.nan]), np.array([np.nan]), np.array([0.0]))
    assert (nothing.count, nothing.outcome) == (0, "undecided")


def test_the_same_errors_give_the_same_interval_and_weights_move_the_mean() -> None:
    rng = np.random.default_rng(4)
    mine, other = rng.uniform(1, 2, 30), rng.uniform(1, 2, 30)
    weights = rng.uniform(0, 1, 30)
    once, again = compare("a", "b", mine, other, weights), compare("a", "b", mine, other, weights)
    assert once == again
    assert once.model_error == pytest.approx(np.average(mine, weights=weights))


def wrong_at(items: int, *places: int) -> np.ndarray:
    errors = np.zeros(items)
    errors[list(places)] = 1
    return errors


def test_right_or_wrong_answers_are_counted_where_one_alone_is_right() -> None:
    mine, other = wrong_at(50, 0, 1), wrong_at(50, 0, *range(10, 22))
    found = compare("lstm", "linear", mine, other, np.ones(50), noun="item")
    assert (found.test, found.ahead, found.behind) == ("McNemar", 12, 1)
    assert found.p_value == pytest.approx(2 * (1 + 13) / 2**13)
    assert found.outcome == "better"
    assert found.sentence("96.0 %", "74.0 %") == (
        "lstm 96.0 % beats linear 74.0 % on 50 items (alone right on 12, alone wrong on 1, p = 0.0034)"
    )


def test_answers_that_are_wrong_on_the_same_items_have_no_p_value() -> None:
    found = compare("lstm", "linear", wrong_at(9, 3), wrong_at(9, 3), np.ones(9), noun="item")
    assert (found.test, found.p_value, found.won, found.outcome) == ("McNemar", None, 0.5, "undecided")


def test_a_headline_that_points_the_other_way_leaves_it_undecided() -> None:
    rng = np.random.default_rng(0)
    other = rng.uniform(1, 2, 100)
    found = compare("lstm", "linear", other - 0.1, other, np.ones(100))
    assert found.outcome == "better"
    assert replace(found, confirmed=False).outcome == "undecided"
