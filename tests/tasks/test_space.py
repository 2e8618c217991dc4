"""A search space that the user has narrowed, on the space of forecasters."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from panels import make_facts
from pydantic import BaseModel, model_validator

from models.cores.stacked_lstm import StackedLSTMConfig
from models.forecaster_space import ForecasterSpace
from models.suggest import Suggest
from models.training_config import TrainingConfig
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
    with pytest.raises(InputError, match="must be numbers"):
        space.check({"dropout": [float("nan"), float("inf")]}, suggest)


@pytest.mark.parametrize(
    ("narrow", "named"),
    [
        ({"hidden_size": [64, -5]}, "-5: hidden_size: Input should be greater"),
        ({"hidden_size": [7.5]}, "7.5: hidden_size: Input should be a valid integer"),
        ({"hidden_size": [32], "num_layers": [1, 0]}, "0: num_layers: Input should be greater"),
        ({"dropout": [0.1, 1.5], "hidden_size": [32]}, "1.5: dropout: Input should be less than 1"),
    ],
)
def test_a_number_that_no_model_can_have_is_refused_by_its_parameter(narrow: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError) as refused:
        space.check(narrow, suggest)
    name = named.split(": ")[1]
    assert refused.value.rule == f"search.space.{name}: values must be ones that a model can have"
    assert refused.value.received.startswith(named)


def test_a_batch_without_items_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"search\.space\.batch_size: values must be .*got 0: batch_size: Input should"
    ):
        space.check({"batch_size": [0]}, lambda trial: TrainingConfig.suggest(trial, 100))


def test_values_that_only_fail_together_are_refused_together() -> None:
    class Pair(BaseModel):
        wide: int
        narrow: int

        @model_validator(mode="after")
        def _fits(self) -> Pair:
            if self.narrow > self.wide:
                raise ValueError("narrow must not be above wide")
            return self

    def draw(trial: Suggest) -> Pair:
        return Pair(wide=trial.suggest_int("wide", 5, 9), narrow=trial.suggest_int("narrow", 1, 5))

    space.check({"wide": [8], "narrow": [2, 7]}, draw)
    with pytest.raises(InputError, match="in every combination") as refused:
        space.check({"wide": [5], "narrow": [2, 6]}, draw)
    assert refused.value.received == "wide 5, narrow 6: narrow must not be above wide"


def test_values_that_some_model_can_have_pass_whatever_their_form() -> None:
    space.check({"hidden_size": [64.0, 7], "num_layers": [1], "dropout": [0]}, suggest)


def test_a_point_of_the_portfolio_takes_the_first_allowed_value_where_its_own_is_not_allowed() -> None:
    point = {"hidden_size": 128, "dropout": 0.3}
    assert space.narrowed(point, {"hidden_size": [64, 96], "dropout": [0.3]}) == {"hidden_size": 64, "dropout": 0.3}


def test_what_has_not_proved_better_is_searched_only_where_it_is_named() -> None:
    space_of_all, study = ForecasterSpace(make_facts()), optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    drawn = [space_of_all.suggest(study.ask()) for _ in range(50)]
    assert {one.core.core for one in drawn} == {"stacked_lstm", "dilated_lstm"}
    assert {one.distribution for one in drawn} == {"quantiles"}
    asked = {"core": ["cell_lstm", "xlstm"], "distribution": ["student_t"]}
    space.check(asked, space_of_all.suggest)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    drawn = [space_of_all.suggest(space.Narrowed(study.ask(), asked)) for _ in range(50)]
    assert {one.core.core for one in drawn} == set(asked["core"])
    assert {one.distribution for one in drawn} == {"student_t"}


def test_a_parameter_of_models_that_are_not_searched_is_refused() -> None:
    space_of_all = ForecasterSpace(make_facts())
    space.check({"core": ["xlstm"], "blocks": ["mixed"]}, space_of_all.suggest)
    with pytest.raises(InputError, match=r"search\.space\.blocks: a model of the search must have it"):
        space.check({"core": ["stacked_lstm"], "blocks": ["mixed"]}, space_of_all.suggest)
