"""Kinds of whole sequences: how a recipe is drawn, trained and validated, whatever is to be predicted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from models import bundle
from models.batching import TokenBatches, waste
from models.objectives.registry import OBJECTIVES
from models.sequence_bundle import SequenceBundle
from models.sequence_model import SequenceFacts, SequenceModel, SequenceModelConfig, SequenceSpace
from models.sequence_training import SequenceTrainingConfig, train
from models.sequences import SequenceArrays
from models.suggest import Suggest
from tasks.kinds.kind import LearnerOptions
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
    """Trains recipes with a bare loop on the training part, and scores them on the validation part."""

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
        self.model: SequenceModel | None = None

    def suggest(self, trial: Suggest) -> Recipe:
        training = SequenceTrainingConfig.suggest(trial, self.max_steps, self.facts)
        return Recipe(model=self.space.suggest(trial), training=training)

    def portfolio(self) -> list[dict[str, Any]]:
        return self.space.portfolio(self.max_steps)

    def notes(self) -> list[str]:
        """Say how much of a batch is padding, in the first of the views."""
        lengths_N = self.arrays.lengths(self.facts.input.views[0])
        batches = TokenBatches.sized(lengths_N, TYPICAL_BATCH, 0, self.items)
        epoch = [batches.batch(step) for step in range(batches.steps_per_epoch)]
        kept, random = waste(lengths_N, epoch), 1 - lengths_N[self.items].mean() / lengths_N[self.items].max()
        return [f"{kept:.1%} of the steps of a batch are padding (padded to the longest item: {random:.0%})"]

    def train(self, recipe: Recipe, seed: int, checks: int) -> Iterator[tuple[int, float]]:
        torch.manual_seed(seed)
        steps = recipe.training.steps
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = SequenceModel(recipe.model, self.facts).to(device)
        batches = _batches(self.arrays, self.items, recipe, seed)
        due = {round(steps * (i + 1) / checks) for i in range(checks)}
        for step, _ in train(self.model, self.arrays, batches, recipe.training, device):
            if step in due:
                yield step, self.validate(SequenceBundle(self.facts, [self.model]))

    def validate(self, model: SequenceBundle) -> float:
        """Return the search's metric on the validation part; less is better."""
        predictions = model.predict(self.held_back)
        return self.objective.validation_loss(self.options.metric, self.facts.target, self.truth, predictions)

    def save(self, path: Path) -> None:
        assert self.model is not None, "nothing was trained yet"
        bundle.save_weights(self.model, path)


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


def describe(directory: Path, recipes: list[dict[str, Any]], out: Path) -> None:
    """Write ``model.json`` for a bundle of trained ``recipes``, and beside it who it was trained on."""
    facts = SequenceDataset(directory).facts
    bundle.write_description(out, facts.kind, facts, [Recipe.model_validate(recipe).model for recipe in recipes])
    shutil.copyfile(directory / bundle.TRAINED, out / bundle.TRAINED)
