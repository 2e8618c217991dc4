"""What every input kind must hold: facts, space and module. A new one is tested by standing in the registry."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from pydantic import TypeAdapter
from raw_inputs import drawn_config, raw_facts, raw_items

from models.inputs.registry import INPUTS, InputConfig, InputFacts
from models.ragged import Ragged

DRAWS = 8

each_kind = pytest.mark.parametrize("kind", list(INPUTS))
each_point = pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for kind in INPUTS for seed in range(DRAWS)])


def drawn(kind: str, seed: int) -> tuple[Any, Any, torch.Tensor, torch.Tensor]:
    """Return a config, its module in evaluation, and a padded batch of all items."""
    torch.manual_seed(seed)
    facts = raw_facts(kind)
    config = drawn_config(facts, seed)
    ragged = Ragged.of([facts.encode(config.view, raw) for raw in raw_items(kind)])
    return config, config.build(facts).eval(), *ragged.gather(np.arange(len(ragged)))


@each_kind
def test_every_view_of_every_item_has_the_layout_and_a_step_at_least(kind: str) -> None:
    facts = raw_facts(kind)
    assert facts.kind == kind
    for view in facts.views:
        dtype, shape = facts.layout(view)
        for raw in raw_items(kind):
            for variant in range(facts.variants):
                array = facts.encode_variant(view, raw, variant)
                assert array.dtype == dtype
                assert array.shape[1:] == shape
                assert len(array) >= 1
                if dtype.kind == "i":
                    assert array[:, 0].min() > 0, "0 is padding"


@each_kind
def test_the_first_variant_is_the_item_itself(kind: str) -> None:
    facts = raw_facts(kind)
    for raw in raw_items(kind):
        same = facts.encode(facts.views[0], raw)
        np.testing.assert_array_equal(facts.encode_variant(facts.views[0], raw, 0), same)


@each_kind
def test_facts_survive_json_and_encode_the_same(kind: str) -> None:
    facts = raw_facts(kind)
    before = [facts.encode(view, raw) for view in facts.views for raw in raw_items(kind)]
    restored = TypeAdapter(InputFacts).validate_json(json.dumps(facts.model_dump(mode="json")))
    assert restored.model_dump() == facts.model_dump()
    after = [restored.encode(view, raw) for view in restored.views for raw in raw_items(kind)]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


@each_point
def test_a_drawn_config_survives_json(kind: str, seed: int) -> None:
    config = drawn_config(raw_facts(kind), seed)
    assert TypeAdapter(InputConfig).validate_json(config.model_dump_json()) == config


@each_kind
@pytest.mark.parametrize("aligning", [False, True])
def test_every_point_of_the_portfolio_is_one_that_the_space_draws(
    kind: str, aligning: bool, recwarn: pytest.WarningsRecorder
) -> None:
    facts = raw_facts(kind)
    points = INPUTS[kind].portfolio(facts, aligning)
    for point in points:
        trial = optuna.trial.FixedTrial(point)
        INPUTS[kind].suggest(trial, facts, facts.views)
        assert set(trial.params) == set(point)
    assert not recwarn.list, "a value outside of its range"
    assert len({json.dumps(point, sort_keys=True) for point in points}) == len(points)


@each_point
def test_a_module_gives_what_it_says_and_zeros_past_an_item(kind: str, seed: int) -> None:
    _, module, values_BTX, lengths_B = drawn(kind, seed)
    for training in (False, True):
        x_BTC, read_B = module.train(training)(values_BTX, lengths_B)
        assert x_BTC.shape == (len(values_BTX), int(read_B.max()), module.output_size)
        assert x_BTC.dtype == torch.float32
        assert x_BTC.isfinite().all()
        assert read_B.dtype == torch.int64
        assert int(read_B.min()) >= 1
        for row, steps in zip(x_BTC, read_B, strict=True):
            assert not row[steps:].any()


@each_point
def test_padding_never_changes_what_is_read(kind: str, seed: int) -> None:
    _, module, values_BTX, lengths_B = drawn(kind, seed)
    x_BTC, read_B = module(values_BTX, lengths_B)
    for i, steps in enumerate(lengths_B):
        alone_BTC, alone_B = module(values_BTX[i : i + 1, :steps], lengths_B[i : i + 1])
        assert int(alone_B) == int(read_B[i])
        torch.testing.assert_close(x_BTC[i, : read_B[i]], alone_BTC[0], rtol=0, atol=1e-6)


@each_point
def test_gradients_reach_every_parameter(kind: str, seed: int) -> None:
    _, module, values_BTX, lengths_B = drawn(kind, seed)
    x_BTC, _ = module(values_BTX, lengths_B)
    if not list(module.parameters()):
        return
    x_BTC.square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@each_point
def test_only_training_disturbs_and_the_values_given_stay_as_they_are(kind: str, seed: int) -> None:
    _, module, values_BTX, lengths_B = drawn(kind, seed)
    before = values_BTX.clone()
    first, _ = module(values_BTX, lengths_B)
    module.train()(values_BTX, lengths_B)
    again, _ = module.eval()(values_BTX, lengths_B)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    torch.testing.assert_close(values_BTX, before, rtol=0, atol=0, equal_nan=True)


@each_point
def test_weights_survive_the_state_dict(kind: str, seed: int) -> None:
    config, module, values_BTX, lengths_B = drawn(kind, seed)
    other = config.build(raw_facts(kind)).eval()
    other.load_state_dict(module.state_dict())
    torch.testing.assert_close(other(values_BTX, lengths_B)[0], module(values_BTX, lengths_B)[0], rtol=0, atol=0)
