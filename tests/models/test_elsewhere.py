"""All that a training and a prediction compute with lies on the model's device, as a GPU would insist on.

Parametrised over the registries: a new core, head, input or objective is tested by standing in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import elsewhere
import numpy as np
import pytest
import torch
from forecasters import HEAD_CASES, fixed, make_forecaster
from panels import RICH, make_facts, make_panel
from sequence_cases import CASES, make_arrays, make_model
from sequence_cases import make_facts as make_sequence_facts

from models import sequence_training
from models.batching import TokenBatches
from models.cores.registry import CORES, READERS
from models.forecast_bundle import Bundle
from models.forecaster import Forecaster
from models.optimisation import Optimisation
from models.sampling import WindowSampler
from models.sequence_bundle import SequenceBundle
from models.sequence_training import SequenceTrainingConfig
from models.training import training_of
from models.training_config import TrainingConfig

DRAWS = 2


@pytest.fixture
def device() -> Iterator[torch.device]:
    with elsewhere.device() as place:
        yield place


def take_steps(training: Optimisation) -> None:
    """Take two steps, of which the second goes on from what the first one left."""
    training.advance()
    training.load_state_dict(training.state_dict())
    assert np.isfinite(training.advance())


def learn_and_forecast(model: Forecaster, device: torch.device, config: TrainingConfig) -> None:
    panel, facts = make_panel(model.facts, [40, 30, 9]), model.facts
    sampler = WindowSampler.before(np.array([40, 30, 9]), facts.horizon, facts.season_length, config.batch_size, 0)
    training = training_of(model.to(device), panel, sampler, config, device)
    take_steps(training)
    bundle = Bundle(facts, [training.average])  # type: ignore[list-item]
    items, ends = np.array([0, 1, 2]), np.array([30, 20, 2])
    assert np.isfinite(bundle.predict(panel, items, ends)).all()
    assert bundle.reach(panel, items, ends).steps >= 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CORES)
def test_a_forecaster_learns_and_predicts_on_its_device(name: str, seed: int, device: torch.device) -> None:
    facts, core = make_facts(RICH), fixed(CORES[name], seed, hidden_size=32, num_layers=2)
    skip, scaling = ["none", "last_value", "season"][seed], ["standard", "season_change", "mean_abs"][seed]
    changes: dict[str, Any] = {"core": core, "theta": True, "highway": True, "skip": skip, "scaling": scaling}
    weighting: Any = ["none", "error_scale"][seed % 2]
    model = make_forecaster(facts, HEAD_CASES[seed % len(HEAD_CASES)], seed, **changes)
    learn_and_forecast(model, device, TrainingConfig(steps=3, batch_size=6, weighting=weighting))


@pytest.mark.parametrize("distribution", ["student_t", "negative_binomial"])
def test_a_distribution_lies_on_its_forecasters_device(distribution: str, device: torch.device) -> None:
    facts = make_facts(RICH, counts=distribution == "negative_binomial")
    model = make_forecaster(facts, "direct", distribution=distribution)
    learn_and_forecast(model, device, TrainingConfig(steps=3, batch_size=6))


@pytest.mark.parametrize("chunk_length", [1000, 4])
@pytest.mark.parametrize("core", READERS)
@pytest.mark.parametrize(("kind", "given"), CASES)
def test_a_model_of_sequences_learns_and_predicts_on_its_device(
    kind: str, given: str, core: str, chunk_length: int, device: torch.device
) -> None:
    input_facts, arrays = make_arrays(kind, given, count=8)
    facts = make_sequence_facts(kind, input_facts, arrays, chunk_length)
    config = SequenceTrainingConfig(steps=3, batch_size=4)
    for seed in range(DRAWS):
        model = make_model(facts, seed, core=core).to(device)
        batches = TokenBatches.sized(arrays.lengths(model.config.input.view), config.batch_size, seed=0)
        training = sequence_training.training_of(model, arrays, batches, config, device)
        take_steps(training)
        bundle = SequenceBundle(facts, [training.average])  # type: ignore[list-item]
        assert len(bundle.predict(arrays)) == len(arrays)
        assert bundle.reach(arrays)


def test_the_device_refuses_what_a_gpu_refuses(device: torch.device) -> None:
    away, here = torch.ones(2, 3, device=device), torch.ones(2, 3)
    assert torch.equal((2 * away).cpu(), 2 * here)
    for mixed in (lambda: away + here, lambda: away @ here.T, lambda: here[away[:, 0].long()], lambda: away.numpy()):
        with pytest.raises(RuntimeError, match=r"two devices|not supported"):
            mixed()
