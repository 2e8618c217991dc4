"""How the biases of an LSTM's gates start: what a fresh cell remembers, and for how many steps.

Nothing here draws from another generator than torch's own, so a seed fixes a model.
"""

from __future__ import annotations

import torch
from torch import nn


def open_forget_gate(layer: nn.LSTM) -> None:
    """Start with the forget gate open (bias 1), so that error flows back from the first step on (Gers et al. 2000)."""
    for name, parameter in layer.named_parameters():
        if name.startswith("bias_ih"):
            size = parameter.shape[0] // 4
            with torch.no_grad():
                parameter[size : 2 * size] = 1.0


def set_chrono_biases(layer: nn.LSTM, longest: int) -> None:
    """Give every cell of ``layer`` a memory of its own length, uniform between 1 and ``longest - 1`` steps.

    A forget gate that stands at ``1 - 1/t`` forgets over about t steps. So the forget bias starts at log(u) with u
    uniform in [1, longest - 1], and the input bias at its negative: a cell that keeps long also takes in slowly. Of the
    two biases that torch adds up, the one of the hidden state becomes 0 for these two gates. All directions and
    layers of ``layer`` are set. Tallec & Ollivier 2018, "Can recurrent neural networks warp time?".

    Args:
        layer: its biases are overwritten in place.
        longest: steps between a cause and its effect, at most.

    Raises:
        ValueError: ``longest`` is below 2.
    """
    if longest < 2:
        raise ValueError(f"longest must be at least 2 steps (got {longest}): pass how far back the task must remember")
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if not name.startswith("bias_"):
                continue
            i, f, _, _ = parameter.chunk(4)
            if name.startswith("bias_ih"):
                f.uniform_(1.0, longest - 1.0).log_()
                i.copy_(-f)
            else:
                f.zero_()
                i.zero_()
