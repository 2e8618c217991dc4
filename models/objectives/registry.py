"""The registry of objectives. A new one is a file beside this one and a line in each table below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Discriminator

from models.objectives import classify, regress, tag, transcribe
from models.objectives.classify import ClassifyHead, ClassifyHeadConfig, ClassifyTarget
from models.objectives.regress import RegressHead, RegressHeadConfig, RegressTarget
from models.objectives.tag import TagHead, TagHeadConfig, TagTarget
from models.objectives.transcribe import TranscribeHead, TranscribeHeadConfig, TranscribeTarget

TargetFacts = Annotated[ClassifyTarget | RegressTarget | TagTarget | TranscribeTarget, Discriminator("kind")]
ObjectiveHeadConfig = Annotated[
    ClassifyHeadConfig | RegressHeadConfig | TagHeadConfig | TranscribeHeadConfig, Discriminator("head")
]
ObjectiveHead = ClassifyHead | RegressHead | TagHead | TranscribeHead


class Objective(NamedTuple):
    """``pooled``: one output an item; ``combine``: from the members' outputs to a prediction an item.

    ``aligning``: training has to find out which steps a symbol of the target belongs to.
    """

    target: type[Any]
    head: type[Any]
    pooled: bool
    combine: Callable[[Any, list[list[np.ndarray]]], list[Any]]
    aligning: bool = False


OBJECTIVES: dict[str, Objective] = {
    "classify": Objective(ClassifyTarget, ClassifyHeadConfig, True, classify.combine),
    "regress": Objective(RegressTarget, RegressHeadConfig, True, regress.combine),
    "tag": Objective(TagTarget, TagHeadConfig, False, tag.combine),
    "transcribe": Objective(TranscribeTarget, TranscribeHeadConfig, False, transcribe.combine, aligning=True),
}


def combine(target: TargetFacts, members: list[list[np.ndarray]]) -> list[Any]:
    """Return each item's prediction from the outputs ``[members][items]`` of heads of the same target."""
    return OBJECTIVES[target.kind].combine(target, members)
