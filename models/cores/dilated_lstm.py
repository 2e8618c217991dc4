"""A stack of LSTM layers whose cells look back 1, 2, 4, ... steps: each deeper layer remembers twice as far.

Chang et al. 2017, "Dilated recurrent neural networks", with the residual connections between layers of ES-RNN (Smyl
2020). For a layer of dilation d a row is d independent sequences, each of every d-th step: it reads them as rows of
their own, and takes d times fewer steps. It has no projection and no attention over the states, and reads one
direction. A layer that looks back further than the sequence is long has nothing to go on from.

Shapes: B batch, T steps, C input channels, H hidden size, d dilation, N = T / d rounded up.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from models.cores.core import Stack, State
from models.cores.hidden_sizes import HIDDEN_SIZES
from models.cores.initialisation import open_forget_gate
from models.cores.recurrence import read_onwards
from models.suggest import Suggest


class DilatedLSTMConfig(BaseModel):
    """One point of the family."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    core: Literal["dilated_lstm"] = "dilated_lstm"
    hidden_size: int = Field(64, ge=1)
    num_layers: int = Field(2, ge=1, description="the last looks back 2 ** (num_layers - 1) steps")
    dropout: float = Field(0.0, ge=0, lt=1, description="on the output of every layer but the last")
    residual: bool = True
    layer_norm: bool = False

    @property
    def output_size(self) -> int:
        return self.hidden_size

    @classmethod
    def suggest(cls, trial: Suggest) -> DilatedLSTMConfig:
        """Draw a point; one layer would be a stacked LSTM's, so there are two at least."""
        num_layers = trial.suggest_int("num_layers", 2, 4)
        return cls(
            hidden_size=trial.suggest_categorical("hidden_size", HIDDEN_SIZES),
            num_layers=num_layers,
            dropout=trial.suggest_float("dropout", 0.0, 0.4),
            residual=trial.suggest_categorical("residual", [False, True]),
            layer_norm=trial.suggest_categorical("layer_norm", [False, True]),
        )

    def build(self, input_size: int) -> DilatedLSTM:
        return DilatedLSTM(self, input_size)


class DilatedLSTM(Stack):
    """The stack.

    The state is for each layer the outputs and cell states of the last d steps, oldest first, each ``[B, d, H]``.
    """

    def __init__(self, config: DilatedLSTMConfig, input_size: int) -> None:
        size = config.hidden_size
        layers = [nn.LSTM(input_size if i == 0 else size, size, batch_first=True) for i in range(config.num_layers)]
        super().__init__(layers, size, config.layer_norm, config.residual, nn.Dropout(config.dropout))
        self.config = config
        for layer in layers:
            open_forget_gate(layer)

    def forward(
        self, x_BTC: torch.Tensor, lengths_B: torch.Tensor | None = None, state: State | None = None
    ) -> tuple[torch.Tensor, State]:
        states: State = []

        def run(i: int, layer: nn.LSTM, x_BTC: torch.Tensor) -> torch.Tensor:
            out, after = read_dilated(layer, 2**i, x_BTC, lengths_B, None if state is None else state[i])
            states.append(after)
            return out

        return self.through(x_BTC, run), states


def read_dilated(
    layer: nn.LSTM,
    dilation: int,
    x_BTC: torch.Tensor,
    lengths_B: torch.Tensor | None,
    state: tuple[torch.Tensor, ...] | None,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Run ``layer`` with every step going on from the one ``dilation`` steps before.

    ::

        steps 0 1 2 3 4 5 6, dilation 2      row 0:  0 2 4 6
                                             row 1:  1 3 5 -

    Args:
        layer: of one direction, batch first.
        dilation: d.
        x_BTC: input, padded at the end of each row.
        lengths_B: int64 steps of each row, at least 1; none: all T.
        state: outputs and cell states of the d steps before, oldest first, each ``[B, d, H]``; none: zeros.

    Returns:
        ``h_BTH``, undefined past a row's length, and the state after each row's last step.
    """
    batch, steps, channels = x_BTC.shape
    each = -(-steps // dilation)
    ragged = each * dilation > steps or (lengths_B is not None and bool((lengths_B < steps).any()))
    phase_d = torch.arange(dilation, device=x_BTC.device)
    lengths_B = torch.full_like(phase_d[:1], steps).expand(batch) if lengths_B is None else lengths_B.to(phase_d.device)
    lengths_Bd = (lengths_B[:, None] - phase_d + dilation - 1).div(dilation, rounding_mode="floor")

    x_BTC = nn.functional.pad(x_BTC, (0, 0, 0, each * dilation - steps))
    x_RNC = x_BTC.view(batch, each, dilation, channels).transpose(1, 2).flatten(0, 1)
    before = None if state is None else tuple(tensor.flatten(0, 1) for tensor in state)
    h_RNH, after = read_onwards(layer, x_RNC, lengths_Bd.flatten() if ragged else None, before)
    h_BTH = h_RNH.view(batch, dilation, each, -1).transpose(1, 2).flatten(1, 2)[:, :steps]

    # Of the d sequences the one that a row's next step belongs to is the oldest now.
    oldest_first_Bd1 = ((lengths_B[:, None] + phase_d) % dilation)[..., None]
    by_phase = (tensor.view(batch, dilation, -1) for tensor in after)
    return h_BTH, tuple(tensor.take_along_dim(oldest_first_Bd1, dim=1) for tensor in by_phase)
