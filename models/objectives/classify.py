"""Classify: one label an item, or any number of labels out of a set (multi-label).

Shapes: B items, T steps, R core output, L labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from models.objectives.readout import ReadoutConfig
from models.pooling import Carried, PoolingName, build_pooling, shared
from models.suggest import Suggest

THRESHOLD = 0.5
"""Probability from which on a label of a multi-label problem is given."""


class ClassifyTarget(BaseModel):
    """The labels, as fitted on the training part. ``class_weights``: one a label, or none.

    A weight multiplies its label's loss; in a multi-label problem, that of the items which have the label.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["classify"] = "classify"
    labels: list[str]
    multi_label: bool = False
    class_weights: list[float] | None = None

    @model_validator(mode="after")
    def _weights_fit_labels(self) -> ClassifyTarget:
        if self.class_weights is not None and len(self.class_weights) != len(self.labels):
            raise ValueError(
                f"class_weights must hold one weight a label (got {len(self.class_weights)} weights, "
                f"{len(self.labels)} labels): give one for each"
            )
        return self

    @cached_property
    def codes(self) -> dict[str, int]:
        return {label: code for code, label in enumerate(self.labels)}

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32 if self.multi_label else np.int64)

    def encode(self, value: str | Iterable[str] | None) -> np.ndarray | None:
        """Return int64 ``[1]`` (-1: unknown label) or, for several labels an item, 0/1 float32 ``[L]``."""
        if value is None:
            return None
        if not self.multi_label:
            return np.array([self.codes.get(str(value), -1)], np.int64)
        given = {value} if isinstance(value, str) else {str(label) for label in value if label is not None}
        return np.array([label in given for label in self.labels], np.float32)

    def fewest_steps(self, encoded: np.ndarray) -> int:
        """Return how many steps of the core an item of the target ``encoded`` needs, at least."""
        return 1

    def change(self, outputs_NL: np.ndarray, others_NL: np.ndarray) -> np.ndarray:
        """Return by how much outputs differ, 0 to 1 ``[N]``: probability that moved; multi-label: of any label."""
        moved_NL = np.abs(outputs_NL - others_NL)
        return moved_NL.max(axis=1) if self.multi_label else moved_NL.sum(axis=1) / 2

    @property
    def column_types(self) -> dict[str, str]:
        """Names and types of ``columns``: string, double, strings or doubles (lists)."""
        given = {"labels": "strings"} if self.multi_label else {"label": "string", "probability": "double"}
        return given | {"probabilities": "doubles"}

    def columns(self, predictions: list[np.ndarray]) -> dict[str, list[Any]]:
        """Return predictions, as ``combine`` gave them, as columns of a table, one row an item."""
        decoded = [self.decode(probability_L) for probability_L in predictions]
        probabilities = [probability_L.astype(float).tolist() for probability_L in predictions]
        if self.multi_label:
            return {"labels": decoded, "probabilities": probabilities}
        return {"label": decoded, "probability": list(map(max, probabilities)), "probabilities": probabilities}

    def decode(self, probability_L: np.ndarray) -> str | list[str]:
        """Return the likeliest label, or all labels at or above ``THRESHOLD``."""
        if self.multi_label:
            return [self.labels[code] for code in np.flatnonzero(probability_L >= THRESHOLD)]
        return self.labels[int(np.argmax(probability_L))]


class ClassifyHeadConfig(BaseModel):
    """Pooling over time, then the readout."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: Literal["classify"] = "classify"
    pooling: PoolingName = "attention"
    readout: ReadoutConfig = ReadoutConfig()
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Szegedy et al. 2016; multi-label: towards 1/2")

    @classmethod
    def suggest(cls, trial: Suggest, target: ClassifyTarget) -> ClassifyHeadConfig:
        return cls(
            pooling=trial.suggest_categorical("pooling", ["attention", "max", "mean", "last", "max_mean"]),
            readout=ReadoutConfig.suggest(trial),
            label_smoothing=trial.suggest_categorical("label_smoothing", [0.0, 0.05, 0.1]),
        )

    @classmethod
    def portfolio(cls, target: ClassifyTarget) -> list[dict[str, Any]]:
        """Return good points as trial parameters, the safest first."""
        safe, strong = ReadoutConfig.portfolio()
        return [
            {"pooling": "max_mean", "label_smoothing": 0.05, **safe},
            {"pooling": "attention", "label_smoothing": 0.05, **safe},
            {"pooling": "max", "label_smoothing": 0.1, **strong},
            {"pooling": "last", "label_smoothing": 0.0, **safe},
        ]

    def build(self, input_size: int, target: ClassifyTarget, bidirectional: bool = False) -> ClassifyHead:
        return ClassifyHead(self, input_size, target, bidirectional)


class ClassifyHead(nn.Module):
    """Scores are logits ``[B, L]``."""

    class_weights_L: torch.Tensor | None

    def __init__(
        self, config: ClassifyHeadConfig, input_size: int, target: ClassifyTarget, bidirectional: bool
    ) -> None:
        super().__init__()
        self.config = config
        self.multi_label = target.multi_label
        self.pooling = build_pooling(config.pooling, input_size, bidirectional)
        self.readout = config.readout.build(self.pooling.output_size, len(target.labels))
        weights = None if target.class_weights is None else torch.tensor(target.class_weights)
        self.register_buffer("class_weights_L", weights, persistent=False)

    def forward(self, h_BTR: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        return self.chunk(h_BTR, lengths_B)[0]

    def chunk(
        self, h_BTR: torch.Tensor, lengths_B: torch.Tensor, carried: Carried | None = None
    ) -> tuple[torch.Tensor, Carried]:
        """Return the scores after all steps so far, and what the next chunk needs; see ``pooling``."""
        pooled_BP, carried = self.pooling(h_BTR, lengths_B, carried)
        return self.readout(pooled_BP), carried

    def loss(
        self,
        scores_BL: torch.Tensor,
        lengths_B: torch.Tensor,
        target: torch.Tensor,
        target_lengths_B: torch.Tensor,
        share_B: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the mean cross-entropy of the items whose label is known; ``target`` as ``encode`` gives it.

        ``share_B`` multiplies each item's loss and leaves what the mean is taken over as it is.
        """
        scores_BL, smoothing = scores_BL.float(), self.config.label_smoothing
        if self.multi_label:
            truth_BL = target.to(scores_BL.dtype) * (1 - smoothing) + smoothing / 2
            loss_BL = nn.functional.binary_cross_entropy_with_logits(
                scores_BL, truth_BL, pos_weight=self.class_weights_L, reduction="none"
            )
            return shared(loss_BL.mean(dim=1), share_B).mean()
        truth_B = target.reshape(len(scores_BL))
        loss_B = nn.functional.cross_entropy(
            scores_BL, truth_B, self.class_weights_L, ignore_index=-1, label_smoothing=smoothing, reduction="none"
        )
        weight = self.weight(lengths_B, target, target_lengths_B)
        return shared(loss_B, share_B).sum() / weight.clamp(min=torch.finfo(weight.dtype).tiny)

    def weight(self, lengths_B: torch.Tensor, target: torch.Tensor, target_lengths_B: torch.Tensor) -> torch.Tensor:
        """Return what ``loss`` is a mean over: items, those of a known label by the weight of their class."""
        if self.multi_label:
            return torch.ones(len(target), device=target.device).sum()
        truth_B = target.reshape(len(target))
        known_B = (truth_B >= 0).float()
        if self.class_weights_L is None:
            return known_B.sum()
        return (self.class_weights_L.to(target.device)[truth_B.clamp(min=0)] * known_B).sum()

    def outputs(self, scores_BL: torch.Tensor, lengths_B: torch.Tensor) -> list[np.ndarray]:
        """Return float32 probabilities ``[L]`` an item; they sum to 1 unless the problem is multi-label."""
        logits_BL = scores_BL.detach().float()
        probability_BL = logits_BL.sigmoid() if self.multi_label else logits_BL.softmax(dim=1)
        return list(probability_BL.cpu().numpy())


def combine(target: ClassifyTarget, members: list[list[np.ndarray]]) -> list[np.ndarray]:
    """Return the mean of the members' probabilities ``[L]`` for each item."""
    return [np.mean(outputs, axis=0) for outputs in zip(*members, strict=True)]
