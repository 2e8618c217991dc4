"""The sLSTM cell: exponential gates, a normaliser, and heads that mix their memories only among themselves.

Beck et al. 2024, "xLSTM: Extended long short-term memory" (arXiv:2405.04517), equations 8 to 18, with the forget gate
as a sigmoid. The stabiliser m, a running maximum of the gates' logarithms, cancels out of the output o c / n: the
gradient takes it as a constant. It has no convolution before the gates, which the paper's language models have.

Shapes: T steps, B batch, H hidden size, K heads, D = H / K a head's size, G = 4 D its gates z, i, f, o in this order.
"""

from __future__ import annotations

import torch
from torch import nn

Tensors = tuple[torch.Tensor, ...]


class SLSTM(nn.Module):
    """One layer of cells. What of the gates depends on the input is one product for all steps."""

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_size = num_heads, hidden_size // num_heads
        self.input = nn.Linear(hidden_size, 4 * hidden_size)
        self.recurrent_KDG = nn.Parameter(torch.empty(num_heads, self.head_size, 4 * self.head_size))
        nn.init.uniform_(self.recurrent_KDG, -(hidden_size**-0.5), hidden_size**-0.5)
        with torch.no_grad():
            _, i, f, _ = self.input.bias.view(num_heads, 4, self.head_size).unbind(1)
            i.zero_()
            f.copy_(torch.linspace(3.0, 6.0, self.head_size, device=f.device).expand_as(f))

    def forward(
        self, x_BTH: torch.Tensor, lengths_B: torch.Tensor | None, state: Tensors | None
    ) -> tuple[torch.Tensor, Tensors]:
        """Read ``x_BTH`` onwards from ``state``.

        Args:
            x_BTH: input, padded at the end of each row.
            lengths_B: int64 steps of each row, at least 1; none: all T.
            state: output h, cell c, normaliser n and stabiliser m, each ``[B, H]``; none: an empty memory.

        Returns:
            ``h_BTKD`` and the state after each row's last step.
        """
        batch, steps, _ = x_BTH.shape
        pre_TKBG = self.input(x_BTH).view(batch, steps, self.num_heads, -1).permute(1, 2, 0, 3)
        before = self._empty(x_BTH) if state is None else tuple(self._by_head(tensor) for tensor in state)
        states = scan(pre_TKBG.contiguous(), self.recurrent_KDG, *before)
        h_BTKD = torch.stack([h_KBD for h_KBD, *_ in states]).permute(2, 0, 1, 3)
        if lengths_B is None:
            return h_BTKD, tuple(tensor.transpose(0, 1).flatten(1) for tensor in states[-1])
        rows, last_B = torch.arange(batch, device=x_BTH.device), lengths_B.to(x_BTH.device) - 1
        stacks = (torch.stack(tensors) for tensors in zip(*states, strict=True))
        return h_BTKD, tuple(stack[last_B, :, rows].flatten(1) for stack in stacks)

    def _empty(self, x_BTH: torch.Tensor) -> Tensors:
        """Return the state that has kept nothing: the logarithm of what it kept is minus infinity."""
        zeros_KBD = x_BTH.new_zeros(self.num_heads, len(x_BTH), self.head_size)
        return zeros_KBD, zeros_KBD, zeros_KBD, torch.full_like(zeros_KBD, -torch.inf)

    def _by_head(self, state_BH: torch.Tensor) -> torch.Tensor:
        return state_BH.view(len(state_BH), self.num_heads, self.head_size).transpose(0, 1)


def scan(
    pre_TKBG: torch.Tensor,
    recurrent_KDG: torch.Tensor,
    h: torch.Tensor,
    c: torch.Tensor,
    n: torch.Tensor,
    m: torch.Tensor,
) -> list[Tensors]:
    """Return h, c, n and m after every step, from those before the first, each ``[K, B, D]``.

    Args:
        pre_TKBG: what the gates get from the input.
        recurrent_KDG: from a head's output to its gates.
        h: output.
        c: cell state, over exp(m).
        n: normaliser, over exp(m).
        m: stabiliser, of minus infinity where nothing was kept.
    """
    steps: list[Tensors] = []
    for pre_KBG in pre_TKBG.unbind():
        z, i, f, o = torch.baddbmm(pre_KBG, h, recurrent_KDG).chunk(4, dim=2)
        log_kept = nn.functional.logsigmoid(f) + m
        m = torch.maximum(log_kept, i).detach()
        let_in, kept = (i - m).exp(), (log_kept - m).exp()
        c = torch.addcmul(kept * c, let_in, z.tanh())
        n = torch.addcmul(let_in, kept, n)
        h = o.sigmoid() * c / n
        steps.append((h, c, n, m))
    return steps
