"""Batches of similar lengths: nothing left out, nothing twice, a bounded padded size, the same whoever asks when."""

from __future__ import annotations

import numpy as np
import pytest

from models.batching import MOST_TOKENS, TokenBatches, in_order, waste

CASES = {
    "equal": np.full(100, 7),
    "one item": np.array([5]),
    "narrow": np.random.default_rng(0).integers(7, 30, 270),
    "wide": np.maximum(1, np.random.default_rng(1).lognormal(4, 0.83, 2000)).astype(np.int64),
    "one far too long": np.array([3, 4, 5, 1000, 2, 3]),
    "single steps": np.ones(50, np.int64),
}
BUDGET = 400
each_case = pytest.mark.parametrize("case", CASES)


def epoch(source: TokenBatches, number: int = 0) -> list[np.ndarray]:
    count = source.steps_per_epoch
    return [source.batch(number * count + step) for step in range(count)]


@each_case
def test_every_item_is_read_once_an_epoch(case: str) -> None:
    source = TokenBatches(CASES[case], BUDGET, seed=0)
    for number in range(3):
        items = np.concatenate(epoch(source, number))
        assert sorted(items) == list(range(len(CASES[case])))


@each_case
def test_no_batch_is_empty_or_larger_than_the_budget_but_for_an_item_alone(case: str) -> None:
    lengths = CASES[case]
    for items_B in epoch(TokenBatches(lengths, BUDGET, seed=0)) + in_order(lengths, BUDGET):
        assert len(items_B) == 1 or len(items_B) * lengths[items_B].max() <= BUDGET
        assert len(items_B)


@each_case
def test_a_step_reads_the_same_items_each_time_and_whichever_steps_came_before(case: str) -> None:
    one, other = (TokenBatches(CASES[case], BUDGET, seed=0) for _ in range(2))
    for step in (5, 0, 17, 5):
        np.testing.assert_array_equal(one.batch(step), TokenBatches(CASES[case], BUDGET, seed=0).batch(step))
    np.testing.assert_array_equal(one.batch(3), other.batch(3))


def test_another_epoch_or_seed_makes_other_batches() -> None:
    source = TokenBatches(CASES["narrow"], BUDGET, seed=0)
    composed = [{tuple(sorted(items_B)) for items_B in epoch(source, number)} for number in range(2)]
    composed.append({tuple(sorted(items_B)) for items_B in epoch(TokenBatches(CASES["narrow"], BUDGET, seed=1))})
    assert not composed[0] & composed[1]
    assert not composed[0] & composed[2]


def test_long_and_short_items_come_in_any_order() -> None:
    source = TokenBatches(CASES["wide"], BUDGET, seed=0)
    longest = [CASES["wide"][items_B].max() for items_B in epoch(source)]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.2


@pytest.mark.parametrize("shares", [2, 3, 5])
def test_the_shares_of_a_step_are_its_batch_with_nothing_twice(shares: int) -> None:
    source = TokenBatches(CASES["one far too long"], 16, seed=0)
    for step in range(source.steps_per_epoch):
        dealt = [source.batch(step, share, shares) for share in range(shares)]
        assert sorted(np.concatenate(dealt)) == sorted(source.batch(step))
        assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


@pytest.mark.parametrize("case", ["narrow", "wide"])
@pytest.mark.parametrize("shares", [2, 4])
def test_shares_are_of_as_many_padded_steps_as_numbers_of_items_allow(case: str, shares: int) -> None:
    lengths = CASES[case]
    source = TokenBatches.sized(lengths, 32, seed=0)
    most = ideal = 0.0
    for step in range(source.steps_per_epoch):
        whole = source.batch(step)
        dealt = [source.batch(step, share, shares) for share in range(shares)]
        padded = [len(items_B) * int(lengths[items_B].max(initial=0)) for items_B in dealt]
        most += max(padded)
        ideal += -(-len(whole) // shares) * shares / len(whole) * np.mean(padded)
    assert most < 1.03 * ideal


def test_only_the_named_items_are_read() -> None:
    items = np.array([5, 17, 3, 260])
    source = TokenBatches(CASES["narrow"], BUDGET, seed=0, items=items)
    assert set(np.concatenate(epoch(source))) == set(items)


def test_a_batch_holds_as_many_items_of_average_length_as_were_asked_for() -> None:
    lengths = CASES["narrow"]
    sizes = [len(items_B) for items_B in epoch(TokenBatches.sized(lengths, 16, seed=0))]
    assert 11 <= np.mean(sizes) <= 16
    assert TokenBatches.sized(np.full(100, 10_000), 64, seed=0).budget == MOST_TOKENS


def test_padding_is_little_however_much_lengths_differ() -> None:
    lengths = CASES["wide"]
    assert np.std(lengths) / np.mean(lengths) == pytest.approx(1, abs=0.15)
    assert waste(lengths, epoch(TokenBatches.sized(lengths, 32, seed=0))) < 0.12
    assert waste(lengths, in_order(lengths, 32 * 75)) < 0.04
    shuffled = np.array_split(np.random.default_rng(0).permutation(len(lengths)), len(lengths) // 32)
    assert waste(lengths, shuffled) > 0.6


def test_padding_is_counted_as_a_share_of_all_steps() -> None:
    assert waste(np.array([4, 2, 1]), [np.array([0, 1]), np.array([2])]) == pytest.approx(2 / 9)


def test_inference_reads_every_item_once_by_length() -> None:
    batches = in_order(CASES["wide"], BUDGET)
    assert sorted(np.concatenate(batches)) == list(range(2000))
    assert (np.diff(CASES["wide"][np.concatenate(batches)]) >= 0).all()
    assert in_order(np.array([], np.int64), BUDGET) == []


def test_no_item_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least one item to train on \(got 0\)"):
        TokenBatches(np.array([3, 4]), BUDGET, seed=0, items=np.array([], np.int64))
