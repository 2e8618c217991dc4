"""How far back a model looks, measured: by how much its output changes when only the newest steps are left to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from models.objectives.registry import OBJECTIVES
from models.ragged import Ragged
from models.sequence_model import SequenceModel
from models.sequences import SequenceArrays

Outputs = Callable[[SequenceArrays], list[np.ndarray]]
"""A model's outputs, item by item, as its head gives them."""

TOLERANCE = 0.01
"""Mean change of the output that is none: of probability, or of the target's scale."""

ITEMS = 128
"""Items, or windows, that are measured at most."""

MOST_STEPS = 250_000
"""Steps of all items that are measured, about: each is read several times over by each member."""

FEWEST = 8
"""Items that must have more steps than are left, for their mean change to tell something."""


class Reach(NamedTuple):
    """What lies further back than ``steps`` of a view, called ``unit``, changes the output by no more than a hundredth.

    ``steps`` is ``longest`` where even the first of so many steps still changes it. ``items`` were measured.
    """

    view: str
    unit: str
    steps: int
    longest: int
    items: int


def grid(longest: int) -> list[int]:
    """Return the numbers of steps that are tried, below ``longest``: two to an octave."""
    steps = sorted({step for power in range(longest.bit_length()) for step in (1 << power, 3 << power >> 1)})
    return [step for step in steps if 0 < step < longest]


def fewest_steps(change: Callable[[int], float], longest: int) -> int:
    """Return the fewest newest steps that leave the output as it is, ``longest`` where only all of them do.

    Args:
        change: mean change of the output if so many newest steps are left.
        longest: steps of which something is lost at any smaller number.
    """
    found = longest
    for kept in reversed(grid(longest)):
        if change(kept) > TOLERANCE:
            break
        found = kept
    return found


def spread(count: int, steps: float = 1.0) -> np.ndarray:
    """Return at most ``ITEMS`` numbers below ``count``, evenly spread: int64; fewer where items have many ``steps``."""
    most = min(ITEMS, max(FEWEST, int(MOST_STEPS / steps)))
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))


def of_sequences(model: SequenceModel, arrays: SequenceArrays, outputs: Outputs) -> Reach:
    """Measure a model of whole sequences.

    A head that pools gives its output for the newest steps of each item alone. One that scores every step gives those
    of the second half of each item without the first half: what lies d steps behind the cut can look back d steps.
    """
    view, frames = model.config.input.view, model.config.input.frames_per_step
    ragged, pooled = arrays.inputs[view], OBJECTIVES[model.facts.kind].pooled
    rows = np.arange(len(arrays)) if arrays.items is None else arrays.items
    items = [ragged.item(int(row) * arrays.variants) for row in rows]
    cuts = [0 if pooled else len(item) // 2 // frames * frames for item in items]
    target, whole = model.facts.target, outputs(arrays)

    def left(starts: list[int], asked: list[int]) -> list[np.ndarray]:
        return outputs(SequenceArrays({view: Ragged.of([items[i][starts[i] :] for i in asked])}, None))

    halves = [] if pooled else left(cuts, list(range(len(items))))

    def change(kept: int) -> float:
        asked = [i for i, item in enumerate(items) if len(item) - cuts[i] > kept]
        if pooled:
            ours, theirs = left([len(item) - kept for item in items], asked), [whole[i] for i in asked]
        else:
            step = kept // frames
            ours, theirs = [halves[i][step] for i in asked], [whole[i][cuts[i] // frames + step] for i in asked]
        return float(target.change(np.stack(ours), np.stack(theirs)).mean())

    lengths = sorted(len(item) - cut for item, cut in zip(items, cuts, strict=True))
    longest = lengths[-min(FEWEST, len(lengths))]
    return Reach(view, model.facts.input.unit(view), fewest_steps(change, longest), longest, len(items))
