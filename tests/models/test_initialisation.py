"""A cell that was told to remember starts out remembering."""

from __future__ import annotations

import optuna
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from models.cores.initialisation import set_chrono_biases
from models.cores.stacked_lstm import StackedLSTMConfig

H = 64


def chrono_layer(longest: int, **options: int | bool) -> nn.LSTM:
    torch.manual_seed(0)
    layer = nn.LSTM(3, H, batch_first=True, **options)
    set_chrono_biases(layer, longest)
    return layer


def test_forget_gates_start_with_memories_from_one_step_to_the_longest() -> None:
    _, f, _, _ = chrono_layer(1000).bias_ih_l0.detach().chunk(4)
    memory = 1 / (1 - torch.sigmoid(f))
    assert 2 <= memory.min() < 150
    assert 850 < memory.max() <= 1000
    assert 400 < memory.mean() < 600


def test_input_gates_start_as_the_forget_gates_negative() -> None:
    layer = chrono_layer(1000)
    i, f, _, _ = layer.bias_ih_l0.detach().chunk(4)
    assert torch.equal(i, -f)
    assert not layer.bias_hh_l0[: 2 * H].any()


def test_other_parameters_are_left_alone() -> None:
    torch.manual_seed(0)
    before = dict(nn.LSTM(3, H, batch_first=True).named_parameters())
    for name, parameter in chrono_layer(1000).named_parameters():
        first = 2 * H if name.startswith("bias") else 0
        assert torch.equal(parameter[first:], before[name][first:])


def test_every_layer_and_direction_is_set_and_each_has_its_own_memories() -> None:
    layer = chrono_layer(50, num_layers=2, bidirectional=True, proj_size=8)
    biases = [parameter for name, parameter in layer.named_parameters() if name.startswith("bias_ih")]
    assert len(biases) == 4
    for bias in biases:
        assert (bias[H : 2 * H] >= 0).all()
    assert len({tuple(bias.tolist()) for bias in biases}) == 4


def test_error_from_the_last_step_reaches_the_first_only_if_the_cell_remembers() -> None:
    def reached(layer: nn.LSTM) -> float:
        x_BTC = torch.zeros(1, 300, 3, requires_grad=True)
        layer(x_BTC)[0][:, -1].sum().backward()
        assert x_BTC.grad is not None
        return x_BTC.grad[:, 0].abs().sum().item()

    torch.manual_seed(0)
    forgetful = reached(nn.LSTM(3, H, batch_first=True))
    assert reached(chrono_layer(300)) > 1e6 * forgetful


def test_a_memory_below_two_steps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"longest must be at least 2 steps \(got 1\): pass how far back"):
        set_chrono_biases(nn.LSTM(3, H), 1)


def test_a_core_starts_with_the_memory_of_its_config() -> None:
    torch.manual_seed(0)
    core = StackedLSTMConfig(hidden_size=H, num_layers=2, bidirectional=True, memory=1000).build(3)
    for layer in core.layers:
        assert isinstance(layer, nn.LSTM)
        _, f, _, _ = layer.bias_ih_l0_reverse.detach().chunk(4)
        assert f.exp().max() > 850
    with pytest.raises(ValidationError, match=r"memory must be 0 or at least 2 steps \(got 1\)"):
        StackedLSTMConfig(memory=1)


@pytest.mark.parametrize(("longest", "offered"), [(63, False), (64, True)])
def test_a_long_memory_is_searched_where_sequences_are_long(longest: int, offered: bool) -> None:
    trial = optuna.trial.FixedTrial(
        {"num_layers": 1, "hidden_size": 48, "layer_norm": False, "bidirectional": True, "long_memory": True}
    )
    assert StackedLSTMConfig.suggest_reader(trial, True, longest).memory == (longest if offered else 0)
    assert ("long_memory" in trial.params) == offered
