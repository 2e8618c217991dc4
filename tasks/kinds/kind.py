"""What a stage asks of a problem kind. A kind is a module that has these functions; stages know nothing else of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from models.suggest import Suggest


class SplitOptions(Protocol):
    """``tasks.prepare.SplitConfig`` is one; named here so that a kind need not import a stage."""

    @property
    def test_windows(self) -> int: ...
    @property
    def validation_windows(self) -> int: ...
    @property
    def stride(self) -> int | None: ...


class Learner(Protocol):
    """Trains and validates points of the kind's search space on one data set."""

    def suggest(self, trial: Suggest) -> BaseModel:
        """Draw a recipe: everything that a training is a function of, but the seed."""
        ...

    def portfolio(self) -> list[dict[str, Any]]:
        """Return parameters of recipes known to be good, as ``Study.enqueue_trial`` takes them."""
        ...

    def train(self, recipe: Any, seed: int, checks: int) -> Iterator[tuple[int, float]]:
        """Train on the training part; yield step and validation metric ``checks`` times."""
        ...

    def save(self, path: Path) -> None:
        """Write the weights of the training that was yielded from last: safetensors."""
        ...


class Kind(Protocol):
    """The functions of a kind's module."""

    PYFUNC: Path
    """The file that MLflow takes as the registered model's code."""

    def prepare(self, source: Path, problem: Any, options: SplitOptions, out: Path) -> dict[str, Any]:
        """Write the data set of canonical table ``source`` into ``out`` and return facts: ``items`` and ``steps``."""
        ...

    def learner(self, dataset: Path, options: Any) -> Learner:
        """Open ``dataset`` for the search; ``options`` is the search's Config."""
        ...

    def training(self, dataset: Path, recipe: dict[str, Any], seed: int) -> Any:
        """Return the LightningModule that trains ``recipe`` on all that lies before the sealed part."""
        ...

    def describe(self, dataset: Path, recipes: list[dict[str, Any]], out: Path) -> None:
        """Write what a bundle of trained ``recipes`` is beside its weights: ``model.json``."""
        ...

    def evaluate(
        self,
        dataset: Path,
        model: Path,
        rival: tuple[str, Any] | None,
        rival_note: str | None,
        baselines: list[str],
        workers: int,
        out: Path,
    ) -> dict[str, Any]:
        """Measure the bundle ``model`` on the sealed part beside ``rival`` (name, bundle) and baselines, into ``out``.

        Returns best_baseline, beats_baselines and beats_champion; ``rival_note`` says why a champion is not compared.
        """
        ...

    def signature(self, described: dict[str, Any]) -> tuple[Any, Any]:
        """Return an input example (pandas) and MLflow's signature for the bundle that ``model.json`` describes."""
        ...

    def predict(self, bundle: Any, table: Path, out: Path) -> dict[str, Any]:
        """Write predictions for canonical table ``table`` into ``out``, part by part; return ``rows`` and ``items``."""
        ...
