"""Transcribe: a sequence of symbols, shorter than the input and not aligned with it, by CTC (Graves et al. 2006).

Shapes: B items, T steps, R core output, V symbols (1..V; 0 is the blank), U symbols of one target.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from models.objectives import ctc
from models.objectives.readout import ReadoutConfig
from models.suggest import Suggest

UNKNOWN = -1
"""The code of a symbol that the training part does not hold; the loss passes over it."""


class Transcript(NamedTuple):
    """A prediction: the symbols, and their log-probability, averaged over the members."""

    symbols: list[str]
    log_probability: float


class TranscribeTarget(BaseModel):
    """The symbols, without the blank. ``separator`` is what stands between them: nothing, or a space.

    ``lowercase`` says that the texts were made lower case before they were learned from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["transcribe"] = "transcribe"
    symbols: list[str]
    separator: str = ""
    lowercase: bool = False
    beam_width: int = Field(16, ge=0, description="0: the best path (greedy)")

    @cached_property
    def codes(self) -> dict[str, int]:
        return {symbol: code for code, symbol in enumerate(self.symbols, start=1)}

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int64)

    def split(self, text: str) -> list[str]:
        """Return the symbols of ``text``."""
        return [part for part in text.split(self.separator) if part] if self.separator else list(text)

    def encode(self, value: str | None) -> np.ndarray | None:
        """Return int64 ``[U]``; ``UNKNOWN`` for a symbol that is not among ``symbols``."""
        if value is None:
            return None
        return np.array([self.codes.get(symbol, UNKNOWN) for symbol in self.split(value)], np.int64)

    def decode(self, prediction: Transcript) -> str:
        """Return the text."""
        return self.separator.join(prediction.symbols)

    def fewest_steps(self, encoded: np.ndarray) -> int:
        """Return how many steps of the core an item needs, at least; between equal symbols stands a blank."""
        return len(encoded) + int((np.diff(encoded) == 0).sum())

    def change(self, outputs_NV: np.ndarray, others_NV: np.ndarray) -> np.ndarray:
        """Return by how much outputs at N steps differ, 0 to 1 ``[N]``: probability that moved."""
        return np.abs(np.exp(outputs_NV) - np.exp(others_NV)).sum(axis=1) / 2

    @property
    def column_types(self) -> dict[str, str]:
        """Names and types of ``columns``: string, double, strings or doubles (lists)."""
        return {"text": "string", "log_probability": "double"}

    def columns(self, predictions: list[Transcript]) -> dict[str, list[Any]]:
        """Return predictions, as ``combine`` gave them, as columns of a table, one row an item."""
        scores = [float(prediction.log_probability) for prediction in predictions]
        return {"text": list(map(self.decode, predictions)), "log_probability": scores}


class TranscribeHeadConfig(BaseModel):
    """The readout at each step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: Literal["transcribe"] = "transcribe"
    readout: ReadoutConfig = ReadoutConfig()

    @classmethod
    def suggest(cls, trial: Suggest, target: TranscribeTarget) -> TranscribeHeadConfig:
        return cls(readout=ReadoutConfig.suggest(trial))

    @classmethod
    def portfolio(cls, target: TranscribeTarget) -> list[dict[str, Any]]:
        """Return good points as trial parameters, the safest first."""
        return ReadoutConfig.portfolio()

    def build(self, input_size: int, target: TranscribeTarget, bidirectional: bool = False) -> TranscribeHead:
        return TranscribeHead(self, input_size, target)


class TranscribeHead(nn.Module):
    """Scores are logits ``[B, T, V+1]``, the blank's first."""

    def __init__(self, config: TranscribeHeadConfig, input_size: int, target: TranscribeTarget) -> None:
        super().__init__()
        self.config = config
        self.readout = config.readout.build(input_size, len(target.symbols) + 1)

    def forward(self, h_BTR: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        return self.readout(h_BTR)

    def loss(
        self,
        scores_BTV: torch.Tensor,
        lengths_B: torch.Tensor,
        target: torch.Tensor,
        target_lengths_B: torch.Tensor,
    ) -> torch.Tensor:
        """Return CTC's negative log-likelihood, a symbol on average; an item with too few steps for it counts 0."""
        log_TBV = scores_BTV.float().log_softmax(dim=2).transpose(0, 1)
        known_BU = _known(target, target_lengths_B)
        symbols_B = known_BU.sum(dim=1)
        total = nn.functional.ctc_loss(
            log_TBV, target[known_BU], lengths_B, symbols_B, reduction="sum", zero_infinity=True
        )
        return total / self.weight(lengths_B, target, target_lengths_B).clamp(min=1)

    def weight(self, lengths_B: torch.Tensor, target: torch.Tensor, target_lengths_B: torch.Tensor) -> torch.Tensor:
        """Return what ``loss`` is a mean over: symbols."""
        return _known(target, target_lengths_B).sum()

    def outputs(self, scores_BTV: torch.Tensor, lengths_B: torch.Tensor) -> list[np.ndarray]:
        """Return float32 log-probabilities ``[T, V+1]`` an item."""
        log_BTV = scores_BTV.detach().float().log_softmax(dim=2).cpu().numpy()
        return [log_BTV[row, :length].copy() for row, length in enumerate(lengths_B.tolist())]


def _known(target_BU: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    """Return bool ``[B, U]``, true where a symbol stands that the target knows."""
    return (torch.arange(target_BU.shape[1], device=target_BU.device) < lengths_B[:, None]) & (target_BU > 0)


def combine(target: TranscribeTarget, members: list[list[np.ndarray]]) -> list[Transcript]:
    """Return each item's transcript: what all members together find likeliest among the best beams of each.

    Each member scores every hypothesis by its whole CTC likelihood (all alignments), so members of different time
    reduction agree on one text. With ``beam_width`` 0 the hypotheses are the members' best paths.
    """
    return [_transcript(target, list(outputs)) for outputs in zip(*members, strict=True)]


def _transcript(target: TranscribeTarget, outputs: list[np.ndarray]) -> Transcript:
    hypotheses: dict[ctc.Labels, None] = {}
    for log_TV in outputs:
        found = ctc.beam_search(log_TV, target.beam_width) if target.beam_width else [ctc.greedy(log_TV)]
        hypotheses.update(dict.fromkeys(found))
    candidates = list(hypotheses)
    score_H = np.mean([ctc.log_likelihoods(log_TV, candidates) for log_TV in outputs], axis=0)
    best = int(score_H.argmax())
    return Transcript([target.symbols[code - 1] for code in candidates[best]], float(score_H[best]))
