"""The windows of a step: a function of the seed and the step, shared out to ranks, never past the stop."""

from __future__ import annotations

import numpy as np
import torch

from models.sampling import WindowSampler

HORIZON, CONTEXT = 4, 6


def sampler(stops: list[int], batch_size: int = 64, seed: int = 0) -> WindowSampler:
    return WindowSampler.before(np.array(stops), HORIZON, CONTEXT, batch_size, seed)


def drawn(source: WindowSampler, steps: int = 200) -> list[tuple[int, int]]:
    batches = [source.batch(step) for step in range(steps)]
    return [pair for items, ends in batches for pair in zip(items.tolist(), ends.tolist(), strict=True)]


def test_a_step_draws_the_same_windows_each_time_and_whichever_steps_came_before() -> None:
    one, other = sampler([30, 40]), sampler([30, 40])
    for step in (5, 0, 5):
        assert all(map(torch.equal, one.batch(step), other.batch(step)))


def test_another_step_or_seed_draws_other_windows() -> None:
    first = sampler([300, 400]).batch(3)
    assert not torch.equal(first[1], sampler([300, 400]).batch(4)[1])
    assert not torch.equal(first[1], sampler([300, 400], seed=1).batch(3)[1])


def test_the_ranks_partition_the_batch_of_one() -> None:
    source = sampler([30, 40, 50], batch_size=10)
    whole = torch.stack(source.batch(7))
    for world in (1, 2, 3, 4):
        shares = [torch.stack(source.batch(7, rank, world)) for rank in range(world)]
        assert sorted(torch.cat(shares, dim=1).T.tolist()) == sorted(whole.T.tolist())
        assert {share.shape[1] for share in shares} <= {10 // world, 10 // world + 1}


def test_every_allowed_window_is_drawn_and_no_horizon_reaches_the_stop() -> None:
    stops = [30, 12]
    seen = set(drawn(sampler(stops)))
    assert {end for item, end in seen if item == 0} == set(range(CONTEXT, 30 - HORIZON + 1))
    assert {end for item, end in seen if item == 1} == set(range(CONTEXT, 12 - HORIZON + 1))


def test_a_series_shorter_than_the_context_gives_its_last_window_alone() -> None:
    assert set(drawn(sampler([HORIZON + 3]), 20)) == {(0, 3)}
    assert set(drawn(sampler([HORIZON + 1]), 20)) == {(0, 1)}


def test_a_series_without_room_for_history_and_horizon_is_never_drawn() -> None:
    source = sampler([30, HORIZON, 0, -5, 25])
    assert source.eligible.tolist() == [0, 4]
    assert {item for item, _ in drawn(source, 20)} == {0, 4}


def test_series_are_drawn_evenly_whatever_their_length() -> None:
    items = [item for item, _ in drawn(sampler([20, 2000]), 100)]
    assert 0.45 < np.mean(items) < 0.55


def test_numbers_are_int64_tensors() -> None:
    items, ends = sampler([30]).batch(0)
    assert (items.dtype, ends.dtype, items.shape, ends.shape) == (torch.int64, torch.int64, (64,), (64,))
