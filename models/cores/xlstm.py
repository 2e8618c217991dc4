"""A stack of residual blocks around sLSTM and mLSTM cells.

Beck et al. 2024, "xLSTM: Extended long short-term memory" (arXiv:2405.04517). Every block normalises first and adds to
what it read. An mLSTM block works in an inner space; an sLSTM block has a gated layer of that size after its cell.
The cells are in ``slstm`` and ``mlstm``. It has no causal convolutions and reads one direction.

Shapes: B batch, T steps, C input channels, H hidden size, K heads, D a head's size, E inner size.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from models.cores.core import Core, State
from models.cores.hidden_sizes import HIDDEN_SIZES
from models.cores.mlstm import MLSTM
from models.cores.slstm import SLSTM
from models.suggest import Suggest

Tensors = tuple[torch.Tensor, ...]


class XLSTMConfig(BaseModel):
    """One point of the family."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    core: Literal["xlstm"] = "xlstm"
    hidden_size: int = Field(64, ge=1)
    num_layers: int = Field(2, ge=1, description="blocks")
    blocks: Literal["slstm", "mlstm", "mixed"] = Field("mixed", description="mixed: mlstm and slstm in turn")
    num_heads: int = Field(4, ge=1)
    expansion: int = Field(1, ge=1, description="inner size in hidden sizes")
    dropout: float = Field(0.0, ge=0, lt=1, description="on what a block adds")

    @model_validator(mode="after")
    def _heads_divide(self) -> XLSTMConfig:
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"num_heads must divide hidden_size {self.hidden_size} (got {self.num_heads}): change one of them"
            )
        return self

    @property
    def output_size(self) -> int:
        return self.hidden_size

    @classmethod
    def suggest(cls, trial: Suggest) -> XLSTMConfig:
        """Draw a point; a single block has one kind, and heads are drawn where they divide the hidden size."""
        hidden_size = trial.suggest_categorical("hidden_size", HIDDEN_SIZES)
        num_layers = trial.suggest_int("num_layers", 1, 3)
        if num_layers == 1:
            blocks = trial.suggest_categorical("block", ["slstm", "mlstm"])
        else:
            blocks = trial.suggest_categorical("blocks", ["slstm", "mlstm", "mixed"])
        return cls(
            hidden_size=hidden_size,
            num_layers=num_layers,
            blocks=blocks,
            num_heads=trial.suggest_categorical("num_heads", [1, 2, 4]) if hidden_size % 4 == 0 else 1,
            expansion=trial.suggest_categorical("expansion", [1, 2]),
            dropout=trial.suggest_float("dropout", 0.0, 0.4),
        )

    def build(self, input_size: int) -> XLSTM:
        return XLSTM(self, input_size)


class XLSTM(Core):
    """The stack. The state is for each block what its cell says."""

    def __init__(self, config: XLSTMConfig, input_size: int) -> None:
        super().__init__()
        self.config = config
        kinds: tuple[type[nn.Module], ...] = {
            "slstm": (SLSTMBlock,),
            "mlstm": (MLSTMBlock,),
            "mixed": (MLSTMBlock, SLSTMBlock),
        }[config.blocks]
        self.input = nn.Linear(input_size, config.hidden_size)
        self.blocks = nn.ModuleList(kinds[i % len(kinds)](config) for i in range(config.num_layers))
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(
        self, x_BTC: torch.Tensor, lengths_B: torch.Tensor | None = None, state: State | None = None
    ) -> tuple[torch.Tensor, State]:
        h_BTH = self.input(x_BTC)
        states: State = []
        for i, block in enumerate(self.blocks):
            h_BTH, after = block(h_BTH, lengths_B, None if state is None else state[i])
            states.append(after)
        return self.norm(h_BTH), states


class MLSTMBlock(nn.Module):
    """norm -> up -> mLSTM -> norm of each head -> output gate -> down, added to the input."""

    def __init__(self, config: XLSTMConfig) -> None:
        super().__init__()
        inner_size = config.expansion * config.hidden_size
        self.norm = nn.LayerNorm(config.hidden_size)
        self.cell = MLSTM(config.hidden_size, inner_size, config.num_heads)
        self.head_norm = HeadNorm(inner_size)
        self.down = nn.Linear(inner_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x_BTH: torch.Tensor, lengths_B: torch.Tensor | None, state: Tensors | None
    ) -> tuple[torch.Tensor, Tensors]:
        h_BTKD, o_BTE, after = self.cell(self.norm(x_BTH), lengths_B, state)
        return x_BTH + self.dropout(self.down(o_BTE * self.head_norm(h_BTKD))), after


class SLSTMBlock(nn.Module):
    """norm -> sLSTM -> norm of each head, added to the input; then norm -> gated layer -> down, added once more."""

    def __init__(self, config: XLSTMConfig) -> None:
        super().__init__()
        inner_size = config.expansion * config.hidden_size
        self.norm = nn.LayerNorm(config.hidden_size)
        self.cell = SLSTM(config.hidden_size, config.num_heads)
        self.head_norm = HeadNorm(config.hidden_size)
        self.inner_norm = nn.LayerNorm(config.hidden_size)
        self.up = nn.Linear(config.hidden_size, 2 * inner_size)
        self.down = nn.Linear(inner_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x_BTH: torch.Tensor, lengths_B: torch.Tensor | None, state: Tensors | None
    ) -> tuple[torch.Tensor, Tensors]:
        h_BTKD, after = self.cell(self.norm(x_BTH), lengths_B, state)
        x_BTH = x_BTH + self.dropout(self.head_norm(h_BTKD))
        gate_BTE, value_BTE = self.up(self.inner_norm(x_BTH)).chunk(2, dim=2)
        return x_BTH + self.dropout(self.down(nn.functional.gelu(gate_BTE) * value_BTE)), after


class HeadNorm(nn.Module):
    """Layer norm of each head by itself, with a weight for each unit: ``[B, T, K, D]`` to ``[B, T, K D]``."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, h_BTKD: torch.Tensor) -> torch.Tensor:
        return nn.functional.layer_norm(h_BTKD, h_BTKD.shape[-1:]).flatten(2) * self.weight
