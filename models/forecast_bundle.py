"""Forecasters that forecast together: the weighted mean of their quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from models import reach
from models.encoding import Recoding
from models.forecaster import Forecaster, ForecasterConfig
from models.forecaster_facts import Facts
from models.panel import Panel, Windows
from models.reach import Reach


def assemble(kind: str, facts: dict[str, Any], configs: list[dict[str, Any]], weights: list[int]) -> Bundle:
    """Build the members that ``model.json`` describes, their parameters at random."""
    parsed = Facts.model_validate(facts)
    return Bundle(parsed, [Forecaster(ForecasterConfig.model_validate(config), parsed) for config in configs], weights)


class Bundle:
    """Members that forecast together; ``weights`` say how often each counts; none: once."""

    kind = "forecast"

    def __init__(self, facts: Facts, members: list[Forecaster], weights: Sequence[int] | None = None) -> None:
        self.facts, self.members = facts, members
        self.weights = list(weights) if weights is not None else [1] * len(members)

    def predict(self, panel: Panel, items: np.ndarray, ends: np.ndarray, batch_size: int = 1024) -> np.ndarray:
        """Forecast windows of ``panel``.

        Args:
            panel: of the same columns as the model's; its scalers and vocabularies may differ.
            items: int64 ``[W]``.
            ends: int64 ``[W]``, first step to predict.
            batch_size: windows at a time: the bound on memory.

        Returns:
            Quantiles in the target's units, float64 ``[W, F, Q]``, rising along Q.
        """
        recoding = self._recoding(panel)
        out = np.empty((len(items), self.facts.horizon, len(self.facts.quantiles)))
        for start in range(0, len(items), batch_size):
            part = slice(start, start + batch_size)
            out[part] = self._predict(panel, recoding, torch.from_numpy(items[part]), torch.from_numpy(ends[part]))
        return out

    @torch.inference_mode()
    def reach(self, panel: Panel, items: np.ndarray, ends: np.ndarray) -> Reach:
        """Measure how far back the furthest of the members looks, on some of the windows of ``predict``."""
        few = reach.spread(len(items))
        items_B, ends_B = torch.from_numpy(items[few]), torch.from_numpy(ends[few])
        recoding, found = self._recoding(panel), []
        for member in self.members:
            member.eval()
            found.append(_reach(member, self._windows(member, panel, recoding, items_B, ends_B)))
        return max(found, key=lambda one: one.steps)

    def _recoding(self, panel: Panel) -> Recoding | None:
        """Return what makes windows of ``panel`` the model's own; None: they are."""
        same = panel.encoding == self.facts.encoding
        return None if same else Recoding(panel.encoding, self.facts.encoding)

    def _windows(
        self,
        member: Forecaster,
        panel: Panel,
        recoding: Recoding | None,
        items_B: torch.Tensor,
        ends_B: torch.Tensor,
    ) -> Windows:
        windows = panel.gather(items_B, ends_B, member.config.context_length, self.facts.horizon)
        windows = windows if recoding is None else windows.recoded(recoding)
        return windows.to(next(member.parameters()).device)

    @torch.inference_mode()
    def _predict(
        self, panel: Panel, recoding: Recoding | None, items_B: torch.Tensor, ends_B: torch.Tensor
    ) -> np.ndarray:
        total = torch.zeros(())
        for member, weight in zip(self.members, self.weights, strict=True):
            member.eval()
            windows = self._windows(member, panel, recoding, items_B, ends_B)
            total = total + weight * member(windows).unscaled().cpu()
        return (total / sum(self.weights)).numpy()


def _reach(member: Forecaster, windows: Windows) -> Reach:
    """Measure one member by its median forecast, in scales of each window."""
    history_B = windows.inside_BL.sum(dim=1)
    median, whole = len(member.facts.quantiles) // 2, member(windows)
    whole_BF = whole.unscaled()[..., median]

    def change(kept: int) -> float:
        left_BF = member(windows.newest(kept)).unscaled()[..., median]
        change_BF = (left_BF - whole_BF).abs() / whole.scale_B[:, None]
        return float(change_BF[history_B > kept].mean())

    longest = sorted(history_B.tolist())[-min(reach.FEWEST, len(history_B))]
    return Reach("target", "steps", reach.fewest_steps(change, longest), longest, len(history_B))
