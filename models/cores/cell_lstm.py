"""A stack of LSTM layers whose cell is written out, for what torch's own cannot do.

Gates that see the cell: Gers & Schmidhuber 2000, "Recurrent nets that time and count". Norms inside the cell: Ba, Kiros
& Hinton 2016, "Layer normalization". Units that stay as they were: Krueger et al. 2017, "Zoneout". What the gates get
from the input is one product for all steps; the rest is a loop, slower than torch's. It has no projection, no dropout
between layers, and reads one direction.

Shapes: B batch, T steps, C input channels, H hidden size, G = 4 H the gates i, f, g, o in this order.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from models.cores.core import Core, State
from models.cores.hidden_sizes import HIDDEN_SIZES
from models.suggest import Suggest

Tensors = tuple[torch.Tensor, ...]


class CellLSTMConfig(BaseModel):
    """One point of the family."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    core: Literal["cell_lstm"] = "cell_lstm"
    hidden_size: int = Field(64, ge=1)
    num_layers: int = Field(2, ge=1)
    residual: bool = False
    peephole: bool = True
    layer_norm: bool = Field(False, description="inside the cell")
    zoneout_cell: float = Field(0.0, ge=0, lt=1, description="share of the cells that stay as they were, in training")
    zoneout_hidden: float = Field(0.0, ge=0, lt=1, description="the same of the outputs")

    @property
    def output_size(self) -> int:
        return self.hidden_size

    @classmethod
    def suggest(cls, trial: Suggest) -> CellLSTMConfig:
        """Draw a point; residual is only drawn where a second layer lets it act."""
        num_layers = trial.suggest_int("num_layers", 1, 3)
        return cls(
            hidden_size=trial.suggest_categorical("hidden_size", HIDDEN_SIZES),
            num_layers=num_layers,
            residual=num_layers > 1 and trial.suggest_categorical("residual", [False, True]),
            peephole=trial.suggest_categorical("peephole", [False, True]),
            layer_norm=trial.suggest_categorical("layer_norm", [False, True]),
            zoneout_cell=trial.suggest_float("zoneout_cell", 0.0, 0.5),
            zoneout_hidden=trial.suggest_float("zoneout_hidden", 0.0, 0.3),
        )

    def build(self, input_size: int) -> CellLSTM:
        return CellLSTM(self, input_size)


class CellLSTM(Core):
    """The stack. The state is for each layer the output and the cell state, each ``[B, H]``."""

    def __init__(self, config: CellLSTMConfig, input_size: int) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(
            CellLayer(config, input_size if i == 0 else config.hidden_size) for i in range(config.num_layers)
        )

    def forward(
        self, x_BTC: torch.Tensor, lengths_B: torch.Tensor | None = None, state: State | None = None
    ) -> tuple[torch.Tensor, State]:
        states: State = []
        h_BTH = x_BTC
        for i, layer in enumerate(self.layers):
            out, after = layer(h_BTH, lengths_B, None if state is None else state[i])
            states.append(after)
            h_BTH = out + h_BTH if i > 0 and self.config.residual else out
        return h_BTH, states


class CellLayer(nn.Module):
    """One layer. A norm has a weight and no bias: the gates have theirs, the cell needs none."""

    def __init__(self, config: CellLSTMConfig, input_size: int) -> None:
        super().__init__()
        self.config = config
        size = config.hidden_size
        self.weight_ih = nn.Parameter(torch.empty(4 * size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * size, size))
        self.bias = nn.Parameter(torch.empty(4 * size))
        self.peepholes_3H = nn.Parameter(torch.empty(3, size)) if config.peephole else None
        self.norm_input, self.norm_hidden, self.norm_cell = (
            nn.LayerNorm(width, bias=False) if config.layer_norm else nn.Identity()
            for width in (4 * size, 4 * size, size)
        )
        for weight in (self.weight_ih, self.weight_hh, self.bias, self.peepholes_3H):
            if weight is not None:
                nn.init.uniform_(weight, -(size**-0.5), size**-0.5)
        with torch.no_grad():
            self.bias[size : 2 * size] = 1.0

    def forward(
        self, x_BTC: torch.Tensor, lengths_B: torch.Tensor | None, state: Tensors | None
    ) -> tuple[torch.Tensor, Tensors]:
        """Read as ``CellLSTM`` does, from and to the output and the cell state of this layer."""
        pre_TBG = (self.norm_input(x_BTC @ self.weight_ih.T) + self.bias).unbind(1)
        stay_c_TBH, stay_h_TBH = (
            self._staying(x_BTC, p) for p in (self.config.zoneout_cell, self.config.zoneout_hidden)
        )
        h_BH = c_BH = x_BTC.new_zeros(len(x_BTC), self.config.hidden_size)
        if state is not None:
            h_BH, c_BH = state
        h_TBH, c_TBH = [], []
        for pre_BG, stay_c, stay_h in zip(pre_TBG, stay_c_TBH, stay_h_TBH, strict=True):
            h, c = self._cell(pre_BG, h_BH, c_BH)
            c_BH = c if stay_c is None else torch.lerp(c, c_BH, stay_c)
            h_BH = h if stay_h is None else torch.lerp(h, h_BH, stay_h)
            h_TBH.append(h_BH)
            c_TBH.append(c_BH)
        h_BTH = torch.stack(h_TBH, dim=1)
        if lengths_B is None:
            return h_BTH, (h_BH, c_BH)
        rows, last_B = torch.arange(len(x_BTC), device=x_BTC.device), lengths_B.to(x_BTC.device) - 1
        return h_BTH, (h_BTH[rows, last_B], torch.stack(c_TBH, dim=1)[rows, last_B])

    def _cell(self, pre_BG: torch.Tensor, h_BH: torch.Tensor, c_BH: torch.Tensor) -> Tensors:
        """Return the new output and cell state; ``pre_BG`` is what the gates get from the input."""
        i, f, g, o = (pre_BG + self.norm_hidden(h_BH @ self.weight_hh.T)).chunk(4, dim=1)
        if self.peepholes_3H is not None:
            i, f = torch.addcmul(i, self.peepholes_3H[0], c_BH), torch.addcmul(f, self.peepholes_3H[1], c_BH)
        c_BH = torch.addcmul(f.sigmoid() * c_BH, i.sigmoid(), g.tanh())
        if self.peepholes_3H is not None:
            o = torch.addcmul(o, self.peepholes_3H[2], c_BH)
        return o.sigmoid() * self.norm_cell(c_BH).tanh(), c_BH

    def _staying(self, x_BTC: torch.Tensor, share: float) -> torch.Tensor | list[None]:
        """Return how much of each unit stays as it was: 0 or 1 by chance in training, else what that is on average."""
        batch, steps, _ = x_BTC.shape
        if not share:
            return [None] * steps
        shares = x_BTC.new_full((steps, batch, self.config.hidden_size), share)
        return torch.bernoulli(shares) if self.training else shares
