"""Processes that share a training outside of Lightning: each reads a share of every batch, and their gradients add up.

A share's loss is a mean over its own values; weighed by how many those are, the step is that of one process within
rounding. Without a process group there is one rank, and nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import distributed, nn


def place() -> tuple[int, int]:
    """Return this process's rank, and how many there are."""
    if not distributed.is_available() or not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def leave() -> None:
    """Leave the others at the end of all work: a process that ends among them may abort, since its threads run on."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def weighed(losses: Iterable[torch.Tensor], weight: float, device: torch.device) -> Iterator[torch.Tensor]:
    """Yield ``losses``, means over the ``weight`` values of a share, as parts of the loss of the whole batch."""
    total = torch.tensor(weight, device=device)
    distributed.all_reduce(total)
    scale = weight / total.clamp(min=torch.finfo(torch.float32).tiny)
    for loss in losses:
        yield loss * scale


def add_up(model: nn.Module, loss: float) -> float:
    """Let ``model`` have the sum of all ranks' gradients, and return the sum of their losses."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    together = torch.cat([gradient.flatten() for gradient in gradients] + [gradients[0].new_tensor([loss])])
    distributed.all_reduce(together)
    parts = together[:-1].split([parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)
    return float(together[-1])
