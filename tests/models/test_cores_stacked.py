"""What keeps a stacked LSTM from fitting noise: one mask for a sequence, dropped recurrent weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.cores.dropout import SequenceDropout, drop_weights
from models.cores.stacked_lstm import StackedLSTM, StackedLSTMConfig

B, T, C, H = 4, 6, 3, 8
LENGTHS = torch.tensor([6, 1, 4, 2])


def build(**fields: Any) -> StackedLSTM:
    torch.manual_seed(0)
    return StackedLSTMConfig(**({"hidden_size": H, "num_layers": 2} | fields)).build(C)


def inputs() -> torch.Tensor:
    return torch.randn(B, T, C, generator=torch.Generator().manual_seed(0))


def test_a_sequence_has_one_mask_and_every_row_its_own() -> None:
    dropped = SequenceDropout(0.5).train()(torch.ones(50, T, 20))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropped[:, 0] == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert len(dropped[:, 0].unique(dim=0)) > 40


def test_one_mask_for_a_sequence_drops_the_input_even_of_a_single_layer() -> None:
    plain, by_step, by_sequence = (
        build(num_layers=1, dropout=dropout, dropout_mask=mask).train()(inputs())[0]
        for dropout, mask in ((0.0, "step"), (0.5, "step"), (0.5, "sequence"))
    )
    assert torch.equal(plain, by_step)
    assert not torch.equal(plain, by_sequence)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("proj_size", [0, 4])
def test_a_share_of_the_recurrent_weights_alone_is_dropped_in_each_call(proj_size: int, bidirectional: bool) -> None:
    layer = build(proj_size=proj_size, bidirectional=bidirectional).train().layers[0]
    dropped = drop_weights(layer, 0.4)  # type: ignore[arg-type]
    again = drop_weights(layer, 0.4)  # type: ignore[arg-type]
    for of_direction, other, own in zip(dropped, again, layer.all_weights, strict=True):
        zero = of_direction[1] == 0
        assert zero.float().mean().item() == pytest.approx(0.4, abs=0.12)
        torch.testing.assert_close(of_direction[1][~zero], own[1][~zero] / 0.6)
        assert not torch.equal(zero, other[1] == 0)
        assert all(a is b for a, b in zip(of_direction[:1] + of_direction[2:], own[:1] + own[2:], strict=True))


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_dropped_weights_act_in_training_by_the_weights_that_are_left(lengths: Any) -> None:
    core = build(num_layers=1, weight_drop=0.5).train()
    torch.manual_seed(7)
    h_BTH, _ = core(inputs(), lengths)
    torch.manual_seed(7)
    [[_, left, *_]] = drop_weights(core.layers[0], 0.5)  # type: ignore[arg-type]
    plain = build(num_layers=1)
    with torch.no_grad():
        plain.layers[0].weight_hh_l0.copy_(left)  # type: ignore[operator]
    inside = torch.arange(T) < LENGTHS[:, None]
    torch.testing.assert_close(h_BTH[inside], plain(inputs(), lengths)[0][inside], rtol=0, atol=1e-6)
    h_BTH.square().sum().backward()
    gradient = core.layers[0].weight_hh_l0.grad
    assert isinstance(gradient, torch.Tensor)
    assert torch.equal(gradient == 0, left == 0)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    "fields", [{"weight_drop": 0.5}, {"dropout": 0.5}, {"dropout": 0.5, "dropout_mask": "sequence"}]
)
def test_every_regulariser_acts_in_training_and_is_inert_afterwards(fields: Any, bidirectional: bool) -> None:
    plain, regularised = build(bidirectional=bidirectional), build(bidirectional=bidirectional, **fields)
    expected, read = (core.eval().read(inputs(), LENGTHS) for core in (plain, regularised))
    assert torch.equal(read, expected)
    assert not torch.equal(regularised.train().read(inputs(), LENGTHS), expected)
