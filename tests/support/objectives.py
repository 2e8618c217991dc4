"""A target of every kind of objective, and a batch for it. Shapes: B items, T steps, R core output."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from models.objectives.classify import ClassifyTarget
from models.objectives.regress import RegressTarget
from models.objectives.tag import TagTarget
from models.objectives.transcribe import TranscribeTarget

R = 32
LENGTHS = torch.tensor([9, 4, 7, 9, 5])

BIO_ITEMS = [["O", "B-a", "I-a", "O", "B-b"], ["B-b", "I-b", "I-b"], ["O", "B-a", "B-a", "I-a"]]

TARGETS: dict[str, Any] = {
    "classify": ClassifyTarget(labels=["a", "b", "c"]),
    "classify weighted": ClassifyTarget(labels=["a", "b", "c"], class_weights=[1.0, 2.0, 0.5]),
    "classify multi-label": ClassifyTarget(labels=["a", "b", "c"], multi_label=True),
    "classify multi-label weighted": ClassifyTarget(labels=["a", "b"], multi_label=True, class_weights=[1.0, 4.0]),
    "regress": RegressTarget(mean=40.0, std=5.0),
    "tag": TagTarget(labels=["x", "y", "z"]),
    "tag bio": TagTarget.fit(BIO_ITEMS),
    "transcribe": TranscribeTarget(symbols=["a", "b", "c"], separator=""),
}

RAW: dict[str, list[Any]] = {
    "classify": ["a", "b", "c", "b", "a"],
    "classify weighted": ["a", "b", "c", "b", "a"],
    "classify multi-label": [["a"], [], ["b", "c"], ["c"], ["a", "b", "c"]],
    "classify multi-label weighted": [["a"], [], ["b"], ["b"], ["a", "b"]],
    "regress": [30.0, 44.0, 52.5, 40.0, 38.0],
    "tag": [(["x", "y", "z"] * 3)[:length] for length in LENGTHS.tolist()],
    "tag bio": [(["O", "B-a", "I-a", "O", "B-b"] * 2)[:length] for length in LENGTHS.tolist()],
    "transcribe": ["abc", "a", "", "bb", "cab"],
}


class Sample(NamedTuple):
    """What a head reads, and its padded target as ``SequenceArrays`` gives it."""

    h_BTR: torch.Tensor
    lengths_B: torch.Tensor
    target: torch.Tensor
    target_lengths_B: torch.Tensor


def make_sample(name: str) -> Sample:
    """Return five items with the targets of ``RAW``; the core's output is random."""
    h_BTR = torch.randn(len(LENGTHS), int(LENGTHS.max()), R, generator=torch.Generator().manual_seed(0))
    encoded = [torch.from_numpy(TARGETS[name].encode(value)) for value in RAW[name]]
    padded = nn.utils.rnn.pad_sequence(encoded, batch_first=True)
    return Sample(h_BTR, LENGTHS, padded, torch.tensor([len(item) for item in encoded]))


def loss_of(head: Any, sample: Sample) -> torch.Tensor:
    scores = head(sample.h_BTR, sample.lengths_B)
    return head.loss(scores, sample.lengths_B, sample.target, sample.target_lengths_B)


def outputs_of(head: Any, h_BTR: torch.Tensor, lengths_B: torch.Tensor) -> list[np.ndarray]:
    with torch.no_grad():
        return head.outputs(head(h_BTR, lengths_B), lengths_B)
