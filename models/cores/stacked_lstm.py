"""A stack of LSTM layers with optional projection, layer norm and residual connection, in one or both directions.

Graves, Mohamed & Hinton 2013 (depth); Schuster & Paliwal 1997 (both directions); Sak, Senior & Beaufays 2014
(projection); Ba, Kiros & Hinton 2016 (layer norm); Tallec & Ollivier 2018 (long memory); Gal & Ghahramani 2016 (dropout
of sequences); Merity, Keskar & Socher 2018 (dropped weights).

Shapes: B batch, T steps, C input channels, H hidden size, R output size (the projection's, or H without one; twice that
where both directions are read).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.cores.core import Stack, State
from models.cores.dropout import SequenceDropout, drop_weights
from models.cores.hidden_sizes import HIDDEN_SIZES
from models.cores.initialisation import open_forget_gate, set_chrono_biases
from models.cores.recurrence import read_both_ways, read_onwards
from models.suggest import Suggest

LONG = 64
"""Steps from which on a search tries cells that remember long from the start."""


class StackedLSTMConfig(BaseModel):
    """One point of the family."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    core: Literal["stacked_lstm"] = "stacked_lstm"
    hidden_size: int = Field(64, ge=1)
    num_layers: int = Field(2, ge=1)
    proj_size: int = Field(0, ge=0, description="0: no projection")
    dropout: float = Field(0.0, ge=0, lt=1, description="on the output of every layer but the last")
    dropout_mask: Literal["step", "sequence"] = Field(
        "step", description="sequence: the same channels at every step, and the input's, too"
    )
    weight_drop: float = Field(0.0, ge=0, lt=1, description="share of the recurrent weights dropped in training")
    residual: bool = False
    layer_norm: bool = False
    bidirectional: bool = False
    memory: int = Field(0, ge=0, description="steps that cells may remember at the start; 0: as the forget bias 1 does")

    @model_validator(mode="after")
    def _projection_shrinks(self) -> StackedLSTMConfig:
        if self.proj_size >= self.hidden_size:
            raise ValueError(f"proj_size must be below hidden_size {self.hidden_size} (got {self.proj_size}): lower it")
        return self

    @model_validator(mode="after")
    def _memory_spans_steps(self) -> StackedLSTMConfig:
        if self.memory == 1:
            raise ValueError("memory must be 0 or at least 2 steps (got 1): pass how far back the task must remember")
        return self

    @property
    def output_size(self) -> int:
        return (self.proj_size or self.hidden_size) * (2 if self.bidirectional else 1)

    @classmethod
    def suggest(cls, trial: Suggest) -> StackedLSTMConfig:
        """Draw a point; dropout between layers and residual are only drawn where a second layer lets them act."""
        hidden_size = trial.suggest_categorical("hidden_size", HIDDEN_SIZES)
        num_layers = trial.suggest_int("num_layers", 1, 3)
        dropout_mask = trial.suggest_categorical("dropout_mask", ["step", "sequence"])
        drops = num_layers > 1 or dropout_mask == "sequence"
        return cls(
            hidden_size=hidden_size,
            num_layers=num_layers,
            proj_size=hidden_size // 2 if trial.suggest_categorical("projection", [False, True]) else 0,
            dropout=trial.suggest_float("dropout", 0.0, 0.4) if drops else 0.0,
            dropout_mask=dropout_mask,
            weight_drop=trial.suggest_float("weight_drop", 0.0, 0.5),
            residual=num_layers > 1 and trial.suggest_categorical("residual", [False, True]),
            layer_norm=trial.suggest_categorical("layer_norm", [False, True]),
        )

    @classmethod
    def suggest_reader(cls, trial: Suggest, bidirectional: bool, longest: int) -> StackedLSTMConfig:
        """Draw a point for whole sequences.

        Args:
            trial: draws.
            bidirectional: whether the future may be seen.
            longest: steps of the longest sequence.
        """
        num_layers = trial.suggest_int("num_layers", 1, 3)
        return cls(
            hidden_size=trial.suggest_categorical("hidden_size", [48, 64, 96, 128, 192, 256]),
            num_layers=num_layers,
            dropout=trial.suggest_float("dropout", 0.0, 0.5) if num_layers > 1 else 0.0,
            residual=num_layers > 1 and trial.suggest_categorical("residual", [False, True]),
            layer_norm=trial.suggest_categorical("layer_norm", [False, True]),
            bidirectional=bidirectional and trial.suggest_categorical("bidirectional", [True, False]),
            memory=longest if longest >= LONG and trial.suggest_categorical("long_memory", [False, True]) else 0,
        )

    def build(self, input_size: int) -> StackedLSTM:
        return StackedLSTM(self, input_size)


class StackedLSTM(Stack):
    """The stack. The state is for each layer the output ``[B, R]`` and the cell state ``[B, H]``."""

    def __init__(self, config: StackedLSTMConfig, input_size: int) -> None:
        sizes = [input_size] + [config.output_size] * (config.num_layers - 1)
        layers = [
            nn.LSTM(
                size,
                config.hidden_size,
                proj_size=config.proj_size,
                batch_first=True,
                bidirectional=config.bidirectional,
            )
            for size in sizes
        ]
        by_sequence = config.dropout_mask == "sequence"
        dropout = SequenceDropout(config.dropout) if by_sequence else nn.Dropout(config.dropout)
        super().__init__(layers, config.output_size, config.layer_norm, config.residual, dropout)
        self.config = config
        self.input_dropout = SequenceDropout(config.dropout) if by_sequence else nn.Identity()
        for layer in layers:
            if config.memory:
                set_chrono_biases(layer, config.memory)
            else:
                open_forget_gate(layer)

    def read(self, x_BTC: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        """Read whole sequences, in whichever directions the core has.

        Args:
            x_BTC: input, padded at the end of each row.
            lengths_B: int64 steps of each row, at least 1.

        Returns:
            ``h_BTR``, undefined past a row's length.
        """
        if not self.config.bidirectional:
            return self(x_BTC)[0]
        ragged = bool((lengths_B < x_BTC.shape[1]).any())

        def run(i: int, layer: nn.LSTM, x_BTC: torch.Tensor) -> torch.Tensor:
            if ragged and x_BTC.device.type != "cpu" and not self.config.weight_drop:
                return _read_packed(layer, x_BTC, lengths_B)
            weights = drop_weights(layer, self.config.weight_drop)
            return read_both_ways(layer, x_BTC, lengths_B if ragged else None, weights)

        return self.through(self.input_dropout(x_BTC), run)

    def forward(
        self, x_BTC: torch.Tensor, lengths_B: torch.Tensor | None = None, state: State | None = None
    ) -> tuple[torch.Tensor, State]:
        if self.config.bidirectional:
            raise ValueError(
                "a core must read one direction to have a state (got bidirectional=True): call read instead"
            )
        ragged = lengths_B is not None and bool((lengths_B < x_BTC.shape[1]).any())
        states: State = []

        def run(i: int, layer: nn.LSTM, x_BTC: torch.Tensor) -> torch.Tensor:
            before = None if state is None else state[i]
            [weights] = drop_weights(layer, self.config.weight_drop)
            out, after = read_onwards(layer, x_BTC, lengths_B if ragged else None, before, weights)
            states.append(after)
            return out

        return self.through(self.input_dropout(x_BTC), run), states


def _read_packed(layer: nn.LSTM, x_BTC: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    """Run ``layer`` over padded rows as cuDNN does it best."""
    packed = pack_padded_sequence(x_BTC, lengths_B.cpu(), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=x_BTC.shape[1])[0]
