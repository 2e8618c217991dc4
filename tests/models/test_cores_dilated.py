"""The dilated LSTM: layers that read every d-th step equal the readable cell with a state d steps old."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.cores.dilated_lstm import DilatedLSTMConfig, read_dilated
from models.cores.recurrence import read_onwards
from models.cores.reference import lstm_step

B, T, C, H = 4, 11, 3, 5
LENGTHS = torch.tensor([11, 1, 6, 3])


def make_layer() -> nn.LSTM:
    torch.manual_seed(0)
    return nn.LSTM(C, H, batch_first=True).double()


def inputs(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(layer: nn.LSTM, x_TC: torch.Tensor, kept: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Return one row's outputs; ``kept`` are the states of the last d steps, which it moves on in place."""
    outputs = []
    for x_C in x_TC:
        h, c = kept.pop(0)
        bias = layer.bias_ih_l0 + layer.bias_hh_l0
        h, c = lstm_step(x_C[None], h[None], c[None], layer.weight_ih_l0, layer.weight_hh_l0, bias)
        kept.append((h[0], c[0]))
        outputs.append(h[0])
    return torch.stack(outputs)


@pytest.mark.parametrize("onwards", [False, True])
@pytest.mark.parametrize("steps", [1, 4, 11])
@pytest.mark.parametrize("dilation", [1, 2, 3, 4, 16])
def test_a_dilated_layer_equals_the_readable_cell_whose_state_is_as_many_steps_old(
    dilation: int, steps: int, onwards: bool
) -> None:
    layer, x, lengths = make_layer(), inputs(B, steps, C), LENGTHS.clamp(max=steps)
    state = (inputs(B, dilation, H, seed=1), inputs(B, dilation, H, seed=2)) if onwards else None
    h_BTH, (h, c) = read_dilated(layer, dilation, x, lengths, state)
    assert h_BTH.shape == (B, steps, H)
    for row, length in enumerate(lengths.tolist()):
        zero = torch.zeros(H).double()
        kept = [(state[0][row, i], state[1][row, i]) if state else (zero, zero) for i in range(dilation)]
        expected = by_hand(layer, x[row, :length], kept)
        torch.testing.assert_close(h_BTH[row, :length], expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(h[row], torch.stack([one for one, _ in kept]), rtol=0, atol=1e-12)
        torch.testing.assert_close(c[row], torch.stack([one for _, one in kept]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("proj_size", [0, 2])
def test_a_held_layer_equals_each_row_read_alone_with_its_gradient(proj_size: int) -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(C, H, batch_first=True, proj_size=proj_size).double()
    lengths = torch.tensor([11, 0, 6, 3])
    h_0, c_0 = inputs(B, proj_size or H, seed=1), inputs(B, H, seed=2)
    x = inputs(B, T, C).requires_grad_()
    h_BTR, (h, c) = read_onwards(layer, x, lengths, (h_0, c_0))
    assert torch.equal(h[1], h_0[1])
    assert torch.equal(c[1], c_0[1])
    for row in (0, 2, 3):
        alone, (h_1, c_1) = layer(x[row, : lengths[row]], (h_0[row][None], c_0[row][None]))
        torch.testing.assert_close(h_BTR[row, : lengths[row]], alone, rtol=0, atol=1e-12)
        torch.testing.assert_close((h[row], c[row]), (h_1[0], c_1[0]), rtol=0, atol=1e-12)
        (ours,) = torch.autograd.grad((h[row] * h_BTR[row, 0]).sum() + c[row].sum(), x, retain_graph=True)
        (theirs,) = torch.autograd.grad((h_1[0] * alone[0]).sum() + c_1.sum(), x)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_each_layer_looks_back_twice_as_far_as_the_one_before() -> None:
    torch.manual_seed(0)
    core = DilatedLSTMConfig(hidden_size=8, num_layers=3).build(C)
    _, state = core(torch.randn(2, 9, C))
    assert [layer[0].shape for layer in state] == [(2, 1, 8), (2, 2, 8), (2, 4, 8)]
