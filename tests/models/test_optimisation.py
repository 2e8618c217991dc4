"""Steps, their schedule and the average of the weights; several losses folded into one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from models.optimisation import AVERAGED, WARMUP, Optimisation, folded, make_average, make_optimizer
from models.training_config import TrainingConfig


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


def test_the_learning_rate_rises_and_stays() -> None:
    net = nn.Linear(1, 1)
    optimizer, schedule = make_optimizer(net, TrainingConfig(steps=400, learning_rate=0.01))
    rates = []
    for _ in range(400):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:WARMUP] == pytest.approx([0.01 * (step + 1) / WARMUP for step in range(WARMUP)])
    assert set(rates[WARMUP:]) == {0.01}


def test_the_average_spans_the_newest_share_of_the_steps() -> None:
    """Of weights that grow by one a step, the average lags by the mean age of what it spans, which grows with it."""
    net = nn.Linear(1, 1, bias=False)
    average = make_average(net)
    for step in range(1, 4001):
        with torch.no_grad():
            net.weight.fill_(step)
        average.update_parameters(net)
        if step in (1000, 2000, 4000):
            lag = step - average.module.weight.item()
            assert lag == pytest.approx(AVERAGED * step / (1 + AVERAGED), rel=0.02)


def test_the_average_begins_with_the_first_step_and_forgets_the_weights_before_it() -> None:
    net = nn.Linear(1, 1, bias=False)
    average = make_average(net)
    with torch.no_grad():
        net.weight.fill_(7.0)
    average.update_parameters(net)
    assert average.module.weight.item() == 7.0


def test_a_step_follows_the_gradient_and_is_clipped() -> None:
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    config = TrainingConfig(steps=1, learning_rate=0.1, weight_decay=0.0, grad_clip=1e-3)
    training = Optimisation(net, config, lambda step: iter([1e6 * net(torch.ones(2, 3)).square().mean()]))
    before = [parameter.detach().clone() for parameter in net.parameters()]
    loss = training.advance()
    norm = torch.stack([parameter.grad.norm() for parameter in net.parameters() if parameter.grad is not None]).norm()
    assert loss > 0
    assert training.step == 1
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)
    assert all((now != then).any() for now, then in zip(net.parameters(), before, strict=True))
