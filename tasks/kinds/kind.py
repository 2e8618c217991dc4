"""What a stage asks of a problem kind. A kind is a module or an object with these; stages know nothing else of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel

from models.suggest import Suggest

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from torch import nn

    from models.optimisation import Optimisation
    from tasks.monitoring.health import Watched
    from tasks.reporting.section import Section

CHECKS = (0.75, 1.0)
"""Where a rung is validated, as shares of its last step."""


class SplitOptions(Protocol):
    """``tasks.prepare.SplitConfig`` is one; named here so that a kind need not import a stage."""

    @property
    def test_windows(self) -> int: ...
    @property
    def validation_windows(self) -> int | None: ...
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


def ladder(first: int, last: int) -> list[list[int]]:
    """Return rungs that end at ``first`` steps, twice as many, and so on up to ``last``."""
    ends = [last]
    while ends[0] > first:
        ends.insert(0, max(1, ends[0] // 2))
    return [sorted({max(1, round(end * share)) for share in CHECKS}) for end in dict.fromkeys(ends)]


def median_seconds(act: Callable[[], Any], times: int = 5) -> float:
    """Return the median of the seconds that ``act`` takes; a first time does not count."""
    act()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


class Learner(Protocol):
    """Trains and validates points of the kind's search space on one data set."""

    def suggest(self, trial: Suggest) -> BaseModel:
        """Draw a recipe: everything that a training is a function of, but the seed."""
        ...

    def recipe(self, told: dict[str, Any]) -> Any:
        """Return the recipe that ``told`` is in JSON."""
        ...

    def portfolio(self) -> list[dict[str, Any]]:
        """Return parameters of recipes known to be good, as ``Study.enqueue_trial`` takes them."""
        ...

    def notes(self) -> list[str]:
        """Return sentences on the data that a search tells before it begins."""
        ...

    def ladder(self) -> list[list[int]]:
        """Return the rungs that trials climb: for each the optimiser steps after which it is validated."""
        ...

    def begin(self, recipe: Any, seed: int) -> Optimisation:
        """Return the training of ``recipe`` on the training part, at step 0."""
        ...

    def older(self, recipe: Any, seed: int) -> Optimisation | None:
        """Return the training of ``recipe`` without the newest data, as much as the validation part spans.

        None: the data have no order in time, or are too short.
        """
        ...

    def outputs(self, model: nn.Module) -> list[np.ndarray]:
        """Return what ``model`` gives for the validation part, an array an item."""
        ...

    def latency(self, model: nn.Module) -> float:
        """Return the seconds that ``model`` takes for one item on this process's processors: a median."""
        ...

    def value(self, members: Sequence[list[np.ndarray]]) -> float:
        """Return the search's metric of models that predict together, from the outputs of each; less is better.

        One that stands several times counts several times.
        """
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

    @property
    def ERROR(self) -> str:
        """What the errors of windows or items are, as a sentence names it."""
        ...

    def prepare(self, source: Path, problem: Any, options: SplitOptions, out: Path) -> dict[str, Any]:
        """Write the data set of canonical table ``source`` into ``out`` and return facts: ``items`` and ``steps``."""
        ...

    def learner(self, dataset: Path, options: LearnerOptions) -> Learner:
        """Open ``dataset`` for the search."""
        ...

    def unseen(self, dataset: Path, earlier: Path) -> bool:
        """Say whether what ``dataset`` holds back from its trials lies outside of ``earlier``'s training part for sure.

        Then weights that were trained on that part may be the beginning of a trial.
        """
        ...

    def training(self, dataset: Path, recipe: dict[str, Any], seed: int) -> Any:
        """Return the LightningModule that trains ``recipe`` on all that lies before the sealed part."""
        ...

    def describe(self, dataset: Path, recipes: list[dict[str, Any]], weights: list[int], out: Path) -> None:
        """Write what a bundle of trained ``recipes`` is beside its tensors: ``model.json``.

        ``weights`` say how often each counts.
        """
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

    def served(self, bundle: Any, most_steps: int | None) -> Any:
        """Return what MLflow would load of ``bundle``, from this code, for requests that come from elsewhere.

        Args:
            bundle: loaded weights.
            most_steps: what an item may have where memory grows with it; None: any number.
        """
        ...

    def requirements(self, described: dict[str, Any]) -> Sequence[str]:
        """Return the packages that loading and running the registered model needs beside MLflow, torch and numpy."""
        ...

    def predict(self, bundle: Any, table: Path, out: Path) -> dict[str, Any]:
        """Write predictions for canonical table ``table`` into ``out``, part by part; return ``rows`` and ``items``."""
        ...

    def profile(self, table: Path, dataset: Path, evaluated: Path, out: Path) -> None:
        """Write into ``out`` what a monitor has to know of the data that a model was made from and of its errors."""
        ...

    def watch(self, profiled: Path, table: Path) -> Watched:
        """Test what is new in canonical table ``table`` against the data that ``profile`` described."""
        ...

    def live(
        self, bundle: Any, profiled: Path, predicted: list[Path], table: Path
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the errors at registration, and those of past predictions whose truth is in ``table``.

        ``predicted`` are directories that ``predict`` wrote; the frames are those of ``tasks.monitoring.live``.
        """
        ...
