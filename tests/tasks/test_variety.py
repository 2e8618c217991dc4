"""What a search keeps is varied: the best of each kind of network before the second best of any."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.trial import TrialState

from tasks.studies import Entry, Progress
from tasks.variety import kind_of, varied


def entries(kinds: str) -> list[Entry]:
    return [
        Entry(number, number, TrialState.COMPLETE, "", Progress(best=[float(place)]))
        for place, number in enumerate(range(100, 100 + len(kinds)))
    ]


@pytest.mark.parametrize(
    ("kinds", "most", "kept"),
    [
        ("aaaab", 2, [0, 4]),
        ("aaaab", 3, [0, 1, 4]),
        ("aabacb", 4, [0, 1, 2, 4]),
        ("aabbcc", 2, [0, 2]),
        ("aab", 16, [0, 1, 2]),
        ("abc", 0, []),
        ("", 3, []),
    ],
)
def test_the_best_of_each_kind_come_first_and_the_order_stays(kinds: str, most: int, kept: list[int]) -> None:
    ranked = entries(kinds)
    found = varied(ranked, lambda one: kinds[one.number - 100], most)
    assert found == [ranked[place] for place in kept]


def test_what_a_longer_search_finds_never_brings_back_what_was_let_go() -> None:
    """Its files are gone by then."""
    kinds = "cbaabcabacbbacba"
    for most in (2, 4, 8):
        ranked = entries(kinds)
        gone: set[int] = set()
        # Each of them in turn is found, in an order that has nothing to do with how good they are.
        for known in range(1, len(ranked) + 1):
            found = sorted((ranked[5 * place % len(ranked)] for place in range(known)), key=lambda one: one.number)
            kept = {one.number for one in varied(found, lambda one: kinds[one.number - 100], most)}
            assert not kept & gone
            gone |= {one.number for one in found} - kept


RECIPE: dict[str, Any] = {
    "model": {
        "skip": "season",
        "theta": True,
        "context_length": 60,
        "core": {"core": "stacked_lstm", "hidden_size": 64, "residual": True, "dropout_mask": "step"},
    },
    "training": {"learning_rate": 0.003, "weighting": "none"},
}


def test_numbers_and_training_make_no_kind() -> None:
    model: dict[str, Any] = RECIPE["model"]
    same = [
        RECIPE | {"training": {"learning_rate": 0.1, "weighting": "error_scale"}},
        RECIPE | {"model": model | {"context_length": 96}},
        RECIPE | {"model": model | {"core": model["core"] | {"hidden_size": 8, "residual": False}}},
    ]
    assert {kind_of(recipe) for recipe in same} == {kind_of(RECIPE)}
    other = [
        RECIPE | {"model": model | {"theta": False}},
        RECIPE | {"model": model | {"skip": "none"}},
        RECIPE | {"model": model | {"core": {"core": "xlstm"}}},
    ]
    assert len({kind_of(recipe) for recipe in [RECIPE, *other]}) == 4
