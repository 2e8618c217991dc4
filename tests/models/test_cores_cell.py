"""The LSTM whose cell is written out: its equations, and units that stay as they were."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from models.cores.cell_lstm import CellLSTMConfig
from models.cores.reference import peephole_lstm_step

B, T, C, H = 4, 6, 3, 5
LENGTHS = torch.tensor([6, 1, 4, 2])


def build(**fields: Any) -> Any:
    torch.manual_seed(0)
    return CellLSTMConfig(**({"hidden_size": H, "num_layers": 1} | fields)).build(C).double()


def inputs() -> torch.Tensor:
    return torch.randn(B, T, C, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_without_peepholes_and_norms_it_equals_torchs_lstm() -> None:
    core, lstm = build(peephole=False), nn.LSTM(C, H, batch_first=True).double()
    lstm.load_state_dict(
        {
            "weight_ih_l0": core.layers[0].weight_ih,
            "weight_hh_l0": core.layers[0].weight_hh,
            "bias_ih_l0": core.layers[0].bias,
            "bias_hh_l0": torch.zeros(4 * H),
        }
    )
    expected, (h, c) = lstm(inputs())
    h_BTH, [state] = core(inputs())
    torch.testing.assert_close((h_BTH, *state), (expected, h[0], c[0]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("peephole", [False, True])
def test_it_equals_the_readable_step(peephole: bool, layer_norm: bool) -> None:
    layer = build(peephole=peephole, layer_norm=layer_norm).layers[0]
    peepholes = layer.peepholes_3H.unbind() if peephole else [torch.zeros(H)] * 3
    norms = (layer.norm_input, layer.norm_hidden, layer.norm_cell)
    h = c = torch.zeros(B, H).double()
    h_BTH, (h_last, c_last) = layer(inputs(), LENGTHS, None)
    for t in range(T):
        h, c = peephole_lstm_step(inputs()[:, t], h, c, layer.weight_ih, layer.weight_hh, layer.bias, peepholes, norms)
        torch.testing.assert_close(h_BTH[:, t], h, rtol=0, atol=1e-12)
        ended = t + 1 == LENGTHS
        torch.testing.assert_close((h_last[ended], c_last[ended]), (h[ended], c[ended]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("fields", [{"zoneout_hidden": 0.4}, {"zoneout_cell": 0.4}])
def test_zoneout_keeps_that_share_of_the_units_in_training_and_their_average_afterwards(fields: Any) -> None:
    core = build(hidden_size=200, **fields).train()
    x = inputs()[:1].expand(50, T, C)
    _, [before] = core(x[:, :1])
    _, [after] = core(x[:, 1:2], None, [before])
    kind = 0 if "zoneout_hidden" in fields else 1
    stayed = (after[kind] == before[kind]).double().mean().item()
    assert stayed == pytest.approx(0.4, abs=0.03)
    with torch.no_grad():
        _, [plain] = build(hidden_size=200)(x[:, 1:2], None, [before])
        _, [average] = core.eval()(x[:, 1:2], None, [before])
    torch.testing.assert_close(average[kind], 0.4 * before[kind] + 0.6 * plain[kind])
    torch.testing.assert_close(average[1 - kind], plain[1 - kind])


def test_nothing_is_drawn_outside_training() -> None:
    core = build(zoneout_hidden=0.4, zoneout_cell=0.4).eval()
    assert torch.equal(core(inputs())[0], core(inputs())[0])


def test_the_forget_gate_begins_open() -> None:
    bias = build().layers[0].bias
    assert (bias[H : 2 * H] == 1).all()
    assert not (bias[:H] == 1).any()
