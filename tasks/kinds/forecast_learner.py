"""Problem kind ``forecast``: how a recipe is drawn, trained and validated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from models import bundle
from models.forecast_bundle import Bundle
from models.forecaster import Forecaster, ForecasterConfig, ForecasterSpace
from models.panel import Panel
from models.sampling import WindowSampler
from models.suggest import Suggest
from models.training import train
from models.training_config import TrainingConfig
from tasks.kinds.forecast_dataset import ForecastDataset
from tasks.kinds.kind import LearnerOptions
from tasks.scoring import metrics

MAX_STEPS = 800
"""Length of the longest training, if the search's Config gives none."""


class Recipe(BaseModel):
    """Everything that a training is a function of, but the data and the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ForecasterConfig
    training: TrainingConfig


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
        self.max_steps = options.max_steps or MAX_STEPS
        self.space = ForecasterSpace(self.dataset.facts)
        self.items, self.ends = self.dataset.validation_windows()
        horizon = self.dataset.facts.horizon
        self.truth = self.panel.truth(torch.from_numpy(self.items), torch.from_numpy(self.ends), horizon).numpy()
        self.model: Forecaster | None = None

    def suggest(self, trial: Suggest) -> Recipe:
        return Recipe(model=self.space.suggest(trial), training=TrainingConfig.suggest(trial, self.max_steps))

    def portfolio(self) -> list[dict[str, Any]]:
        return self.space.portfolio(self.max_steps)

    def notes(self) -> list[str]:
        return []

    def train(self, recipe: Recipe, seed: int, checks: int) -> Iterator[tuple[int, float]]:
        torch.manual_seed(seed)
        facts, steps = self.dataset.facts, recipe.training.steps
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = Forecaster(recipe.model, facts).to(device)
        sampler = _sampler(self.dataset, recipe.training, seed, with_validation=False)
        due = {round(steps * (i + 1) / checks) for i in range(checks)}
        for step, _ in train(self.model, self.panel, sampler, recipe.training, device):
            if step in due:
                yield step, self.validate(Bundle(facts, [self.model]))

    def validate(self, model: Bundle) -> float:
        """Return the search's metric on the validation windows."""
        facts = self.dataset.facts
        quantiles = model.predict(self.panel, self.items, self.ends)
        scale = self.panel.error_scale.numpy()[self.items]
        scores = metrics.score(self.truth, quantiles, facts.quantiles, scale, self.items)
        return getattr(scores, self.options.metric)

    def save(self, path: Path) -> None:
        assert self.model is not None, "nothing was trained yet"
        bundle.save_weights(self.model, path)


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
    bundle.write_description(out, "forecast", ForecastDataset(directory).facts, configs)
