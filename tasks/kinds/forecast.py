"""Problem kind ``forecast``: quantiles of the target over a horizon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import BaseModel, ConfigDict

from models import bundle
from models.forecaster import Forecaster, ForecasterConfig, ForecasterSpace
from models.forecaster_facts import Facts
from models.panel import Panel
from models.problem import Forecast
from models.sampling import WindowSampler
from models.suggest import Suggest
from models.training import train
from models.training_config import TrainingConfig
from tasks.kinds.forecast_dataset import ForecastDataset
from tasks.kinds.kind import SplitOptions
from tasks.scoring import metrics

PYFUNC = Path(__file__).with_name("forecast_pyfunc.py")


class Recipe(BaseModel):
    """Everything that a training is a function of, but the data and the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ForecasterConfig
    training: TrainingConfig


class LearnerOptions(Protocol):
    """``tasks.search.SearchConfig`` is one."""

    @property
    def heads(self) -> list[Any]: ...
    @property
    def max_steps(self) -> int: ...
    @property
    def metric(self) -> Any: ...


def prepare(source: Path, problem: Forecast, options: SplitOptions, out: Path) -> dict[str, Any]:
    """Write the data set of canonical table ``source`` into ``out``: see ``forecast_dataset`` for what lies in it."""
    from tasks.kinds import forecast_panel

    return forecast_panel.prepare(source, problem, options, out)


def _sampler(dataset: ForecastDataset, config: TrainingConfig, seed: int, with_validation: bool) -> WindowSampler:
    facts = dataset.facts
    stops = dataset.training_stops(with_validation)
    return WindowSampler.before(stops, facts.horizon, facts.season_length, config.batch_size, seed)


class ForecastLearner:
    """Trains recipes with a bare loop on what lies before the validation windows, and scores them on those."""

    def __init__(self, directory: Path, options: LearnerOptions) -> None:
        self.options = options
        self.dataset = ForecastDataset(directory)
        self.panel = Panel.open(directory / "train")
        self.space = ForecasterSpace(self.dataset.facts, list(options.heads))
        self.items, self.ends = self.dataset.validation_windows()
        horizon = self.dataset.facts.horizon
        self.truth = self.panel.truth(torch.from_numpy(self.items), torch.from_numpy(self.ends), horizon).numpy()
        self.model: Forecaster | None = None

    def suggest(self, trial: Suggest) -> Recipe:
        return Recipe(model=self.space.suggest(trial), training=TrainingConfig.suggest(trial, self.options.max_steps))

    def portfolio(self) -> list[dict[str, Any]]:
        return self.space.portfolio(self.options.max_steps)

    def train(self, recipe: Recipe, seed: int, checks: int) -> Iterator[tuple[int, float]]:
        torch.manual_seed(seed)
        facts, steps = self.dataset.facts, recipe.training.steps
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = Forecaster(recipe.model, facts).to(device)
        sampler = _sampler(self.dataset, recipe.training, seed, with_validation=False)
        due = {round(steps * (i + 1) / checks) for i in range(checks)}
        for step, _ in train(self.model, self.panel, sampler, recipe.training, device):
            if step in due:
                yield step, self.validate(bundle.Bundle(facts, [self.model]))

    def validate(self, model: bundle.Bundle) -> float:
        """Return the search's metric on the validation windows."""
        facts = self.dataset.facts
        quantiles = model.predict(self.panel, self.items, self.ends)
        scale = self.panel.error_scale.numpy()[self.items]
        scores = metrics.score(self.truth, quantiles, facts.quantiles, scale, self.items)
        return getattr(scores, self.options.metric)

    def save(self, path: Path) -> None:
        assert self.model is not None, "nothing was trained yet"
        bundle.save_weights(self.model, path)


def learner(dataset: Path, options: LearnerOptions) -> ForecastLearner:
    """Open ``dataset`` for the search."""
    return ForecastLearner(dataset, options)


def training(directory: Path, recipe: dict[str, Any], seed: int) -> Any:
    """Return the LightningModule that trains ``recipe`` on all that lies before the sealed part."""
    from models.lightning_forecaster import LightningForecaster

    parsed, dataset = Recipe.model_validate(recipe), ForecastDataset(directory)
    torch.manual_seed(seed)
    model = Forecaster(parsed.model, dataset.facts)
    sampler = _sampler(dataset, parsed.training, seed, with_validation=True)
    return LightningForecaster(model, Panel.open(directory / "train"), sampler, parsed.training)


def describe(directory: Path, recipes: list[dict[str, Any]], out: Path) -> None:
    """Write ``model.json`` for a bundle of trained ``recipes``."""
    configs = [Recipe.model_validate(recipe).model for recipe in recipes]
    bundle.write_description(out, ForecastDataset(directory).facts, configs)


def evaluate(
    dataset: Path,
    model: Path,
    rival: tuple[str, Any] | None,
    rival_note: str | None,
    baselines: list[str],
    workers: int,
    out: Path,
) -> dict[str, Any]:
    """Hold model, champion and baselines against each other on the sealed windows: see ``forecast_evaluation``."""
    from tasks.kinds import forecast_evaluation

    return forecast_evaluation.evaluate(dataset, model, rival, rival_note, baselines, workers, out)


def signature(described: dict[str, Any]) -> tuple[Any, Any]:
    """Return an input example and MLflow's signature for the bundle that ``model.json`` describes."""
    from tasks.kinds import forecast_signature

    return forecast_signature.signature(Facts.model_validate(described["facts"]))


def predict(predictor: bundle.Bundle, table: Path, out: Path) -> dict[str, Any]:
    """Write forecasts for canonical table ``table`` into ``out``, a part at a time."""
    from tasks.kinds import forecast_prediction

    return forecast_prediction.predict(predictor, table, out)
