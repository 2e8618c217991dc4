"""Nothing in the space of a core is dead: every parameter that is drawn, and every field, changes the model."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
import torch
from forecasters import make_forecaster, windows_of
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from panels import RICH, make_facts

from models.cores.registry import CORES

DRAWS = 12
NOT_FOR_FORECASTS = {"stacked_lstm": {"bidirectional", "memory"}}
"""Fields that only a reader of whole sequences draws; tested with it."""


def draw(name: str, seed: int, preset: dict[str, Any]) -> tuple[Any, Any]:
    """Return a config, and the trial that it was drawn in."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    study.enqueue_trial(preset)
    trial = study.ask()
    return CORES[name].suggest(trial), trial


def another(distribution: Any, value: Any) -> Any:
    """Return a value of ``distribution`` far from ``value``."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[distribution.choices.index(value) - 1]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low if value > (distribution.low + distribution.high) / 2 else distribution.high


def trained_output(config: Any) -> torch.Tensor:
    """Return a forecast in training mode, where dropout acts, too."""
    model = make_forecaster(make_facts(RICH), "decoder", core=config).train()
    torch.manual_seed(1)
    return model(windows_of(model.facts)[1]).unscaled()


@pytest.mark.parametrize("name", CORES)
def test_every_parameter_that_is_drawn_changes_the_model_and_together_they_reach_every_field(name: str) -> None:
    perturbed, reached = set(), set()
    for seed in range(DRAWS):
        config, trial = draw(name, seed, {"hidden_size": 32})
        before = trained_output(config)
        for parameter, distribution in trial.distributions.items():
            value = another(distribution, trial.params[parameter])
            changed, drawn = draw(name, seed, trial.params | {parameter: value})
            assert drawn.params[parameter] == value
            assert changed != config, parameter
            assert not torch.equal(trained_output(changed), before), (parameter, value)
            perturbed.add(parameter)
            reached |= {
                field for field in type(config).model_fields if getattr(config, field) != getattr(changed, field)
            }
    _, whole = draw(name, 0, {})
    assert perturbed >= set(whole.params)
    assert reached == set(CORES[name].model_fields) - {"core"} - NOT_FOR_FORECASTS.get(name, set())


@pytest.mark.parametrize("name", CORES)
def test_outside_training_nothing_is_dropped_at_random(name: str) -> None:
    for seed in range(4):
        config, _ = draw(name, seed, {"hidden_size": 32, "dropout": 0.3})
        model = make_forecaster(make_facts(RICH), "decoder", core=config).eval()
        windows = windows_of(model.facts)[1]
        assert torch.equal(model(windows).unscaled(), model(windows).unscaled())


@pytest.mark.parametrize(
    "fields",
    [
        {"core": "stacked_lstm", "dropout": 0.3, "dropout_mask": "sequence", "weight_drop": 0.3},
        {"core": "dilated_lstm", "dropout": 0.3},
        {"core": "xlstm", "dropout": 0.3},
    ],
)
def test_what_is_dropped_in_training_changes_nothing_afterwards(fields: dict[str, Any]) -> None:
    core, outputs = CORES[fields["core"]], []
    for config in (core(**fields), core()):
        model = make_forecaster(make_facts(RICH), "direct", core=config).eval()
        outputs.append(model(windows_of(model.facts)[1]).unscaled())
    assert torch.equal(*outputs)
