"""Kinds of whole sequences: how a recipe is drawn, trained and validated, whatever is to be predicted."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from models import bundle
from models.batching import TokenBatches, waste
from models.objectives.registry import OBJECTIVES, combine
from models.optimisation import Optimisation
from models.sequence_bundle import SequenceBundle
from models.sequence_model import SequenceFacts, SequenceModel, SequenceModelConfig, SequenceSpace
from models.sequence_training import SequenceTrainingConfig, training_of
from models.sequences import SequenceArrays
from models.suggest import Suggest
from tasks.kinds.kind import LearnerOptions, ladder, median_seconds
from tasks.kinds.sequence_dataset import SequenceDataset

if TYPE_CHECKING:
    from tasks.kinds.objective import Objective

EPOCHS, TYPICAL_BATCH = 30, 64
FEWEST_STEPS, MOST_STEPS = 600, 6000
FEWEST_ALIGNING_STEPS = 1500
"""Of a training that has to find alignments: for hundreds of steps it says nothing but blanks."""


class Recipe(BaseModel):
    """Everything that a training is a function of, but the data and the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: SequenceModelConfig
    training: SequenceTrainingConfig


def default_steps(items: int, aligning: bool = False) -> int:
    """Return the length of the longest training for a data set of so many items; see ``Objective`` for ``aligning``."""
    fewest = FEWEST_ALIGNING_STEPS if aligning else FEWEST_STEPS
    return int(np.clip(EPOCHS * items // TYPICAL_BATCH, fewest, MOST_STEPS))


class SequenceLearner:
    """Trains recipes on the training part, and scores them on the validation part."""

    def __init__(self, directory: Path, options: LearnerOptions, objective: Objective) -> None:
        self.options, self.objective = options, objective
        self.dataset = SequenceDataset(directory)
        self.facts: SequenceFacts = self.dataset.facts
        self.arrays = self.dataset.arrays("train")
        self.items, self.validation = self.dataset.train_items, self.dataset.validation_items
        self.space = SequenceSpace(self.facts)
        self.max_steps = options.max_steps or default_steps(len(self.items), OBJECTIVES[self.facts.kind].aligning)
        self.truth = self.dataset.frame("train", ["target"])["target"].gather(self.validation).to_list()
        self.held_back = self.arrays.select(self.validation)

    def suggest(self, trial: Suggest) -> Recipe:
        training = SequenceTrainingConfig.suggest(trial, self.max_steps, self.facts)
        return Recipe(model=self.space.suggest(trial), training=training)

    def recipe(self, told: dict[str, Any]) -> Recipe:
        return Recipe.model_validate(told)

    def portfolio(self) -> list[dict[str, Any]]:
        return self.space.portfolio()

    def notes(self) -> list[str]:
        """Say how much of a batch is padding, in the first of the views."""
        lengths_N = self.arrays.lengths(self.facts.input.views[0])
        batches = TokenBatches.sized(lengths_N, TYPICAL_BATCH, 0, self.items)
        epoch = [batches.batch(step) for step in range(batches.steps_per_epoch)]
        kept, random = waste(lengths_N, epoch), 1 - lengths_N[self.items].mean() / lengths_N[self.items].max()
        return [f"{kept:.1%} of the steps of a batch are padding (padded to the longest item: {random:.0%})"]

    def ladder(self) -> list[list[int]]:
        return ladder(self.max_steps // 8, self.max_steps)

    def begin(self, recipe: Recipe, seed: int) -> Optimisation:
        torch.manual_seed(seed)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = SequenceModel(recipe.model, self.facts).to(device)
        return training_of(model, self.arrays, _batches(self.arrays, self.items, recipe, seed), recipe.training, device)

    def older(self, recipe: Recipe, seed: int) -> Optimisation | None:
        return None

    def latency(self, model: nn.Module) -> float:
        alone, first = SequenceBundle(self.facts, [cast(SequenceModel, model)]), self.held_back.select(np.arange(1))
        return median_seconds(lambda: alone.predict(first))

    def outputs(self, model: nn.Module) -> list[np.ndarray]:
        return SequenceBundle(self.facts, [cast(SequenceModel, model)]).outputs(self.held_back)

    def value(self, members: Sequence[list[np.ndarray]]) -> float:
        predictions = combine(self.facts.target, list(members))
        return self.objective.validation_loss(self.options.metric, self.facts.target, self.truth, predictions)


def _batches(arrays: SequenceArrays, items: np.ndarray, recipe: Recipe, seed: int) -> TokenBatches:
    given = recipe.model.input
    lengths_N = arrays.most_steps(given.view) if given.draws_variants else arrays.lengths(given.view)
    return TokenBatches.sized(lengths_N, recipe.training.batch_size, seed, items)


def training(directory: Path, recipe: dict[str, Any], seed: int) -> Any:
    """Return the LightningModule that trains ``recipe`` on all that lies before the sealed part."""
    from models.lightning_sequence import LightningSequence

    parsed, dataset = Recipe.model_validate(recipe), SequenceDataset(directory)
    torch.manual_seed(seed)
    model, arrays = SequenceModel(parsed.model, dataset.facts), dataset.arrays("train")
    everything = np.concatenate([dataset.train_items, dataset.validation_items])
    return LightningSequence(model, arrays, _batches(arrays, np.sort(everything), parsed, seed), parsed.training)


def describe(directory: Path, recipes: list[dict[str, Any]], weights: list[int], out: Path) -> None:
    """Write ``model.json`` for a bundle of trained ``recipes``, and beside it who it was trained on."""
    facts = SequenceDataset(directory).facts
    configs = [Recipe.model_validate(recipe).model for recipe in recipes]
    bundle.write_description(out, facts.kind, facts, configs, weights)
    shutil.copyfile(directory / bundle.TRAINED, out / bundle.TRAINED)
