"""Problem kind ``forecast``: how a recipe is drawn, trained and validated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from models import bundle
from models.forecast_bundle import Bundle
from models.forecaster import Forecaster, ForecasterConfig
from models.forecaster_space import ForecasterSpace
from models.optimisation import Optimisation
from models.panel import Panel
from models.sampling import WindowSampler
from models.suggest import Suggest
from models.training import training_of
from models.training_config import TrainingConfig
from tasks.kinds.forecast_dataset import ForecastDataset
from tasks.kinds.kind import LearnerOptions, ladder, median_seconds
from tasks.scoring import metrics

FIRST_RUNG, MOST_STEPS = 100, 12_800
"""Shortest and longest training, if the search's Config gives no length."""

MOST_WINDOWS = 2000
"""Validation windows that trials are compared on; of more, as many are taken at equal distances."""


class Recipe(BaseModel):
    """Everything that a training is a function of, but the data and the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ForecasterConfig
    training: TrainingConfig


def _sampler(dataset: ForecastDataset, config: TrainingConfig, seed: int, stops: np.ndarray) -> WindowSampler:
    facts = dataset.facts
    return WindowSampler.before(stops, facts.horizon, facts.season_length, config.batch_size, seed)


class ForecastLearner:
    """Trains recipes on what lies before the validation windows, and scores them on those."""

    def __init__(self, directory: Path, options: LearnerOptions) -> None:
        self.options = options
        self.dataset = ForecastDataset(directory)
        self.panel = Panel.open(directory / "train")
        self.space = ForecasterSpace(self.dataset.facts)
        items, ends = self.dataset.validation_windows()
        few = np.linspace(0, len(items) - 1, min(len(items), MOST_WINDOWS)).astype(np.int64)
        self.items, self.ends = items[few], ends[few]
        horizon = self.dataset.facts.horizon
        self.truth = self.panel.truth(torch.from_numpy(self.items), torch.from_numpy(self.ends), horizon).numpy()

    def suggest(self, trial: Suggest) -> Recipe:
        return Recipe(model=self.space.suggest(trial), training=TrainingConfig.suggest(trial, self.ladder()[-1][-1]))

    def recipe(self, told: dict[str, Any]) -> Recipe:
        return Recipe.model_validate(told)

    def portfolio(self) -> list[dict[str, Any]]:
        return self.space.portfolio()

    def notes(self) -> list[str]:
        return []

    def ladder(self) -> list[list[int]]:
        most = self.options.max_steps
        return ladder(FIRST_RUNG if most is None else most // 8, most or MOST_STEPS)

    def begin(self, recipe: Recipe, seed: int) -> Optimisation:
        stops = self.dataset.training_stops(with_validation=False)
        return self._training(recipe, seed, _sampler(self.dataset, recipe.training, seed, stops))

    def older(self, recipe: Recipe, seed: int) -> Optimisation | None:
        stops = self.dataset.training_stops(with_validation=False) - self.dataset.split.validation_span
        sampler = _sampler(self.dataset, recipe.training, seed, stops)
        return self._training(recipe, seed, sampler) if sampler.eligible.size else None

    def _training(self, recipe: Recipe, seed: int, sampler: WindowSampler) -> Optimisation:
        torch.manual_seed(seed)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = Forecaster(recipe.model, self.dataset.facts).to(device)
        return training_of(model, self.panel, sampler, recipe.training, device)

    def outputs(self, model: nn.Module) -> list[np.ndarray]:
        alone = Bundle(self.dataset.facts, [cast(Forecaster, model)])
        return list(alone.predict(self.panel, self.items, self.ends).astype(np.float32))

    def latency(self, model: nn.Module) -> float:
        alone = Bundle(self.dataset.facts, [cast(Forecaster, model)])
        return median_seconds(lambda: alone.predict(self.panel, self.items[:1], self.ends[:1]))

    def value(self, members: Sequence[list[np.ndarray]]) -> float:
        facts = self.dataset.facts
        quantiles = np.mean([np.stack(outputs) for outputs in members], axis=0)
        scale = self.panel.error_scale.numpy()[self.items]
        scores = metrics.score(self.truth, quantiles, facts.quantiles, scale, self.items)
        return getattr(scores, self.options.metric)


def training(directory: Path, recipe: dict[str, Any], seed: int) -> Any:
    """Return the LightningModule that trains ``recipe`` on all that lies before the sealed part."""
    from models.lightning_forecaster import LightningForecaster

    parsed, dataset = Recipe.model_validate(recipe), ForecastDataset(directory)
    torch.manual_seed(seed)
    model = Forecaster(parsed.model, dataset.facts)
    sampler = _sampler(dataset, parsed.training, seed, dataset.training_stops(with_validation=True))
    return LightningForecaster(model, Panel.open(directory / "train"), sampler, parsed.training)


def describe(directory: Path, recipes: list[dict[str, Any]], weights: list[int], out: Path) -> None:
    """Write ``model.json`` for a bundle of trained ``recipes``."""
    configs = [Recipe.model_validate(recipe).model for recipe in recipes]
    bundle.write_description(out, "forecast", ForecastDataset(directory).facts, configs, weights)
