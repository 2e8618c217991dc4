"""Regress: one number an item. The target is standardised.

Shapes: B items, T steps, R core output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from models.objectives.readout import ReadoutConfig
from models.pooling import Carried, PoolingName, build_pooling, shared
from models.suggest import Suggest

LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "huber": nn.functional.huber_loss,
    "squared": nn.functional.mse_loss,
    "absolute": nn.functional.l1_loss,
}


class RegressTarget(BaseModel):
    """Mean and standard deviation of the target over the training part, and the loss that is to be minimised."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["regress"] = "regress"
    mean: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)
    loss: Literal["huber", "squared", "absolute"] = "huber"

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def encode(self, value: float | None) -> np.ndarray | None:
        """Return the standardised value, float32 ``[1]``."""
        return None if value is None else np.array([(float(value) - self.mean) / self.std], np.float32)

    def decode(self, prediction: float) -> float:
        """Return what ``combine`` gives: it has the target's unit."""
        return float(prediction)

    def fewest_steps(self, encoded: np.ndarray) -> int:
        """Return how many steps of the core an item of the target ``encoded`` needs, at least."""
        return 1

    def change(self, outputs_N1: np.ndarray, others_N1: np.ndarray) -> np.ndarray:
        """Return by how much outputs differ, in standard deviations of the target ``[N]``."""
        return np.abs(outputs_N1 - others_N1)[:, 0] / self.std

    @property
    def column_types(self) -> dict[str, str]:
        """Names and types of ``columns``: string, double, strings or doubles (lists)."""
        return {"prediction": "double"}

    def columns(self, predictions: list[float]) -> dict[str, list[Any]]:
        """Return predictions, as ``combine`` gave them, as columns of a table, one row an item."""
        return {"prediction": list(map(self.decode, predictions))}


class RegressHeadConfig(BaseModel):
    """Pooling over time, then the readout."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: Literal["regress"] = "regress"
    pooling: PoolingName = "attention"
    readout: ReadoutConfig = ReadoutConfig()

    @classmethod
    def suggest(cls, trial: Suggest, target: RegressTarget) -> RegressHeadConfig:
        return cls(
            pooling=trial.suggest_categorical("pooling", ["attention", "max", "mean", "last", "max_mean"]),
            readout=ReadoutConfig.suggest(trial),
        )

    @classmethod
    def portfolio(cls, target: RegressTarget) -> list[dict[str, Any]]:
        """Return good points as trial parameters, the safest first; dropout blurs a number more than a label."""
        plain = {"head_dropout": 0.0, "head_mlp_size": 64}
        return [
            {"pooling": "last", **plain},
            {"pooling": "attention", **plain},
            {"pooling": "max_mean", "head_dropout": 0.2, "head_mlp_size": 64},
        ]

    def build(self, input_size: int, target: RegressTarget, bidirectional: bool = False) -> RegressHead:
        return RegressHead(self, input_size, target, bidirectional)


class RegressHead(nn.Module):
    """Scores are standardised values ``[B]``."""

    def __init__(self, config: RegressHeadConfig, input_size: int, target: RegressTarget, bidirectional: bool) -> None:
        super().__init__()
        self.config = config
        self.target = target
        self.pooling = build_pooling(config.pooling, input_size, bidirectional)
        self.readout = config.readout.build(self.pooling.output_size, 1)

    def forward(self, h_BTR: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        return self.chunk(h_BTR, lengths_B)[0]

    def chunk(
        self, h_BTR: torch.Tensor, lengths_B: torch.Tensor, carried: Carried | None = None
    ) -> tuple[torch.Tensor, Carried]:
        """Return the scores after all steps so far, and what the next chunk needs; see ``pooling``."""
        pooled_BP, carried = self.pooling(h_BTR, lengths_B, carried)
        return self.readout(pooled_BP)[:, 0], carried

    def loss(
        self,
        scores_B: torch.Tensor,
        lengths_B: torch.Tensor,
        target: torch.Tensor,
        target_lengths_B: torch.Tensor,
        share_B: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the mean loss in standard deviations; Huber's is squared within one, absolute beyond.

        ``share_B`` multiplies each item's loss.
        """
        truth_B = target.reshape(len(scores_B)).float()
        return shared(LOSSES[self.target.loss](scores_B.float(), truth_B, reduction="none"), share_B).mean()

    def weight(self, lengths_B: torch.Tensor, target: torch.Tensor, target_lengths_B: torch.Tensor) -> torch.Tensor:
        """Return what ``loss`` is a mean over: items."""
        return torch.ones(len(target), device=target.device).sum()

    def outputs(self, scores_B: torch.Tensor, lengths_B: torch.Tensor) -> list[np.ndarray]:
        """Return float64 ``[1]`` an item, in the target's unit."""
        value_B = scores_B.detach().double().cpu().numpy() * self.target.std + self.target.mean
        return list(value_B[:, None])


def combine(target: RegressTarget, members: list[list[np.ndarray]]) -> list[float]:
    """Return the mean of the members' values for each item."""
    return [float(np.mean(outputs)) for outputs in zip(*members, strict=True)]
