"""One LSTM layer over padded rows: onwards from a state, or in both directions.

One more input channel, that is 1 past a row's end and 0 before, acts on the gates there. Packing gives the same, slower
on a CPU (``benchmarks/LOG.md``), and knows no empty row.

Shapes: B batch, T steps, C input channels, H hidden size, R output size (the projection's, or H without one).
"""

from __future__ import annotations

import torch
from torch import nn

from models.pooling import last_step

# Added to the gates i, f, g, o, in torch's order, past a row's end; sigmoid(-1e4) is 0 and sigmoid(1e4) is 1.
HELD = (-1e4, 1e4, 0.0, 0.0)
"""Nothing is let in and nothing forgotten: the cell state stays as it is."""
CLOSED = (-1e4, -1e4, 0.0, -1e4)
"""Nothing is let in, kept or shown: output and cell state are exact zeros."""


def read_onwards(
    layer: nn.LSTM,
    x_BTC: torch.Tensor,
    lengths_B: torch.Tensor | None,
    state: tuple[torch.Tensor, ...] | None,
    weights: list[torch.Tensor] | None = None,
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Run ``layer``, which has one direction and is batch first, onwards from ``state``.

    Args:
        layer: to run.
        x_BTC: input, padded at the end of each row.
        lengths_B: int64 steps of each row, may be 0; none: all T.
        state: output ``[B, R]`` and cell state ``[B, H]`` to go on from; none: zeros.
        weights: instead of the layer's own, in its order.

    Returns:
        ``h_BTR``, undefined past a row's length, and the state after each row's last step; an empty row's is as before.
    """
    weights = list(layer.all_weights[0]) if weights is None else weights
    if state is None:
        sizes = (layer.proj_size or layer.hidden_size, layer.hidden_size)
        state = tuple(x_BTC.new_zeros(len(x_BTC), size) for size in sizes)
    h_0, c_0 = state
    if lengths_B is None:
        h_BTR, h, c = torch.lstm(
            x_BTC, (h_0[None], c_0[None]), weights, True, 1, 0.0, layer.training, bidirectional=False, batch_first=True
        )
        return h_BTR, (h[0], c[0])
    lengths_B = lengths_B.to(x_BTC.device)
    marked_BTD, acting = _mark_padding(x_BTC, lengths_B), _let_act(weights, HELD)
    h_BTR, (_, c_BH) = read_onwards(layer, marked_BTD, None, state, acting)
    last_BR = last_step(h_BTR, lengths_B)
    return h_BTR, (torch.where(lengths_B[:, None] > 0, last_BR, h_0), c_BH)


def read_both_ways(
    layer: nn.LSTM, x_BTC: torch.Tensor, lengths_B: torch.Tensor | None, weights: list[list[torch.Tensor]]
) -> torch.Tensor:
    """Run ``layer``, which has both directions and is batch first.

    The backward direction meets the padding first: with closed gates it begins at a row's last step.

    Args:
        layer: to run.
        x_BTC: input, padded at the end of each row.
        lengths_B: int64 steps of each row; none: all T.
        weights: of each direction, instead of the layer's own.

    Returns:
        ``h_BTR``, both directions' outputs, undefined past a row's length.
    """
    sizes = (layer.proj_size or layer.hidden_size, layer.hidden_size)
    state = tuple(x_BTC.new_zeros(2, len(x_BTC), size) for size in sizes)
    if lengths_B is not None:
        x_BTC = _mark_padding(x_BTC, lengths_B)
        weights = [_let_act(of_direction, CLOSED) for of_direction in weights]
    flat = [weight for of_direction in weights for weight in of_direction]
    return torch.lstm(x_BTC, state, flat, True, 1, 0.0, layer.training, bidirectional=True, batch_first=True)[0]


def _mark_padding(x_BTC: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    """Return the input with zeros past a row's end, and one more channel that is 1 there."""
    steps_T = torch.arange(x_BTC.shape[1], device=x_BTC.device)
    outside_BT1 = (steps_T >= lengths_B[:, None].to(steps_T.device))[..., None].to(x_BTC.dtype)
    return torch.cat([x_BTC * (1 - outside_BT1), outside_BT1], dim=2)


def _let_act(weights: list[torch.Tensor], gates: tuple[float, ...]) -> list[torch.Tensor]:
    """Return the weights of one direction with a column for the channel of padding."""
    weight_ih, *others = weights
    acting_G1 = weight_ih.new_tensor(gates).repeat_interleave(len(weight_ih) // len(gates))[:, None]
    return [torch.cat([weight_ih, acting_G1], dim=1), *others]
