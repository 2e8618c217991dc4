"""Several losses folded into one that is back-propagated once: the same value, the same gradient."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from models.optimisation import folded


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleList([nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(2, 2)])


def losses(net: nn.Module, count: int) -> Iterator[torch.Tensor]:
    first, second, _ = net.children()
    for seed in range(count):
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
        yield (second(first(x).tanh()) if seed else first(x)).square().mean()


def test_losses_folded_into_one_have_the_sum_of_their_values_and_gradients() -> None:
    one, other = model(), model()
    total = sum(losses(one, 3))
    total.backward()
    loss = folded(losses(other, 3), other)
    loss.backward()
    torch.testing.assert_close(loss, total)
    for ours, theirs in zip(other.parameters(), one.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_single_loss_stays_as_it_is() -> None:
    net = model()
    (loss,) = losses(net, 1)
    assert folded(iter([loss]), net) is loss


def test_the_graph_of_a_loss_is_freed_when_the_next_one_stands() -> None:
    net, alive = model(), []

    def watched() -> Iterator[torch.Tensor]:
        for loss in losses(net, 4):
            alive.append(loss)
            yield loss

    folded(watched(), net)
    for loss in alive[:-1]:
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()
