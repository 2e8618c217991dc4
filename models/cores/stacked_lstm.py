"""A stack of LSTM layers, each with an optional projection, layer norm and residual connection.

Graves, Mohamed & Hinton 2013 (depth); Sak, Senior & Beaufays 2014 (projection); Ba, Kiros & Hinton 2016 (layer norm).

Shapes: B batch, T steps, C input channels, H hidden size, R output size (the projection's, or H without one).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.suggest import Suggest

State = list[tuple[torch.Tensor, torch.Tensor]]
"""For each layer the output ``[B, R]`` and the cell state ``[B, H]`` after the last step."""


class StackedLSTMConfig(BaseModel):
    """One point of the family."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    core: Literal["stacked_lstm"] = "stacked_lstm"
    hidden_size: int = Field(64, ge=1)
    num_layers: int = Field(2, ge=1)
    proj_size: int = Field(0, ge=0, description="0: no projection")
    dropout: float = Field(0.0, ge=0, lt=1, description="on the output of every layer but the last")
    residual: bool = False
    layer_norm: bool = False

    @model_validator(mode="after")
    def _projection_shrinks(self) -> StackedLSTMConfig:
        if self.proj_size >= self.hidden_size:
            raise ValueError(f"proj_size must be below hidden_size {self.hidden_size} (got {self.proj_size}): lower it")
        return self

    @property
    def output_size(self) -> int:
        return self.proj_size or self.hidden_size

    @classmethod
    def suggest(cls, trial: Suggest) -> StackedLSTMConfig:
        """Draw a point; dropout and residual are only drawn where a second layer lets them act."""
        hidden_size = trial.suggest_categorical("hidden_size", [32, 64, 96, 128, 192])
        num_layers = trial.suggest_int("num_layers", 1, 3)
        return cls(
            hidden_size=hidden_size,
            num_layers=num_layers,
            proj_size=hidden_size // 2 if trial.suggest_categorical("projection", [False, True]) else 0,
            dropout=trial.suggest_float("dropout", 0.0, 0.4) if num_layers > 1 else 0.0,
            residual=num_layers > 1 and trial.suggest_categorical("residual", [False, True]),
            layer_norm=trial.suggest_categorical("layer_norm", [False, True]),
        )

    def build(self, input_size: int) -> StackedLSTM:
        return StackedLSTM(self, input_size)


class StackedLSTM(nn.Module):
    """The stack. Causal: step t of the output depends on no later input. Padding after a row's length never acts."""

    def __init__(self, config: StackedLSTMConfig, input_size: int) -> None:
        super().__init__()
        self.config = config
        sizes = [input_size] + [config.output_size] * (config.num_layers - 1)
        self.layers = nn.ModuleList(
            nn.LSTM(size, config.hidden_size, proj_size=config.proj_size, batch_first=True) for size in sizes
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(config.output_size) if config.layer_norm else nn.Identity() for _ in sizes
        )
        self.dropout = nn.Dropout(config.dropout)
        for layer in self.layers:
            _open_forget_gate(layer)

    def forward(
        self, x_BTC: torch.Tensor, lengths_B: torch.Tensor | None = None, state: State | None = None
    ) -> tuple[torch.Tensor, State]:
        """Read ``x_BTC``.

        Args:
            x_BTC: input, padded at the end of each row.
            lengths_B: int64 steps of each row, at least 1; none: all T.
            state: where to go on from; none: zeros.

        Returns:
            ``h_BTR``, undefined past a row's length, and the state after each row's last step.
        """
        ragged = lengths_B is not None and bool((lengths_B < x_BTC.shape[1]).any())
        states: State = []
        h_BTR = x_BTC
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            before = None if state is None else (state[i][0][None], state[i][1][None])
            out, (h, c) = self._run(layer, h_BTR, lengths_B if ragged else None, before)
            states.append((h[0], c[0]))
            out = norm(out)
            if i > 0 and self.config.residual:
                out = out + h_BTR
            h_BTR = self.dropout(out) if i < len(self.layers) - 1 else out
        return h_BTR, states

    def step(self, x_BC: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Advance by one step: ``h_BR`` and the new state."""
        h_B1R, state = self(x_BC[:, None], None, state)
        return h_B1R[:, 0], state

    @staticmethod
    def _run(
        layer: nn.Module,
        x_BTC: torch.Tensor,
        lengths_B: torch.Tensor | None,
        state: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        if lengths_B is None:
            return layer(x_BTC, state)
        packed = pack_padded_sequence(x_BTC, lengths_B.cpu(), batch_first=True, enforce_sorted=False)
        out, last = layer(packed, state)
        return pad_packed_sequence(out, batch_first=True, total_length=x_BTC.shape[1])[0], last


def _open_forget_gate(layer: nn.Module) -> None:
    """Start with the forget gate open (bias 1), so that error flows back from the first step on (Gers et al. 2000)."""
    for name, parameter in layer.named_parameters():
        if name.startswith("bias_ih"):
            size = parameter.shape[0] // 4
            with torch.no_grad():
                parameter[size : 2 * size] = 1.0
