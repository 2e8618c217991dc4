"""Models of whole sequences that predict together, as their objective combines them.

Shapes: N items, T steps, X what a step of a view holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from models import reach
from models.batching import in_order
from models.objectives.registry import combine
from models.ragged import Ragged
from models.sequence_model import SequenceFacts, SequenceModel, SequenceModelConfig
from models.sequence_stream import Stream
from models.sequences import SequenceArrays

BUDGET = 16_384
"""Padded steps that are read at a time."""

BLOCK = 1_000_000
"""Steps of items whose outputs are held before the members' are combined."""


def assemble(kind: str, facts: dict[str, Any], configs: list[dict[str, Any]], weights: list[int]) -> SequenceBundle:
    """Build the members that ``model.json`` describes, their parameters at random."""
    parsed = SequenceFacts.model_validate(facts)
    members = [SequenceModel(SequenceModelConfig.model_validate(config), parsed) for config in configs]
    return SequenceBundle(parsed, members, weights)


class SequenceBundle:
    """Members of one data set, which may read different views; ``weights`` say how often each counts; none: once."""

    trained: np.ndarray | None = None
    """Hashes of the items, and of their groups, that the members were trained on (uint64, rising); none: not known."""

    def __init__(
        self, facts: SequenceFacts, members: list[SequenceModel], weights: Sequence[int] | None = None
    ) -> None:
        self.facts, self.members = facts, members
        self.weights = list(weights) if weights is not None else [1] * len(members)

    @property
    def kind(self) -> str:
        return self.facts.kind

    @property
    def views(self) -> list[str]:
        """The views that the members read."""
        return sorted({member.config.input.view for member in self.members})

    def predict(self, arrays: SequenceArrays, budget: int = BUDGET) -> list[Any]:
        """Predict every item of ``arrays``.

        Args:
            arrays: items in at least the views that the members read; targets are not looked at.
            budget: padded steps that are read at a time.

        Returns:
            What the objective's ``combine`` makes of the members' outputs, in the order of the items.
        """
        predictions = []
        for block in self._blocks(arrays):
            outputs = [self._outputs(member, block, budget) for member in self.members]
            counted = [one for one, weight in zip(outputs, self.weights, strict=True) for _ in range(weight)]
            predictions += combine(self.facts.target, counted)
        return predictions

    def outputs(self, arrays: SequenceArrays) -> list[np.ndarray]:
        """Return what the one member gives for each item of ``arrays``, before it is made a prediction."""
        (member,) = self.members
        return [output for block in self._blocks(arrays) for output in self._outputs(member, block, BUDGET)]

    def _blocks(self, arrays: SequenceArrays) -> Iterator[SequenceArrays]:
        """Yield ``arrays`` in parts of about ``BLOCK`` steps: outputs of every step are held for no more than those."""
        if not len(arrays):
            return
        steps_N = np.max([arrays.lengths(view) for view in self.views], axis=0)
        number_N = (steps_N.cumsum() - steps_N) // BLOCK
        for items in np.split(np.arange(len(arrays)), np.flatnonzero(np.diff(number_N)) + 1):
            yield arrays.select(items)

    def encode(self, raws: Sequence[Any]) -> dict[str, Ragged]:
        """Turn raw items, at least one, into the views that the members read."""
        return {view: Ragged.of([self.facts.input.encode(view, raw) for raw in raws]) for view in self.views}

    def predict_raw(self, raws: Sequence[Any]) -> list[Any]:
        """Predict raw items: what the input's facts encode."""
        return self.predict(SequenceArrays(self.encode(raws), None)) if len(raws) else []

    def reach(self, arrays: SequenceArrays) -> list[reach.Reach]:
        """Measure how far back the members look: for each view the furthest of those that read it.

        Args:
            arrays: at least one item in the views that the members read.
        """
        steps = max(float(arrays.lengths(view).mean()) for view in self.views)
        few = arrays.select(reach.spread(len(arrays), steps))
        found = [
            reach.of_sequences(member, few, lambda left, member=member: self._outputs(member, left, BUDGET))  # type: ignore[misc]
            for member in self.members
        ]
        return [max((one for one in found if one.view == view), key=lambda one: one.steps) for view in self.views]

    def stream(self) -> Stream:
        """Begin a sequence that is read as it comes.

        Raises:
            ValueError: there are several members, or the one cannot be streamed: see ``Stream``.
        """
        if len(self.members) != 1:
            raise ValueError(f"a streaming bundle must have one member (got {len(self.members)}): fit with members: 1")
        return Stream(self.members[0])

    @torch.inference_mode()
    def _outputs(self, member: SequenceModel, arrays: SequenceArrays, budget: int) -> list[np.ndarray]:
        """Return one member's outputs, item by item."""
        member.eval()
        device, view = next(member.parameters()).device, member.config.input.view
        outputs: list[Any] = [None] * len(arrays)
        for items_B in in_order(arrays.lengths(view), budget):
            batch = arrays.batch(items_B, view, None).to(device)
            scores, lengths_B = member.predict(batch.values, batch.lengths_B)
            for item, output in zip(items_B, member.head.outputs(scores, lengths_B), strict=True):
                outputs[item] = output
        return outputs
