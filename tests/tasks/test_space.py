"""A search space that the user has narrowed, on the space of forecasters."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from models.cores.stacked_lstm import StackedLSTMConfig
from tasks import space
from tasks.errors import InputError

suggest = StackedLSTMConfig.suggest


def test_a_narrowed_parameter_takes_its_values_alone_and_the_rest_is_searched() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    narrow: dict[str, Any] = {"hidden_size": [48], "dropout": [0.1, 0.2]}
    drawn = [suggest(space.Narrowed(study.ask(), narrow)) for _ in range(40)]
    assert {config.hidden_size for config in drawn} == {48}
    assert {config.dropout for config in drawn if config.num_layers > 1} == {0.1, 0.2}
    assert {config.num_layers for config in drawn} == {1, 2, 3}


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="no such parameter") as refused:
        space.check({"hiden_size": [32]}, suggest)
    assert "did you mean hidden_size?" in str(refused.value)


def test_a_value_that_is_no_choice_is_refused() -> None:
    with pytest.raises(InputError, match=r"search\.space\.layer_norm"):
        space.check({"layer_norm": ["yes"]}, suggest)
    with pytest.raises(InputError, match="must be numbers"):
        space.check({"hidden_size": ["large"]}, suggest)


def test_a_point_of_the_portfolio_takes_the_first_allowed_value_where_its_own_is_not_allowed() -> None:
    point = {"hidden_size": 128, "dropout": 0.3}
    assert space.narrowed(point, {"hidden_size": [64, 96], "dropout": [0.3]}) == {"hidden_size": 64, "dropout": 0.3}
