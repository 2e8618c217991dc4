"""What all cores are: modules that read a padded batch of sequences onwards from a state.

Shapes: B batch, T steps, C input channels, R output size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import torch
from torch import nn

State = list[tuple[torch.Tensor, ...]]
"""For each layer of a core the tensors to go on from, rows first."""


class Core(nn.Module, ABC):
    """Padding after a row's length never acts; in one direction step t of the output depends on no later input."""

    @abstractmethod
    def forward(
        self, x_BTC: torch.Tensor, lengths_B: torch.Tensor | None = None, state: State | None = None
    ) -> tuple[torch.Tensor, State]:
        """Read ``x_BTC`` onwards from ``state``.

        Args:
            x_BTC: input, padded at the end of each row.
            lengths_B: int64 steps of each row, at least 1; none: all T.
            state: where to go on from; none: an empty memory.

        Returns:
            ``h_BTR``, undefined past a row's length, and the state after each row's last step.

        Raises:
            ValueError: the core reads both directions, so that there is no state to go on from.
        """

    def step(self, x_BC: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Advance by one step: ``h_BR`` and the new state."""
        h_B1R, state = self(x_BC[:, None], None, state)
        return h_B1R[:, 0], state


class Stack(Core):
    """Layers of torch's LSTM with norms, residual connections from the second on, and dropout between them."""

    def __init__(self, layers: Iterable[nn.LSTM], size: int, layer_norm: bool, residual: bool, dropout: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.LayerNorm(size) if layer_norm else nn.Identity() for _ in self.layers)
        self.residual, self.dropout = residual, dropout

    def through(self, x_BTC: torch.Tensor, run: Callable[[int, nn.LSTM, torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Send ``x_BTC`` through all layers; ``run`` applies one of them."""
        h_BTR = x_BTC
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            assert isinstance(layer, nn.LSTM)
            out = norm(run(i, layer, h_BTR))
            if i > 0 and self.residual:
                out = out + h_BTR
            h_BTR = self.dropout(out) if i < len(self.layers) - 1 else out
        return h_BTR
