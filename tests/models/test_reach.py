"""A model that forgets is found to forget, and when; one that remembers is found to remember."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from forecasters import make_forecaster, windows_of
from panels import PLAIN, make_facts, make_panel
from sequence_cases import CASES, make_arrays, make_model
from sequence_cases import make_facts as sequence_facts

from models.forecast_bundle import Bundle
from models.reach import FEWEST, ITEMS, MOST_STEPS, fewest_steps, grid, spread
from models.sequence_bundle import SequenceBundle

STEPS = 200


def test_numbers_of_steps_rise_by_less_than_a_half() -> None:
    assert grid(20) == [1, 2, 3, 4, 6, 8, 12, 16]
    assert grid(1) == []


@pytest.mark.parametrize(("memory", "found"), [(0, 1), (1, 2), (5, 6), (40, 48), (1000, 100)])
def test_the_fewest_steps_are_those_beyond_which_nothing_changes(memory: int, found: int) -> None:
    assert fewest_steps(lambda kept: float(kept <= memory), 100) == found


def test_a_change_further_back_counts_even_if_there_is_none_between() -> None:
    assert fewest_steps(lambda kept: float(kept == 32), 100) == 48


def remembering(kind: str, given: str, memory: float, **preset: Any) -> tuple[SequenceBundle, Any]:
    """Return a bundle of one member of one direction, whose every cell forgets over about ``memory`` steps."""
    facts, arrays = make_arrays(kind, given, count=20, shortest=STEPS, longest=STEPS)
    drawn = {"bidirectional": False, "layer_norm": False, "pooling": "last", "crf": False, "deltas": False} | preset
    model = make_model(sequence_facts(kind, facts, arrays), **drawn)
    layer = model.core.layers[0]
    size = model.config.core.hidden_size
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
        layer.weight_ih_l0[size : 2 * size] = 0.0
        layer.bias_hh_l0.zero_()
        layer.bias_ih_l0[size : 2 * size] = np.log(memory)
        layer.weight_ih_l0[2 * size : 3 * size] *= 20
        for parameter in model.head.parameters():
            parameter *= 5
    return SequenceBundle(model.facts, [model]), arrays


@pytest.mark.parametrize(("kind", "given"), [("classify", "numeric"), ("regress", "numeric"), ("tag", "tokens")])
def test_the_reach_of_a_model_follows_its_memory(kind: str, given: str) -> None:
    reached = []
    for memory in (0.01, 3.0, 10.0):
        bundle, arrays = remembering(kind, given, memory)
        (reach,) = bundle.reach(arrays)
        reached.append(reach.steps)
        assert reach.items == 20
        assert reach.longest == (STEPS if kind != "tag" else STEPS // 2)
    assert reached[0] <= 3 < reached[1] < reached[2] < 100


@pytest.mark.parametrize("kind", ["classify", "tag"])
def test_a_model_that_forgets_nothing_reaches_as_far_back_as_there_is_anything(kind: str) -> None:
    bundle, arrays = remembering(kind, "numeric", 1e6)
    (reach,) = bundle.reach(arrays)
    assert reach.steps == reach.longest


@pytest.mark.parametrize(("kind", "given"), CASES)
def test_every_kind_of_model_is_measured_in_each_view(kind: str, given: str) -> None:
    facts, arrays = make_arrays(kind, given, count=10)
    fixed = sequence_facts(kind, facts, arrays)
    bundle = SequenceBundle(fixed, [make_model(fixed, seed) for seed in range(3)])
    found = bundle.reach(arrays.select(np.arange(9)))
    assert [one.view for one in found] == bundle.views
    assert all(1 <= one.steps <= one.longest <= max(fixed.longest.values()) for one in found)


def test_a_forecast_from_the_last_value_looks_one_step_back_and_one_from_seasons_further() -> None:
    facts = make_facts(PLAIN, longest=40)
    panel = make_panel(facts, [40] * 12, gaps=False)
    items, ends = np.arange(12), np.full(12, 40)
    naive = make_forecaster(facts, "direct", context_length=28, skip="last_value", scaling="mean_abs")
    with torch.no_grad():
        for parameter in naive.head.parameters():
            parameter.zero_()
    seasonal = make_forecaster(facts, "direct", context_length=28, skip="season", skip_seasons=3)
    near, far = (Bundle(facts, [member]).reach(panel, items, ends) for member in (naive, seasonal))
    assert near.steps == 1
    assert far.steps > facts.season_length
    assert Bundle(facts, [naive, seasonal]).reach(panel, items, ends) == far


def test_windows_of_which_the_newest_steps_are_left_are_those_of_items_that_began_later() -> None:
    facts = make_facts(PLAIN)
    _, windows = windows_of(facts)
    left = windows.newest(3)
    assert left.inside_BL.sum(dim=1).tolist() == [3, 3, 3, 3, 1]
    assert left.target_BL[:, :-3].isnan().all()
    torch.testing.assert_close(left.target_BL[:, -3:], windows.target_BL[:, -3:], equal_nan=True)
    assert not left.calendar_BLA[:, :-3].any()


def test_fewer_long_items_are_measured_than_short_ones() -> None:
    assert len(spread(1000)) == ITEMS
    assert spread(5, 10.0).tolist() == [0, 1, 2, 3, 4]
    assert len(spread(1000, MOST_STEPS / 20)) == 20
    assert len(spread(1000, 10.0 * MOST_STEPS)) == FEWEST
