"""The equations of every cell written once, readably: what every fast path is proven equal to. Not used in training.

Shapes: B batch, C input channels, H hidden size, R recurrent size (the projection's, or H without one); K heads, D a
head's size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Norm = Callable[[torch.Tensor], torch.Tensor]


def lstm_step(
    x_BC: torch.Tensor,
    h_BR: torch.Tensor,
    c_BH: torch.Tensor,
    weight_ih: torch.Tensor,
    weight_hh: torch.Tensor,
    bias: torch.Tensor,
    projection: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advance the LSTM by one step.

    Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000, and the projection of
    Sak, Senior & Beaufays 2014.

    Args:
        x_BC: input.
        h_BR: output of the step before.
        c_BH: cell state of the step before: the constant error carousel.
        weight_ih: ``[4H, C]``, the gates i, f, g, o stacked in torch's order.
        weight_hh: ``[4H, R]``.
        bias: ``[4H]``.
        projection: ``[R, H]``.

    Returns:
        The new output ``h_BR`` and cell state ``c_BH``.
    """
    i, f, g, o = (x_BC @ weight_ih.T + h_BR @ weight_hh.T + bias).chunk(4, dim=1)
    c_BH = torch.sigmoid(f) * c_BH + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c_BH)
    return (h if projection is None else h @ projection.T), c_BH


def peephole_lstm_step(
    x_BC: torch.Tensor,
    h_BH: torch.Tensor,
    c_BH: torch.Tensor,
    weight_ih: torch.Tensor,
    weight_hh: torch.Tensor,
    bias: torch.Tensor,
    peepholes: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    norms: tuple[Norm, Norm, Norm],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advance by one step an LSTM whose gates see the cell, and whose sums are normalised.

    Gers & Schmidhuber 2000, "Recurrent nets that time and count"; Ba, Kiros & Hinton 2016, equations 20 to 22.

    Args:
        x_BC: input.
        h_BH: output of the step before.
        c_BH: cell state of the step before.
        weight_ih: ``[4H, C]``, the gates i, f, g, o stacked in torch's order.
        weight_hh: ``[4H, H]``.
        bias: ``[4H]``.
        peepholes: ``[H]`` for i and f, which see the cell before, and for o, which sees the new one; zeros: none.
        norms: of what the gates get from the input and from the output, and of the new cell; identity: none.

    Returns:
        The new output and cell state.
    """
    of_input, of_output, of_cell = norms
    i, f, g, o = (of_input(x_BC @ weight_ih.T) + of_output(h_BH @ weight_hh.T) + bias).chunk(4, dim=1)
    i, f = i + peepholes[0] * c_BH, f + peepholes[1] * c_BH
    c_BH = torch.sigmoid(f) * c_BH + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o + peepholes[2] * c_BH) * torch.tanh(of_cell(c_BH)), c_BH


def slstm_step(
    gates_4BKD: torch.Tensor,
    h_BKD: torch.Tensor,
    c_BKD: torch.Tensor,
    n_BKD: torch.Tensor,
    recurrent_4KDD: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Advance the sLSTM by one step, without a stabiliser: right wherever the exponential stays in range.

    Beck et al. 2024, equations 8 to 14.

    Args:
        gates_4BKD: what z, i, f and o get from the input.
        h_BKD: output of the step before.
        c_BKD: cell state of the step before.
        n_BKD: normaliser of the step before: what the gates have let in and kept.
        recurrent_4KDD: from a head's output to its gates z, i, f and o.

    Returns:
        The new output, cell state and normaliser.
    """
    z, i, f, o = gates_4BKD + torch.einsum("bkd,gkde->gbke", h_BKD, recurrent_4KDD)
    c_BKD = torch.sigmoid(f) * c_BKD + torch.exp(i) * torch.tanh(z)
    n_BKD = torch.sigmoid(f) * n_BKD + torch.exp(i)
    return torch.sigmoid(o) * c_BKD / n_BKD, c_BKD, n_BKD


def mlstm_step(
    q_BKD: torch.Tensor,
    k_BKD: torch.Tensor,
    v_BKD: torch.Tensor,
    i_BK: torch.Tensor,
    f_BK: torch.Tensor,
    C_BKDD: torch.Tensor,
    n_BKD: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Advance the mLSTM by one step, without a stabiliser and before the output gate.

    Beck et al. 2024, equations 19 to 27.

    Args:
        q_BKD: query.
        k_BKD: key, scaled by the root of D.
        v_BKD: value.
        i_BK: input gate before the exponential.
        f_BK: forget gate before the sigmoid.
        C_BKDD: memory of the step before, value by key.
        n_BKD: normaliser of the step before.

    Returns:
        The output ``h_BKD``, the new memory and normaliser.
    """
    i, f = torch.exp(i_BK)[..., None], torch.sigmoid(f_BK)[..., None]
    C_BKDD = f[..., None] * C_BKDD + i[..., None] * v_BKD[..., :, None] * k_BKD[..., None, :]
    n_BKD = f * n_BKD + i * k_BKD
    norm_BK1 = (n_BKD * q_BKD).sum(dim=2, keepdim=True).abs().clamp(min=1)
    return (C_BKDD @ q_BKD[..., None])[..., 0] / norm_BK1, C_BKDD, n_BKD
