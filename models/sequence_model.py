"""The model of whole sequences: input -> LSTM core -> head, whatever goes in and whatever is to be predicted.

Shapes: B items, T steps, X what a step of the view holds, C input channels, R core output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from models.cores.core import State
from models.cores.registry import READERS, ReaderConfig
from models.cores.stacked_lstm import LONG
from models.inputs.registry import INPUTS, InputConfig, InputFacts
from models.objectives.registry import OBJECTIVES, ObjectiveHeadConfig, TargetFacts
from models.pooling import Carried
from models.sequence_columns import SequenceColumns
from models.suggest import Suggest

NEIGHBOURS = 8
"""Steps before and after its own that an input may read for one step of its output: differences, convolutions."""

PORTFOLIO = 6


class SequenceFacts(BaseModel):
    """What a data set fixes for every model of it.

    ``longest`` is the longest training item in steps of each view that can be learned from. Sequences longer than
    ``chunk_length`` are learned chunk by chunk, so that memory does not grow with their length, and in one direction.
    ``columns`` are the names that the user's tables have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: InputFacts
    target: TargetFacts
    longest: dict[str, int]
    chunk_length: int = Field(ge=1)
    columns: SequenceColumns = SequenceColumns(item_id=[], input=[], step=None, target=[])

    @property
    def kind(self) -> str:
        """What is predicted: classify, regress, tag or transcribe."""
        return self.target.kind


class SequenceModelConfig(BaseModel):
    """One point of the search space."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: InputConfig
    core: ReaderConfig
    head: ObjectiveHeadConfig


class SequenceModel(nn.Module):
    """A point of the space as a module."""

    def __init__(self, config: SequenceModelConfig, facts: SequenceFacts) -> None:
        super().__init__()
        self.config, self.facts = config, facts
        self.input = config.input.build(facts.input)  # type: ignore[arg-type]
        self.core = config.core.build(self.input.output_size)
        self.head = config.head.build(config.core.output_size, facts.target, config.core.bidirectional)  # type: ignore[arg-type]

    @property
    def chunk_length(self) -> int:
        """Steps of the view that are learned from at once: whole steps of the core."""
        return max(1, self.facts.chunk_length // self.config.input.frames_per_step) * self.config.input.frames_per_step

    def chunked(self, values_BTX: torch.Tensor) -> bool:
        """Say whether ``values_BTX`` is read chunk by chunk: it is long, and the core reads in one direction."""
        return values_BTX.shape[1] > self.chunk_length and not self.config.core.bidirectional

    def forward(self, values_BTX: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read whole sequences.

        Args:
            values_BTX: a batch of the config's view, zero past each length.
            lengths_B: int64, each at least 1.

        Returns:
            The head's scores, and how many steps of the core each item has.
        """
        x_BTC, lengths_B = self.input(values_BTX, lengths_B)
        return self.head(self.core.read(x_BTC, lengths_B), lengths_B), lengths_B

    def predict(self, values_BTX: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what ``forward`` does, in memory that does not grow with T where the core reads in one direction."""
        if not self.chunked(values_BTX):
            return self(values_BTX, lengths_B)
        pooled = OBJECTIVES[self.facts.kind].pooled
        state, carried, scores = None, None, []
        steps_B = torch.zeros_like(lengths_B)
        for start in self.chunk_starts(values_BTX):
            h_BTR, chunk_B, state = self.read_chunk(values_BTX, lengths_B, start, state)
            steps_B = steps_B + chunk_B
            if pooled:
                score, carried = self.pool_chunk(h_BTR, chunk_B, carried)
                scores = [score]
            else:
                scores.append(self.head(h_BTR, chunk_B))
        return torch.cat(scores, dim=1) if not pooled else scores[0], steps_B

    def chunk_starts(self, values_BTX: torch.Tensor) -> Iterator[int]:
        """Yield where each chunk of ``values_BTX`` begins."""
        yield from range(0, values_BTX.shape[1], self.chunk_length)

    def read_chunk(
        self, values_BTX: torch.Tensor, lengths_B: torch.Tensor, start: int, state: State | None
    ) -> tuple[torch.Tensor, torch.Tensor, State]:
        """Read one chunk onwards from ``state``.

        Args:
            values_BTX: whole sequences.
            lengths_B: int64, of the whole sequences.
            start: where the chunk begins; the step before it is what ``state`` is from.
            state: of the core; none: zeros.

        Returns:
            The core's output ``h_BTR`` of the chunk, how many of its steps each item has (0: it ended before), the
            state after it.
        """
        reduction = self.config.input.frames_per_step
        # What an input reads beside a step stands in the neighbouring chunks; its own output there is cut off again.
        margin = -(-NEIGHBOURS // reduction) * reduction
        before = min(margin, start)
        stop = min(start + self.chunk_length, values_BTX.shape[1])
        near = values_BTX[:, start - before : stop + margin]
        near_B = (lengths_B - start + before).clamp(min=1, max=near.shape[1])
        x_BTC, _ = self.input(near, near_B)
        own = slice(before // reduction, before // reduction + -(-(stop - start) // reduction))
        h_BTR, state = self.core(x_BTC[:, own], None, state)
        own_B = -(-(lengths_B - start).clamp(min=0, max=stop - start) // reduction)
        return h_BTR, own_B, state

    def pool_chunk(
        self, h_BTR: torch.Tensor, lengths_B: torch.Tensor, carried: Carried | None
    ) -> tuple[torch.Tensor, Carried]:
        """Return a pooled head's scores after all chunks so far, and what the next one needs."""
        return self.head.chunk(h_BTR, lengths_B, carried)  # type: ignore[operator]


@dataclass(frozen=True)
class SequenceSpace:
    """The conditional space of models for one data set."""

    facts: SequenceFacts

    def suggest(self, trial: Suggest) -> SequenceModelConfig:
        """Draw a point; both directions are only read where an item is learned from as a whole."""
        point = INPUTS[self.facts.input.kind].suggest(trial, self.facts.input, list(self.facts.longest))  # type: ignore[arg-type]
        core = trial.suggest_categorical("core", list(READERS))
        longest = -(-self.facts.longest[point.view] // point.frames_per_step)
        return SequenceModelConfig(
            input=point,
            core=READERS[core].suggest_reader(trial, self._bidirectional(point.view), longest),
            head=OBJECTIVES[self.facts.kind].head.suggest(trial, self.facts.target),
        )

    def portfolio(self) -> list[dict[str, Any]]:
        """Return points that the search begins with, the first one the best guess: parameters as a trial has them."""
        aligning = OBJECTIVES[self.facts.kind].aligning
        points = INPUTS[self.facts.input.kind].portfolio(self.facts.input, aligning)  # type: ignore[arg-type]
        inputs = [point for point in points if self._view(point) in self.facts.longest]
        heads = OBJECTIVES[self.facts.kind].head.portfolio(self.facts.target)
        start: dict[str, Any] = {
            "core": "stacked_lstm",
            "hidden_size": 128,
            "num_layers": 1,
            "layer_norm": False,
            "bidirectional": True,
            "long_memory": False,
            "learning_rate": 3e-3,
            "weight_decay": 1e-2,
            "batch_size": 32,
        }
        deep = {"num_layers": 2, "dropout": 0.3, "residual": True, "layer_norm": True}
        variations: list[dict[str, Any]] = [
            {},
            {"hidden_size": 192, "learning_rate": 2e-3, "weight_decay": 3e-2},
            deep | {"learning_rate": 2e-3},
            {"hidden_size": 256, "learning_rate": 2e-3, "batch_size": 64},
            {"hidden_size": 64, "learning_rate": 5e-3, "long_memory": True},
            deep | {"hidden_size": 192, "learning_rate": 1e-3, "weight_decay": 3e-2},
        ]
        drawn = zip(islice(cycle(inputs), PORTFOLIO), islice(cycle(heads), PORTFOLIO), variations, strict=True)
        return [self._known(start | variation | point | head) for point, head, variation in drawn]

    def _bidirectional(self, view: str) -> bool:
        return self.facts.longest[view] <= self.facts.chunk_length

    def _view(self, point: dict[str, Any]) -> str:
        return point.get("view", self.facts.input.views[0])

    def _known(self, point: dict[str, Any]) -> dict[str, Any]:
        """Leave out what is not drawn for this data."""
        view = self._view(point)
        known = {"bidirectional": self._bidirectional(view), "long_memory": self.facts.longest[view] >= LONG}
        return {name: value for name, value in point.items() if known.get(name, True)}
