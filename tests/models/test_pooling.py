"""Pooling against plain loops over each item alone."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from objectives import LENGTHS, R, make_sample

from models.pooling import AttentionPooling, PoolingName, build_pooling

each_pooling = pytest.mark.parametrize("name", get_args(PoolingName))


def expected(name: str, h_TR: torch.Tensor, bidirectional: bool) -> torch.Tensor:
    if name == "max_mean":
        return torch.cat([h_TR.amax(dim=0), h_TR.mean(dim=0)])
    if name == "last" and bidirectional:
        return torch.cat([h_TR[-1, : R // 2], h_TR[0, R // 2 :]])
    return {"max": h_TR.amax(dim=0), "mean": h_TR.mean(dim=0), "last": h_TR[-1]}[name]


@pytest.mark.parametrize("name", ["max", "mean", "last", "max_mean"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_pooling_equals_a_loop_over_the_items(name: PoolingName, bidirectional: bool) -> None:
    h_BTR = make_sample("tag").h_BTR
    pooled_BP, _ = build_pooling(name, R, bidirectional)(h_BTR, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(pooled_BP[row], expected(name, h_BTR[row, :length], bidirectional))


def test_attention_is_a_softmax_over_an_items_steps() -> None:
    torch.manual_seed(0)
    pooling, h_BTR = AttentionPooling(R), make_sample("tag").h_BTR
    pooled_BR, _ = pooling(h_BTR, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        h_TR = h_BTR[row, :length]
        weight_T1 = pooling.query(torch.tanh(pooling.hidden(h_TR))).softmax(dim=0)
        torch.testing.assert_close(pooled_BR[row], (weight_T1 * h_TR).sum(dim=0))


@each_pooling
@pytest.mark.parametrize("noise", [1e30, torch.inf, torch.nan])
def test_nothing_past_a_length_acts_even_if_it_is_no_number(name: PoolingName, noise: float) -> None:
    torch.manual_seed(0)
    pooling, h_BTR = build_pooling(name, R, True), make_sample("tag").h_BTR.requires_grad_()
    clean_BP, _ = pooling(h_BTR, LENGTHS)
    outside_BT = torch.arange(h_BTR.shape[1]) >= LENGTHS[:, None]
    noisy_BP, _ = pooling(h_BTR.masked_fill(outside_BT[..., None], noise), LENGTHS)
    assert torch.equal(noisy_BP, clean_BP)
    noisy_BP.square().sum().backward()
    assert h_BTR.grad is not None
    assert h_BTR.grad.isfinite().all()


@each_pooling
def test_longer_padding_gives_the_same_vector(name: PoolingName) -> None:
    torch.manual_seed(0)
    pooling, h_BTR = build_pooling(name, R, False), make_sample("tag").h_BTR
    longer_BTR = torch.nn.functional.pad(h_BTR, (0, 0, 0, 50))
    torch.testing.assert_close(pooling(longer_BTR, LENGTHS)[0], pooling(h_BTR, LENGTHS)[0], rtol=0, atol=1e-6)


@each_pooling
@pytest.mark.parametrize("chunk", [1, 2, 4, 20])
def test_chunks_in_turn_equal_the_whole_though_rows_end_at_different_times(name: PoolingName, chunk: int) -> None:
    torch.manual_seed(0)
    pooling, h_BTR = build_pooling(name, R, False), 20 * make_sample("tag").h_BTR
    carried = None
    for start in range(0, h_BTR.shape[1], chunk):
        part_BTR = h_BTR[:, start : start + chunk]
        pooled_BP, carried = pooling(part_BTR, (LENGTHS - start).clamp(0, part_BTR.shape[1]), carried)
    torch.testing.assert_close(pooled_BP, pooling(h_BTR, LENGTHS)[0], rtol=1e-5, atol=1e-5)


@each_pooling
def test_a_detached_carry_cuts_the_gradient_to_earlier_chunks(name: PoolingName) -> None:
    torch.manual_seed(0)
    pooling, h_BTR = build_pooling(name, R, False), make_sample("tag").h_BTR.requires_grad_()
    _, carried = pooling(h_BTR[:, :4], LENGTHS.clamp(0, 4))
    pooled_BP, _ = pooling(h_BTR[:, 4:], LENGTHS - 4, tuple(tensor.detach() for tensor in carried))
    pooled_BP.square().sum().backward()
    assert h_BTR.grad is not None
    assert h_BTR.grad.isfinite().all()
    assert not h_BTR.grad[:, :4].any()
    assert h_BTR.grad[0, 4:].any()


@pytest.mark.parametrize("name", ["mean", "attention"])
def test_sums_over_many_millions_of_steps_neither_drift_nor_stop(name: PoolingName) -> None:
    pooling, h_BTR, lengths_B = build_pooling(name, R, False), torch.full((1, 4, R), 0.3), torch.tensor([4])
    pooled_BP, carried = pooling(h_BTR, lengths_B)
    peak, sums = carried[: len(carried) - 2], carried[len(carried) - 2 :]
    grown = (*peak, *(total * 2**22 for total in sums))
    pooled_BP, after = pooling(h_BTR, lengths_B, grown)
    assert all((newer > older).all() for newer, older in zip(after[-2:], grown[-2:], strict=True))
    torch.testing.assert_close(pooled_BP, h_BTR[:, 0], rtol=1e-6, atol=0)
