"""How a model of whole sequences is trained: one point, the loss of a batch, and the bare loop that trials run.

Sequences longer than a chunk are learned by truncated back-propagation through time: the state is carried from chunk to
chunk, its gradient is not (Williams & Peng 1990), so that memory does not grow with length.

Shapes: B items, T steps, R core output.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.utils.checkpoint import checkpoint

from models import ranks
from models.batching import TokenBatches
from models.cores.core import State
from models.objectives.registry import OBJECTIVES
from models.objectives.tag import TagHead
from models.optimisation import Optimisation
from models.sequence_model import SequenceFacts, SequenceModel
from models.sequences import Batch, SequenceArrays
from models.suggest import Suggest

REPLICATION = 0.5
"""Weight of the label at all chunk ends but the last, together (Lipton et al. 2016: target replication)."""


class SequenceTrainingConfig(BaseModel):
    """How a model is trained, and for how many steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    batch_size: int = Field(32, ge=1, description="items of average length; see models.batching")
    grad_clip: float = Field(1.0, gt=0)

    @classmethod
    def suggest(cls, trial: Suggest, max_steps: int, facts: SequenceFacts) -> SequenceTrainingConfig:
        return cls(
            steps=max_steps,
            learning_rate=trial.suggest_float("learning_rate", 1e-3, 1e-2, log=True),
            weight_decay=trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True),
            batch_size=trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
        )


def losses(model: SequenceModel, batch: Batch) -> Iterator[torch.Tensor]:
    """Yield what is to be back-propagated for ``batch``, one after the other: the gradient is the sum of theirs.

    That is one loss; or, where sequences are read in chunks, one a chunk, unless the head needs all scores at once.
    Take the gradient of each before the next is asked for: then there is never more than a chunk in memory (two under
    Lightning, see ``folded``).
    """
    if not model.chunked(batch.values):
        scores, lengths_B = model(batch.values, batch.lengths_B)
        yield model.head.loss(scores, lengths_B, batch.target, batch.target_lengths_B)
    elif OBJECTIVES[model.facts.kind].pooled:
        yield from _replicated(model, batch)
    elif isinstance(model.head, TagHead) and model.head.crf is None:
        yield from _stepwise(model, batch)
    else:
        yield _recomputed(model, batch)


def loss_weight(model: SequenceModel, batch: Batch) -> float:
    """Return what the ``losses`` of ``batch`` are means over: items, labelled steps or symbols, as its head says."""
    return float(model.head.weight(batch.lengths_B, batch.target, batch.target_lengths_B))


def _replicated(model: SequenceModel, batch: Batch) -> Iterator[torch.Tensor]:
    """Yield a loss for each chunk: the target, predicted at its end from everything so far.

    An item's shares over its chunks sum to 1, so that the sum of the losses weighs items as one over the whole does.
    """
    chunks_B = -(-batch.lengths_B // model.chunk_length)
    state, carried = None, None
    for number, start in enumerate(model.chunk_starts(batch.values), start=1):
        h_BTR, lengths_B, state = model.read_chunk(batch.values, batch.lengths_B, start, state)
        scores, carried = model.pool_chunk(h_BTR, lengths_B, carried)
        known = batch.target, batch.target_lengths_B
        loss = model.head.loss(scores, lengths_B, *known, _shares(number, chunks_B))  # type: ignore[call-arg]
        yield loss
        state, carried = _detached(state), tuple(tensor.detach() for tensor in carried)


def _shares(number: int, chunks_B: torch.Tensor) -> torch.Tensor:
    """Return how much the prediction after chunk ``number`` counts for items of ``chunks_B`` chunks: float ``[B]``."""
    early_B = REPLICATION / (chunks_B - 1).clamp(min=1)
    last_B = torch.where(chunks_B == 1, 1.0, 1 - REPLICATION)
    return torch.where(chunks_B == number, last_B, early_B) * (chunks_B >= number)


def _stepwise(model: SequenceModel, batch: Batch) -> Iterator[torch.Tensor]:
    """Yield a loss for each chunk where every step has a loss of its own; their sum is that of the whole."""
    total = model.head.weight(batch.lengths_B, batch.target, batch.target_lengths_B).clamp(min=1)
    state = None
    for start in model.chunk_starts(batch.values):
        own = slice(start, start + model.chunk_length)
        h_BTR, lengths_B, state = model.read_chunk(batch.values, batch.lengths_B, start, state)
        known = lengths_B, batch.target[:, own], lengths_B
        yield model.head.loss(model.head(h_BTR, lengths_B), *known) * model.head.weight(*known) / total
        state = _detached(state)


def _recomputed(model: SequenceModel, batch: Batch) -> torch.Tensor:
    """Return the loss of heads that score every step and need all scores at once (CRF, CTC).

    A chunk keeps its scores alone; the rest is computed again when its gradient is wanted (Chen et al. 2016).
    """
    scores, state = [], None
    steps_B = torch.zeros_like(batch.lengths_B)

    def score(values_BTX: torch.Tensor, start: int, state: State | None) -> tuple[torch.Tensor, torch.Tensor, State]:
        h_BTR, lengths_B, state = model.read_chunk(values_BTX, batch.lengths_B, start, state)
        return model.head(h_BTR, lengths_B), lengths_B, state

    for start in model.chunk_starts(batch.values):
        # By a tensor among the arguments checkpoint finds the device whose random numbers it has to draw again.
        of_chunk, lengths_B, state = checkpoint(score, batch.values, start, state, use_reentrant=False)
        scores.append(of_chunk)
        steps_B = steps_B + lengths_B
        state = _detached(state)
    return model.head.loss(torch.cat(scores, dim=1), steps_B, batch.target, batch.target_lengths_B)


def _detached(state: State) -> State:
    return [(h_BR.detach(), c_BH.detach()) for h_BR, c_BH in state]


def share_of(
    model: SequenceModel, arrays: SequenceArrays, batches: TokenBatches, step: int, share: int = 0, shares: int = 1
) -> tuple[Batch, float]:
    """Return one of the ``shares`` of a step's batch, and its weight: a function of the batches' seed and of these.

    None fell to it: that of another share, with a weight of 0.
    """
    nothing = not len(batches.batch(step, share, shares))
    read = 0 if nothing else share
    rng = np.random.default_rng((batches.seed, step, read)) if model.config.input.draws_variants else None
    batch = arrays.batch(batches.batch(step, read, shares), model.config.input.view, rng)
    return batch, 0.0 if nothing else loss_weight(model, batch)


def training_of(
    model: SequenceModel,
    arrays: SequenceArrays,
    batches: TokenBatches,
    config: SequenceTrainingConfig,
    device: torch.device,
) -> Optimisation:
    """Return the training of a model on the items that ``batches`` names."""

    def losses_of(step: int) -> Iterator[torch.Tensor]:
        rank, world = ranks.place()
        batch, weight = share_of(model, arrays, batches, step, rank, world)
        found = losses(model, batch.to(device))
        return found if world == 1 else ranks.weighed(found, weight, device)

    return Optimisation(model, config, losses_of, batches.seed)
