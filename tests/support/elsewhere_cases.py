"""What is computed on the device of ``elsewhere``, in a process that has registered it."""

from __future__ import annotations

from typing import Any

import elsewhere
import numpy as np
import torch
from forecasters import HEAD_CASES, fixed, make_forecaster
from panels import RICH, make_facts, make_panel
from sequence_cases import make_arrays, make_model
from sequence_cases import make_facts as make_sequence_facts

from models import sequence_training
from models.batching import TokenBatches
from models.cores.registry import CORES
from models.forecast_bundle import Bundle
from models.forecaster import Forecaster
from models.optimisation import Optimisation
from models.sampling import WindowSampler
from models.sequence_bundle import SequenceBundle
from models.sequence_training import SequenceTrainingConfig
from models.training import training_of
from models.training_config import TrainingConfig

DRAWS = 2


def forecast_with_core(name: str, seed: int) -> None:
    """Train and predict with the core of that name; the seed chooses the head, skip, scaling and weighting."""
    facts, core = make_facts(RICH), fixed(CORES[name], seed, hidden_size=32, num_layers=2)
    skip, scaling = ["none", "last_value", "season"][seed], ["standard", "season_change", "mean_abs"][seed]
    changes: dict[str, Any] = {"core": core, "skip": skip, "scaling": scaling}
    changes |= {"theta": True, "damped": True, "highway": True, "correction": seed % 2 == 0}
    weighting: Any = ["none", "error_scale"][seed % 2]
    model = make_forecaster(facts, HEAD_CASES[seed % len(HEAD_CASES)], seed, **changes)
    _learn_and_forecast(model, TrainingConfig(steps=3, batch_size=6, weighting=weighting))


def forecast_distribution(distribution: str) -> None:
    """Train and predict with a distribution of that name."""
    facts = make_facts(RICH, counts=distribution == "negative_binomial")
    model = make_forecaster(facts, "direct", distribution=distribution)
    _learn_and_forecast(model, TrainingConfig(steps=3, batch_size=6))


def predict_sequences(kind: str, given: str, core: str, chunk_length: int) -> None:
    """Train and predict with drawn models of sequences."""
    input_facts, arrays = make_arrays(kind, given, count=8)
    facts = make_sequence_facts(kind, input_facts, arrays, chunk_length)
    config = SequenceTrainingConfig(steps=3, batch_size=4)
    with elsewhere.device() as device:
        for seed in range(DRAWS):
            model = make_model(facts, seed, core=core).to(device)
            batches = TokenBatches.sized(arrays.lengths(model.config.input.view), config.batch_size, seed=0)
            training = sequence_training.training_of(model, arrays, batches, config, device)
            _take_steps(training)
            bundle = SequenceBundle(facts, [training.average])  # type: ignore[list-item]
            assert len(bundle.predict(arrays)) == len(arrays)
            assert bundle.reach(arrays)


def mix_devices() -> list[str]:
    """Return what four operations on tensors of two devices are refused with; a plain one must be right."""
    with elsewhere.device() as device:
        away, here = torch.ones(2, 3, device=device), torch.ones(2, 3)
        assert torch.equal((2 * away).cpu(), 2 * here)
        mixed = [lambda: away + here, lambda: away @ here.T, lambda: here[away[:, 0].long()], lambda: away.numpy()]
        return [_refusal(operation) for operation in mixed]


def _refusal(operation: Any) -> str:
    try:
        operation()
    except (RuntimeError, TypeError) as refused:
        return str(refused)
    return ""


def _learn_and_forecast(model: Forecaster, config: TrainingConfig) -> None:
    panel, facts = make_panel(model.facts, [40, 30, 9]), model.facts
    sampler = WindowSampler.before(np.array([40, 30, 9]), facts.horizon, facts.season_length, config.batch_size, 0)
    with elsewhere.device() as device:
        training = training_of(model.to(device), panel, sampler, config, device)
        _take_steps(training)
        bundle = Bundle(facts, [training.average])  # type: ignore[list-item]
        items, ends = np.array([0, 1, 2]), np.array([30, 20, 2])
        assert np.isfinite(bundle.predict(panel, items, ends)).all()
        assert bundle.reach(panel, items, ends).steps >= 0


def _take_steps(training: Optimisation) -> None:
    """Take two steps, of which the second goes on from what the first one left."""
    training.advance()
    training.load_state_dict(training.state_dict())
    assert np.isfinite(training.advance())
