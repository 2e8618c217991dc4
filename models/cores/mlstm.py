"""The mLSTM cell: a matrix memory that is written with a key and a value and read with a query, in all steps at once.

Beck et al. 2024, "xLSTM: Extended long short-term memory" (arXiv:2405.04517), equations 19 to 27 and the parallel form
of the appendix, with the forget gate as a sigmoid. The gates do not read the output: every step's output is a sum over
the steps before, with a weight for each pair. That is quadratic in T, and for T = 1 the recurrence itself. The
stabiliser m, a running maximum of the weights' logarithms, cancels out of the output: the gradient takes it as a
constant. It has no convolution before queries and keys, which the paper's language models have.

Shapes: B batch, K heads, T reading and S written steps, D a head's size, H input size, E = K D inner size.
"""

from __future__ import annotations

import math

import torch
from torch import nn

Tensors = tuple[torch.Tensor, ...]


class MLSTM(nn.Module):
    """One layer of heads, each with a memory of its own."""

    def __init__(self, hidden_size: int, inner_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_size = num_heads, inner_size // num_heads
        self.up = nn.Linear(hidden_size, 3 * inner_size)
        self.output_gate = nn.Linear(hidden_size, inner_size)
        self.gates = nn.Linear(hidden_size, 2 * num_heads)
        with torch.no_grad():
            i, f = self.gates.bias.chunk(2)
            i.zero_()
            f.copy_(torch.linspace(3.0, 6.0, num_heads, device=f.device))

    def forward(
        self, x_BTH: torch.Tensor, lengths_B: torch.Tensor | None, state: Tensors | None
    ) -> tuple[torch.Tensor, torch.Tensor, Tensors]:
        """Read ``x_BTH`` onwards from ``state``.

        Args:
            x_BTH: input, padded at the end of each row.
            lengths_B: int64 steps of each row, at least 1; none: all T.
            state: memory ``C_BKDD`` (value by key), normaliser ``n_BKD`` and stabiliser ``m_BK``; none: zeros.

        Returns:
            ``h_BTKD`` before the output gate, the output gate ``o_BTE``, and the state after each row's last step.
        """
        batch, steps, _ = x_BTH.shape
        qkv_BT3KD = self.up(x_BTH).view(batch, steps, 3, self.num_heads, self.head_size)
        q, k, v = qkv_BT3KD.permute(2, 0, 3, 1, 4).contiguous()
        i, f = self.gates(x_BTH).transpose(1, 2).chunk(2, dim=1)
        # A key counts as much as its input gate: that takes the scale by the root of D, being smaller.
        log_i = i - 0.5 * math.log(self.head_size)
        h_BKTD, after = read_memory(q, k, v, log_i, nn.functional.logsigmoid(f), lengths_B, state)
        return h_BKTD.transpose(1, 2), self.output_gate(x_BTH).sigmoid(), after


def read_memory(
    q_BKTD: torch.Tensor,
    k_BKTD: torch.Tensor,
    v_BKTD: torch.Tensor,
    log_i_BKT: torch.Tensor,
    log_f_BKT: torch.Tensor,
    lengths_B: torch.Tensor | None = None,
    state: Tensors | None = None,
) -> tuple[torch.Tensor, Tensors]:
    """Write every step's key and value, and read with every step's query what was written up to it.

    Args:
        q_BKTD: queries.
        k_BKTD: keys, scaled by the root of their size here or in the input gates.
        v_BKTD: values.
        log_i_BKT: logarithm of the input gates.
        log_f_BKT: logarithm of the forget gates.
        lengths_B: int64 steps of each row, at least 1; none: all T.
        state: as ``MLSTM.forward`` takes it.

    Returns:
        ``h_BKTD`` and the state after each row's last step.
    """
    weight_BKTS, kept_BKT, m_BKT = _weigh(log_i_BKT, log_f_BKT, None if state is None else state[2])
    score_BKTS = (q_BKTD @ k_BKTD.transpose(2, 3)) * weight_BKTS
    value_BKTD, norm_BKT = score_BKTS @ v_BKTD, score_BKTS.sum(dim=3)
    if state is not None:
        value_BKTD = value_BKTD + kept_BKT[..., None] * (q_BKTD @ state[0].transpose(2, 3))
        norm_BKT = norm_BKT + kept_BKT * (q_BKTD @ state[1][..., None])[..., 0]
    h_BKTD = value_BKTD / torch.maximum(norm_BKT.abs(), (-m_BKT).exp())[..., None]

    rows = torch.arange(len(q_BKTD), device=q_BKTD.device)
    last_B = torch.full_like(rows, q_BKTD.shape[2] - 1) if lengths_B is None else lengths_B.to(rows.device) - 1
    written_BKSD = k_BKTD * weight_BKTS[rows, :, last_B][..., None]
    C_BKDD, n_BKD = v_BKTD.transpose(2, 3) @ written_BKSD, written_BKSD.sum(dim=2)
    if state is not None:
        kept_BK = kept_BKT[rows, :, last_B]
        C_BKDD, n_BKD = C_BKDD + kept_BK[..., None, None] * state[0], n_BKD + kept_BK[..., None] * state[1]
    return h_BKTD, (C_BKDD, n_BKD, m_BKT[rows, :, last_B])


def _weigh(log_i_BKT: torch.Tensor, log_f_BKT: torch.Tensor, m_BK: torch.Tensor | None) -> Tensors:
    """Return what is left at each step of what was written at each other, over exp(m), and of the state before.

    Returns:
        ``weight_BKTS``, zero where S comes after T; ``kept_BKT`` of the state, whose stabiliser is ``m_BK``; the new
        stabiliser ``m_BKT``.
    """
    steps = log_f_BKT.shape[2]
    log_kept_BKT = log_f_BKT.cumsum(dim=2)
    future_TS = torch.ones(steps, steps, dtype=torch.bool, device=log_f_BKT.device).triu(1)
    log_BKTS = log_kept_BKT[..., None] + (log_i_BKT - log_kept_BKT)[:, :, None]
    log_BKTS = log_BKTS.masked_fill(future_TS, -torch.inf)
    if m_BK is not None:
        log_kept_BKT = log_kept_BKT + m_BK[..., None]
    m_BKT = torch.maximum(log_BKTS.amax(dim=3), log_kept_BKT).detach()
    return (log_BKTS - m_BKT[..., None]).exp(), (log_kept_BKT - m_BKT).exp(), m_BKT
