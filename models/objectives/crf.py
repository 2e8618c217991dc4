"""A linear-chain conditional random field: log-likelihood, marginals and the best path (Lafferty et al. 2001).

A path's score is the sum of its steps' unary scores, of its neighbours' pair scores, and of what its first and last
label score. Sums over all paths are taken by Rabiner's scaled forward-backward recursion (1989) in double precision,
a matrix product a step for the whole batch. Steps past an item's length never act.

Shapes: B items, T steps, L labels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

FORBIDDEN = -100.0
"""Score of a pair that the label scheme forbids: as good as never, yet a forbidden path's likelihood stays finite."""


class Chain(NamedTuple):
    """Scores of pairs (row: the label before), of the first and of the last label."""

    pair_LL: torch.Tensor
    first_L: torch.Tensor
    last_L: torch.Tensor


class CRF(nn.Module):
    """Learned pair scores; what is not allowed stays so, whatever is learned."""

    allowed_LL: torch.Tensor
    allowed_first_L: torch.Tensor

    def __init__(self, allowed_LL: np.ndarray, allowed_first_L: np.ndarray) -> None:
        super().__init__()
        labels = len(allowed_first_L)
        self.pair_LL = nn.Parameter(torch.zeros(labels, labels))
        self.first_L = nn.Parameter(torch.zeros(labels))
        self.last_L = nn.Parameter(torch.zeros(labels))
        self.register_buffer("allowed_LL", torch.from_numpy(allowed_LL), persistent=False)
        self.register_buffer("allowed_first_L", torch.from_numpy(allowed_first_L), persistent=False)

    def chain(self) -> Chain:
        """Return the scores in double precision, ``FORBIDDEN`` where not allowed."""
        pair_LL = self.pair_LL.double().masked_fill(~self.allowed_LL, FORBIDDEN)
        first_L = self.first_L.double().masked_fill(~self.allowed_first_L, FORBIDDEN)
        return Chain(pair_LL, first_L, self.last_L.double())

    def negative_log_likelihood(
        self, unary_BTL: torch.Tensor, lengths_B: torch.Tensor, truth_BT: torch.Tensor
    ) -> torch.Tensor:
        """Return ``[B]``. A step whose label is negative is unlabelled: the sum runs over all that it may be."""
        chain = self.chain()
        unary_BTL = unary_BTL.double()
        other_BTL = torch.arange(unary_BTL.shape[2], device=truth_BT.device) != truth_BT[..., None]
        clamped_BTL = unary_BTL.masked_fill(other_BTL & (truth_BT >= 0)[..., None], -torch.inf)
        # One recursion over both: a step costs its calls, hardly its rows.
        both = log_partition(torch.cat([unary_BTL, clamped_BTL]), lengths_B.repeat(2), chain)
        free_B, true_B = both.chunk(2)
        return free_B - true_B

    @torch.no_grad()
    def marginals(self, unary_BTL: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        """Return the probability of each label at each step, float64 ``[B, T, L]``, 0 past a length."""
        chain = self.chain()
        return _backward(_forward(unary_BTL.double(), lengths_B, chain), lengths_B, chain)[0]


def log_partition(unary_BTL: torch.Tensor, lengths_B: torch.Tensor, chain: Chain) -> torch.Tensor:
    """Return the log of the sum over all paths of the exponential of their scores, ``[B]``."""
    return _LogPartition.apply(unary_BTL, lengths_B, *chain)


@torch.no_grad()
def viterbi(unary_BTL: torch.Tensor, lengths_B: torch.Tensor, chain: Chain) -> torch.Tensor:
    """Return the path with the highest score, int64 ``[B, T]``, undefined past a length. Scores may be -inf."""
    steps = unary_BTL.shape[1]
    score_BL = unary_BTL[:, 0] + chain.first_L
    stay_L = torch.arange(score_BL.shape[1], device=score_BL.device)
    origins: list[torch.Tensor] = []
    for t in range(1, steps):
        best_BL, origin_BL = (score_BL[:, :, None] + chain.pair_LL).max(dim=1)
        inside_B1 = (t < lengths_B)[:, None]
        score_BL = torch.where(inside_B1, best_BL + unary_BTL[:, t], score_BL)
        origins.append(torch.where(inside_B1, origin_BL, stay_L))
    path = [(score_BL + chain.last_L).argmax(dim=1, keepdim=True)]
    for origin_BL in reversed(origins):
        path.append(origin_BL.gather(1, path[-1]))
    return torch.cat(path[::-1], dim=1)


class _Forward(NamedTuple):
    """``alpha_BTL``: each label's probability given the scores so far; ``mass_BT1``: what it was divided by."""

    factor_BTL: torch.Tensor
    alpha_BTL: torch.Tensor
    mass_BT1: torch.Tensor
    log_partition_B: torch.Tensor


def _forward(unary_BTL: torch.Tensor, lengths_B: torch.Tensor, chain: Chain) -> _Forward:
    inside_BT = torch.arange(unary_BTL.shape[1], device=unary_BTL.device) < lengths_B[:, None]
    unary_BTL = unary_BTL.masked_fill(~inside_BT[..., None], 0.0)
    peak_BT1 = unary_BTL.amax(dim=2, keepdim=True)
    factor_BTL = (unary_BTL - peak_BT1).exp()
    pair_LL, arriving_BL = chain.pair_LL.exp(), chain.first_L.exp()
    alphas, masses = [], []
    for factor_BL in factor_BTL.unbind(dim=1):
        alpha_BL = arriving_BL * factor_BL
        mass_B1 = alpha_BL.sum(dim=1, keepdim=True)
        alphas.append(alpha_BL / mass_B1)
        masses.append(mass_B1)
        arriving_BL = alphas[-1] @ pair_LL
    alpha_BTL, mass_BT1 = torch.stack(alphas, dim=1), torch.stack(masses, dim=1)
    last_BL = alpha_BTL[torch.arange(len(lengths_B), device=unary_BTL.device), lengths_B - 1]
    log_B = ((mass_BT1.log() + peak_BT1)[..., 0] * inside_BT).sum(dim=1) + (last_BL @ chain.last_L.exp()).log()
    return _Forward(factor_BTL, alpha_BTL, mass_BT1, log_B)


def _backward(forward: _Forward, lengths_B: torch.Tensor, chain: Chain) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the marginals ``[B, T, L]`` and what each label at a step tells the step before, ``[B, T, L]``."""
    factor_BTL, alpha_BTL, mass_BT1, _ = forward
    rows = torch.arange(len(lengths_B), device=lengths_B.device)
    before_LL, last_L = chain.pair_LL.exp().T, chain.last_L.exp()
    end_BL = last_L / (alpha_BTL[rows, lengths_B - 1] @ last_L)[:, None]
    weight_BTL = factor_BTL / mass_BT1
    beta_BL = torch.zeros_like(end_BL)
    betas, messages = [], []
    for t in range(alpha_BTL.shape[1] - 1, -1, -1):
        beta_BL = torch.where((lengths_B == t + 1)[:, None], end_BL, beta_BL)
        betas.append(beta_BL)
        messages.append(weight_BTL[:, t] * beta_BL)
        beta_BL = messages[-1] @ before_LL
    return alpha_BTL * torch.stack(betas[::-1], dim=1), torch.stack(messages[::-1], dim=1)


class _LogPartition(torch.autograd.Function):
    """The derivatives of the log-partition are the expected counts, which the backward recursion gives at once."""

    @staticmethod
    def forward(ctx: Any, unary_BTL: torch.Tensor, lengths_B: torch.Tensor, *chain: torch.Tensor) -> torch.Tensor:
        forward = _forward(unary_BTL, lengths_B, Chain(*chain))
        ctx.save_for_backward(lengths_B, *chain, *forward)
        return forward.log_partition_B

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient_B: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        lengths_B, *saved = ctx.saved_tensors
        chain, forward = Chain(*saved[:3]), _Forward(*saved[3:])
        marginal_BTL, message_BTL = _backward(forward, lengths_B, chain)
        count_BTL = marginal_BTL * gradient_B[:, None, None]
        weighted_BTL = forward.alpha_BTL * gradient_B[:, None, None]
        pairs_LL = torch.einsum("bti,btj->ij", weighted_BTL[:, :-1], message_BTL[:, 1:]) * chain.pair_LL.exp()
        rows = torch.arange(len(lengths_B), device=lengths_B.device)
        return count_BTL, None, pairs_LL, count_BTL[:, 0].sum(dim=0), count_BTL[rows, lengths_B - 1].sum(dim=0)
