"""Models of whole sequences, whatever goes in and comes out: padding, company and chunks never change a score."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from sequence_cases import CASES, draw_config, make_arrays, make_facts, make_model

from models.objectives.registry import OBJECTIVES
from models.sequence_model import SequenceFacts, SequenceModel, SequenceModelConfig, SequenceSpace
from models.sequence_training import SequenceTrainingConfig, losses
from models.sequences import Batch, SequenceArrays

each_case = pytest.mark.parametrize(("kind", "given"), CASES)
SEEDS = range(3)


def case(kind: str, given: str, chunk_length: int = 1000, **sizes: int) -> tuple[SequenceFacts, SequenceArrays]:
    facts, arrays = make_arrays(kind, given, **sizes)
    return make_facts(kind, facts, arrays, chunk_length), arrays


def read(model: SequenceModel, arrays: SequenceArrays, items: Any) -> Batch:
    return arrays.batch(np.asarray(items), model.config.input.view, None)


def outputs(model: SequenceModel, batch: Batch) -> list[np.ndarray]:
    return model.head.outputs(*model(batch.values, batch.lengths_B))


@each_case
@pytest.mark.parametrize("seed", SEEDS)
def test_padding_and_company_never_change_a_prediction(kind: str, given: str, seed: int) -> None:
    facts, arrays = case(kind, given, count=8)
    model = make_model(facts, seed).eval()
    together = outputs(model, read(model, arrays, range(8)))
    for item in range(8):
        alone = outputs(model, read(model, arrays, [item]))[0]
        np.testing.assert_allclose(alone, together[item], rtol=1e-4, atol=2e-5)


@each_case
@pytest.mark.parametrize("seed", SEEDS)
def test_what_stands_in_the_padding_changes_no_gradient(kind: str, given: str, seed: int) -> None:
    facts, arrays = case(kind, given, count=8)
    model = make_model(facts, seed).eval()
    batch = read(model, arrays, range(8))
    longer = Batch(
        torch.cat([batch.values, torch.zeros_like(batch.values[:, :6])], dim=1),
        batch.lengths_B,
        torch.nn.functional.pad(batch.target, (0, 6)) if batch.target.shape[1] > 1 else batch.target,
        batch.target_lengths_B,
    )
    gradients = []
    for one in (batch, longer):
        model.zero_grad()
        next(iter(losses(model, one))).backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=2e-6)


@each_case
@pytest.mark.parametrize("seed", range(6))
def test_gradients_reach_every_parameter(kind: str, given: str, seed: int) -> None:
    facts, arrays = case(kind, given)
    model = make_model(facts, seed).train()
    next(iter(losses(model, read(model, arrays, range(24))))).backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert [name for name in dead if "crf" not in name and "shapes" not in name] == []


@each_case
@pytest.mark.parametrize("seed", SEEDS)
def test_reading_in_chunks_predicts_what_reading_at_once_does(kind: str, given: str, seed: int) -> None:
    facts, arrays = case(kind, given, chunk_length=7, count=8, shortest=3, longest=40)
    model = make_model(facts, seed).eval()
    assert not model.config.core.bidirectional
    batch = read(model, arrays, range(8))
    assert model.chunked(batch.values)
    scores, lengths_B = model.predict(batch.values, batch.lengths_B)
    whole, whole_B = model(batch.values, batch.lengths_B)
    assert torch.equal(lengths_B, whole_B)
    for ours, theirs in zip(model.head.outputs(scores, lengths_B), model.head.outputs(whole, whole_B), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)


@each_case
def test_every_point_of_the_space_is_valid_and_builds(kind: str, given: str) -> None:
    facts, _ = case(kind, given)
    assert SequenceFacts.model_validate_json(facts.model_dump_json()) == facts
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(20):
        config = SequenceSpace(facts).suggest(study.ask())
        assert SequenceModelConfig.model_validate_json(config.model_dump_json()) == config
        SequenceModel(config, facts)


@each_case
@pytest.mark.parametrize("chunk_length", [1000, 5])
def test_the_portfolio_lies_in_the_space_and_starts_with_a_good_default(
    kind: str, given: str, chunk_length: int
) -> None:
    facts, _ = case(kind, given, chunk_length)
    space, study, drawn = SequenceSpace(facts), optuna.create_study(), []
    for point in space.portfolio():
        study.enqueue_trial(point)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trial = study.ask()
            drawn.append((space.suggest(trial), SequenceTrainingConfig.suggest(trial, 400, facts)))
        assert trial.params == point
    model, training = drawn[0]
    assert len(drawn) > 3
    assert (model.core.hidden_size, model.core.num_layers, model.core.bidirectional) == (128, 1, chunk_length == 1000)
    assert training.steps == 400
    assert 2e-3 <= training.learning_rate <= 4e-3


def test_both_directions_are_drawn_only_where_every_item_is_learned_from_as_a_whole() -> None:
    facts, _ = case("classify", "text")
    facts = facts.model_copy(update={"longest": {"word": 50, "bpe": 50, "character": 51}, "chunk_length": 50})
    configs = [draw_config(facts, seed) for seed in range(60)]
    both = {view: {c.core.bidirectional for c in configs if c.input.view == view} for view in facts.longest}
    assert both == {"word": {True, False}, "bpe": {True, False}, "character": {False}}


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_every_kind_is_tried_here(kind: str) -> None:
    assert kind in {tried for tried, _ in CASES}
