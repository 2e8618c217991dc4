"""The LSTM's equations written once, readably: what every fast path is proven equal to.

Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000, and the projection of
Sak, Senior & Beaufays 2014. Not used in training.

Shapes: B batch, C input channels, H hidden size, R recurrent size (the projection's, or H without one).
"""

from __future__ import annotations

import torch


def lstm_step(
    x_BC: torch.Tensor,
    h_BR: torch.Tensor,
    c_BH: torch.Tensor,
    weight_ih: torch.Tensor,
    weight_hh: torch.Tensor,
    bias: torch.Tensor,
    projection: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advance the cell by one step.

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
