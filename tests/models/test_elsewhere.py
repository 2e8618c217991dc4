"""All that a training and a prediction compute with lies on the model's device, as a GPU would insist on.

Parametrised over the registries: a new core, head, input or objective is tested by standing in them.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import elsewhere
import elsewhere_cases
import pytest
from sequence_cases import CASES

from models.cores.registry import CORES, READERS


@pytest.fixture(scope="module")
def there() -> Iterator[Callable[..., Any]]:
    """Call a function in a process that knows the device from its start on, as autograd needs it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), elsewhere.register) as process:
        yield lambda function, *arguments: process.submit(function, *arguments).result()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CORES)
def test_a_forecaster_learns_and_predicts_on_its_device(name: str, seed: int, there: Callable[..., Any]) -> None:
    there(elsewhere_cases.forecast_with_core, name, seed)


@pytest.mark.parametrize("distribution", ["student_t", "negative_binomial"])
def test_a_distribution_lies_on_its_forecasters_device(distribution: str, there: Callable[..., Any]) -> None:
    there(elsewhere_cases.forecast_distribution, distribution)


@pytest.mark.parametrize("chunk_length", [1000, 4])
@pytest.mark.parametrize("core", READERS)
@pytest.mark.parametrize(("kind", "given"), CASES)
def test_a_model_of_sequences_learns_and_predicts_on_its_device(
    kind: str, given: str, core: str, chunk_length: int, there: Callable[..., Any]
) -> None:
    there(elsewhere_cases.predict_sequences, kind, given, core, chunk_length)


def test_the_device_refuses_what_a_gpu_refuses(there: Callable[..., Any]) -> None:
    refusals = there(elsewhere_cases.mix_devices)
    assert ["two devices" in refusal or "not supported" in refusal for refusal in refusals] == [True] * 4, refusals
