"""Tag: a label for each step, each on its own (softmax) or as a whole (CRF).

Shapes: B items, T steps, R core output, L labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from models.objectives import crf
from models.objectives.readout import ReadoutConfig
from models.pooling import padding
from models.suggest import Suggest

UNLABELLED = -100
"""The code of a step whose label is missing or unknown: it takes no part in the loss."""

SMALLEST = 1e-30
"""Probability below which two labels are alike to Viterbi; 0 would make every path as bad as any."""

VITERBI_CELLS = 1 << 20
"""What a block of items may hold: its unary scores, or the pairs that one step looks at."""


class Tags(NamedTuple):
    """A prediction: int64 codes ``[T]`` and each one's probability ``[T]``."""

    codes_T: np.ndarray
    probability_T: np.ndarray


class TagTarget(BaseModel):
    """The labels and which may follow which.

    Under ``bio``, ``I-X`` may only follow ``B-X`` or ``I-X``; but a pair that the training part itself holds (as IOB1
    files do) is tolerated: ``tolerated`` lists those, ``""`` before the first step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["tag"] = "tag"
    labels: list[str]
    scheme: Literal["bio", "none"] = "none"
    tolerated: list[tuple[str, str]] = []

    @classmethod
    def fit(cls, items: Iterable[Sequence[str | None]], scheme: Literal["auto", "bio", "none"] = "auto") -> TagTarget:
        """Read the labels of all training items once; ``auto`` means ``bio`` where all labels look like it."""
        pairs: set[tuple[str | None, str | None]] = set()
        for labels in items:
            pairs.update(pairwise(["", *labels]))
        found = sorted({label for _, label in pairs if label is not None})
        if scheme == "auto":
            scheme = "bio" if _looks_like_bio(found) else "none"
        broken = {(a, b) for a, b in pairs if a is not None and b is not None and not _follows(a, b)}
        return cls(labels=found, scheme=scheme, tolerated=sorted(broken) if scheme == "bio" else [])

    @cached_property
    def codes(self) -> dict[str, int]:
        return {label: code for code, label in enumerate(self.labels)}

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int64)

    @property
    def allowed(self) -> tuple[np.ndarray, np.ndarray]:
        """Bool ``[L, L]``, whether a label (row) may be followed by another (column), and ``[L]``, may come first."""
        return (
            np.array([[self._may_follow(a, b) for b in self.labels] for a in self.labels]),
            np.array([self._may_follow("", b) for b in self.labels]),
        )

    def _may_follow(self, before: str, label: str) -> bool:
        return self.scheme == "none" or _follows(before, label) or (before, label) in self.tolerated

    def encode(self, value: Sequence[str | None] | None) -> np.ndarray | None:
        """Return int64 ``[T]``; ``UNLABELLED`` for a label that is missing or unknown."""
        if value is None:
            return None
        return np.array([UNLABELLED if label is None else self.codes.get(str(label), UNLABELLED) for label in value])

    def decode(self, prediction: Tags) -> list[str]:
        """Return the label of each step."""
        return [self.labels[code] for code in prediction.codes_T]

    def fewest_steps(self, encoded: np.ndarray) -> int:
        """Return how many steps of the core an item of the target ``encoded`` needs, at least."""
        return len(encoded)

    def change(self, outputs_NL: np.ndarray, others_NL: np.ndarray) -> np.ndarray:
        """Return by how much outputs at N steps differ, 0 to 1 ``[N]``: probability that moved."""
        return np.abs(outputs_NL - others_NL).sum(axis=1) / 2

    @property
    def column_types(self) -> dict[str, str]:
        """Names and types of ``columns``: string, double, strings or doubles (lists)."""
        return {"tags": "strings", "probabilities": "doubles"}

    def columns(self, predictions: list[Tags]) -> dict[str, list[Any]]:
        """Return predictions, as ``combine`` gave them, as columns of a table, one row an item."""
        probabilities = [prediction.probability_T.astype(float).tolist() for prediction in predictions]
        return {"tags": list(map(self.decode, predictions)), "probabilities": probabilities}


def _follows(before: str, label: str) -> bool:
    """Return whether BIO lets ``label`` come after ``before`` (``""``: come first)."""
    return not label.startswith("I-") or (before[:2] in ("B-", "I-") and before[2:] == label[2:])


def _looks_like_bio(labels: list[str]) -> bool:
    spans = [label for label in labels if label[:2] in ("B-", "I-") and len(label) > 2]
    return bool(spans) and all(label in spans or label == "O" for label in labels)


class TagHeadConfig(BaseModel):
    """The readout at each step; ``crf`` adds scores of neighbouring labels (Huang et al. 2015)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: Literal["tag"] = "tag"
    crf: bool = False
    readout: ReadoutConfig = ReadoutConfig()

    @classmethod
    def suggest(cls, trial: Suggest, target: TagTarget) -> TagHeadConfig:
        return cls(crf=trial.suggest_categorical("crf", [False, True]), readout=ReadoutConfig.suggest(trial))

    @classmethod
    def portfolio(cls, target: TagTarget) -> list[dict[str, Any]]:
        """Return good points as trial parameters, the safest first."""
        safe, strong = ReadoutConfig.portfolio()
        return [
            {"crf": target.scheme == "bio", **safe},
            {"crf": target.scheme != "bio", **safe},
            {"crf": True, **strong},
        ]

    def build(self, input_size: int, target: TagTarget, bidirectional: bool = False) -> TagHead:
        return TagHead(self, input_size, target)


class TagHead(nn.Module):
    """Scores are ``[B, T, L]``: logits, or the unary scores of the CRF."""

    def __init__(self, config: TagHeadConfig, input_size: int, target: TagTarget) -> None:
        super().__init__()
        self.config = config
        self.readout = config.readout.build(input_size, len(target.labels))
        self.crf = crf.CRF(*target.allowed) if config.crf else None

    def forward(self, h_BTR: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        return self.readout(h_BTR)

    def loss(
        self,
        scores_BTL: torch.Tensor,
        lengths_B: torch.Tensor,
        target: torch.Tensor,
        target_lengths_B: torch.Tensor,
    ) -> torch.Tensor:
        """Return the negative log-likelihood of the labels ``[B, T]``, a labelled step on average."""
        truth_BT = target.masked_fill(padding(scores_BTL, lengths_B)[..., 0], UNLABELLED)
        steps = self.weight(lengths_B, target, target_lengths_B).clamp(min=1)
        if self.crf is None:
            total = nn.functional.cross_entropy(
                scores_BTL.float().flatten(0, 1), truth_BT.flatten(), ignore_index=UNLABELLED, reduction="sum"
            )
            return total / steps
        return self.crf.negative_log_likelihood(scores_BTL, lengths_B, truth_BT).sum() / steps

    def weight(self, lengths_B: torch.Tensor, target: torch.Tensor, target_lengths_B: torch.Tensor) -> torch.Tensor:
        """Return what ``loss`` is a mean over: labelled steps."""
        return ((target != UNLABELLED) & ~padding(target, lengths_B)[..., 0]).sum()

    def outputs(self, scores_BTL: torch.Tensor, lengths_B: torch.Tensor) -> list[np.ndarray]:
        """Return float32 ``[T, L]`` an item: each step's probability of each label."""
        scores_BTL = scores_BTL.detach()
        if self.crf is None:
            marginal_BTL = scores_BTL.float().softmax(dim=2)
        else:
            marginal_BTL = self.crf.marginals(scores_BTL, lengths_B).float()
        array_BTL = marginal_BTL.cpu().numpy()
        return [array_BTL[row, :length].copy() for row, length in enumerate(lengths_B.tolist())]


def combine(target: TagTarget, members: list[list[np.ndarray]]) -> list[Tags]:
    """Return for each item the likeliest sequence of labels that the scheme allows.

    The members' probabilities are averaged; Viterbi then runs over their logarithms, as a single member's would.
    """
    items = [np.mean(outputs, axis=0) for outputs in zip(*members, strict=True)]
    if all(mask.all() for mask in target.allowed):
        paths = [item_TL.argmax(axis=1) for item_TL in items]
    else:
        paths = _allowed_paths(target, items)
    return [
        Tags(path_T.astype(np.int64), item_TL[np.arange(len(path_T)), path_T])
        for item_TL, path_T in zip(items, paths, strict=True)
    ]


def _allowed_paths(target: TagTarget, items: list[np.ndarray]) -> list[np.ndarray]:
    """Return each item's best path; items of similar lengths go together, so that padding costs little."""
    pair_LL, first_L = (torch.from_numpy(np.where(mask, 0.0, -np.inf)) for mask in target.allowed)
    chain = crf.Chain(pair_LL, first_L, torch.zeros_like(first_L))
    paths: list[np.ndarray] = [np.empty(0, np.int64)] * len(items)
    order = sorted(range(len(items)), key=lambda item: -len(items[item]))
    while order:
        labels, steps = len(target.labels), len(items[order[0]])
        rows = max(1, VITERBI_CELLS // (labels * max(labels, steps)))
        block, order = order[:rows], order[rows:]
        probabilities = [torch.from_numpy(items[item]).double() for item in block]
        log_BTL = nn.utils.rnn.pad_sequence(probabilities, batch_first=True).clamp(min=SMALLEST).log()
        path_BT = crf.viterbi(log_BTL, torch.tensor([len(items[item]) for item in block]), chain).numpy()
        for item, path_T in zip(block, path_BT, strict=True):
            paths[item] = path_T[: len(items[item])]
    return paths
