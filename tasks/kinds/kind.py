"""What a stage asks of a problem kind. A kind is a module or an object with these; stages know nothing else of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel

from models.suggest import Suggest

if TYPE_CHECKING:
    from tasks.reporting.section import Section


class SplitOptions(Protocol):
    """``tasks.prepare.SplitConfig`` is one; named here so that a kind need not import a stage."""

    @property
    def test_windows(self) -> int: ...
    @property
    def validation_windows(self) -> int: ...
    @property
    def stride(self) -> int | None: ...
    @property
    def test_share(self) -> float: ...
    @property
    def validation_share(self) -> float: ...
    @property
    def group(self) -> str | None: ...
    @property
    def column(self) -> str | None: ...
    @property
    def stratify(self) -> bool: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class LearnerOptions:
    """What of the search's Config a training depends on; ``max_steps`` none: the kind's choice for the data."""

    max_steps: int | None
    metric: str


@dataclass(frozen=True)
class Card:
    """The parts of a model card that a kind writes, in Markdown. ``how_to_use`` is Python code."""

    what: str
    goes_in: str
    how_to_use: str
    limits: str


class Learner(Protocol):
    """Trains and validates points of the kind's search space on one data set."""

    def suggest(self, trial: Suggest) -> BaseModel:
        """Draw a recipe: everything that a training is a function of, but the seed."""
        ...

    def portfolio(self) -> list[dict[str, Any]]:
        """Return parameters of recipes known to be good, as ``Study.enqueue_trial`` takes them."""
        ...

    def notes(self) -> list[str]:
        """Return sentences on the data that a search tells before it begins."""
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

    @property
    def DATA(self) -> Literal["series", "sequences"]:
        """The form of ``data`` that it learns from: many series in one long table, or sequences with a target each."""
        ...

    @property
    def INPUTS(self) -> Sequence[str]:
        """The input kinds that it takes, if it learns from sequences."""
        ...

    @property
    def SEARCH_METRICS(self) -> Sequence[str]:
        """What trials may be compared by on the validation part, the default first; less is better."""
        ...

    @property
    def BASELINES(self) -> Sequence[str]:
        """Names of the baselines that a model is measured against."""
        ...

    def prepare(self, source: Path, problem: Any, options: SplitOptions, out: Path) -> dict[str, Any]:
        """Write the data set of canonical table ``source`` into ``out`` and return facts: ``items`` and ``steps``."""
        ...

    def learner(self, dataset: Path, options: LearnerOptions) -> Learner:
        """Open ``dataset`` for the search."""
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

    def sections(self, evaluated: Path, model: Path) -> list[Section]:
        """Return what the report shows beside leaderboard and search, from what ``evaluate`` and ``fit`` wrote."""
        ...

    def card(self, described: dict[str, Any], evaluation: dict[str, Any]) -> Card:
        """Return the kind's parts of a model card, from ``model.json`` and ``evaluation.json``."""
        ...

    def signature(self, described: dict[str, Any]) -> tuple[Any, Any]:
        """Return an input example (pandas) and MLflow's signature for the bundle that ``model.json`` describes."""
        ...

    def requirements(self, described: dict[str, Any]) -> Sequence[str]:
        """Return the packages that loading and running the registered model needs beside MLflow, torch and numpy."""
        ...

    def predict(self, bundle: Any, table: Path, out: Path) -> dict[str, Any]:
        """Write predictions for canonical table ``table`` into ``out``, part by part; return ``rows`` and ``items``."""
        ...
