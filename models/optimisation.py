"""What one optimiser step is, whatever is learned: the optimiser, its schedule, clipping, and the bare loop of them.

The learning rate rises, then stays, and what a training gives at any step is an average over the newest tenth or so of
its weights. So a training has no length: it may be stopped at any step, and taken up again where it stopped. Falling
learning rates give no better models than averages do (Haegele et al. 2024), but only at their end.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from models import ranks

WARMUP = 40
"""Steps over which the learning rate rises."""

AVERAGED = 0.1
"""Share of the steps so far that the average of the weights spans."""


class Schedule(Protocol):
    """What a training's Config says of the optimiser; ``steps`` is where it ends if nobody ends it before."""

    @property
    def steps(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def grad_clip(self) -> float: ...


def make_optimizer(
    model: nn.Module, config: Schedule, fused: bool = True
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """Return AdamW and a schedule of linear warm-up to a constant rate, stepped after each optimiser step.

    ``fused`` takes a fourth of the time of the plain one, on a CPU too, which large embeddings would feel.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=fused
    )
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / WARMUP))


def make_average(model: nn.Module) -> AveragedModel:
    """Return a copy of ``model`` that follows it as an average whose span grows with the training.

    After step k it is about the mean over the newest ``AVERAGED * k`` steps, weighted by a power of their number
    (Karras et al. 2024, "Analyzing and improving the training dynamics of diffusion models"). Update it after each
    step.
    """

    def follow(averages: Any, values: Any, updates: torch.Tensor | int) -> None:
        torch._foreach_lerp_(averages, values, 1 / (AVERAGED * float(updates) + 1))

    return AveragedModel(model, multi_avg_fn=follow)


def begin_with(weights: Path, model: nn.Module, average: nn.Module) -> bool:
    """Give ``model`` and its ``average`` the weights in a safetensors file; False: they do not fit, and both stay."""
    given = load_file(weights)
    shapes, known = ({name: t.shape for name, t in state.items()} for state in (given, model.state_dict()))
    if shapes != known:
        return False
    model.load_state_dict(given)
    average.load_state_dict(given)
    return True


def seed_step(seed: int, step: int, share: int = 0) -> None:
    """Make what a step disturbs and drops a function of these alone, so that a resumed training goes on as it would."""
    drawn = int(np.random.SeedSequence((seed, step, share)).generate_state(1)[0])
    # torch.manual_seed looks for every kind of accelerator each time, which takes as long as a small step.
    torch.default_generator.manual_seed(drawn)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(drawn)


class Optimisation:
    """A training of ``model`` in place that can be taken further, step by step.

    Args:
        model: the weights that are trained; ``average`` holds what they give.
        config: of the optimiser.
        losses_of: what a step back-propagates, one after the other; the gradient is the sum of theirs.
        seed: of what the steps disturb and drop.
    """

    def __init__(
        self, model: nn.Module, config: Schedule, losses_of: Callable[[int], Iterable[torch.Tensor]], seed: int = 0
    ) -> None:
        self.model, self.config, self.losses_of, self.seed = model, config, losses_of, seed
        self.optimizer, self.schedule = make_optimizer(model, config)
        self._averaged = make_average(model)
        self.step = 0

    @property
    def average(self) -> nn.Module:
        """The model that the training gives at this step."""
        return self._averaged.module

    def advance(self) -> float:
        """Take one step and return its loss; ranks of a process group take it together."""
        rank, world = ranks.place()
        self.model.train()
        seed_step(self.seed, self.step, rank)
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for loss in self.losses_of(self.step):
            loss.backward()
            total += loss.item()
        if world > 1:
            total = ranks.add_up(self.model, total)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        self.optimizer.step()
        self.schedule.step()
        self._averaged.update_parameters(self.model)
        self.step += 1
        return total

    def state_dict(self) -> dict[str, Any]:
        """Return all that ``load_state_dict`` needs to go on from here."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "averaged": self._averaged.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``, which another optimisation of the same model and config returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self._averaged.load_state_dict(state["averaged"])
        self.step = state["step"]

    def run(self) -> Iterator[tuple[int, float]]:
        """Train to ``config.steps``, yielding the number of finished steps and the loss after each."""
        while self.step < self.config.steps:
            yield self.step + 1, self.advance()


def folded(losses: Iterable[torch.Tensor], model: nn.Module) -> torch.Tensor:
    """Return one loss whose value and gradient are the sums of those of ``losses``.

    The graph of each is freed as soon as the next one stands; its gradient g is kept as a term linear in the parameters
    p, p times g. So whoever calls backward once (Lightning, and DDP under it) needs to know of no second loss.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients: dict[int, torch.Tensor] = {}
    newest, finished = None, torch.zeros(())
    for loss in losses:
        if newest is not None:
            finished = finished.to(newest.device) + newest.detach()
            for i, gradient in enumerate(torch.autograd.grad(newest, parameters, allow_unused=True)):
                if gradient is not None:
                    gradients[i] = gradients[i] + gradient if i in gradients else gradient
        newest = loss
    assert newest is not None, "a batch has at least one loss"
    if not gradients:
        return newest
    linear = torch.stack([(parameters[i] * gradient).sum() for i, gradient in gradients.items()]).sum()
    return newest + (linear - linear.detach()) + finished


def out_of_memory(error: BaseException) -> bool:
    """Say whether ``error`` means that memory ran out: on a CPU torch raises no class of its own."""
    if not isinstance(error, RuntimeError) or isinstance(error, torch.OutOfMemoryError):
        return True
    # oneDNN says no more than this when it finds no room.
    return "memory" in str(error) or str(error).endswith("a primitive")


def free_memory() -> None:
    """Give back what nothing refers to any more: what is left of a large batch may leave no room for half of it."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
