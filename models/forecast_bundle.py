"""Forecasters that forecast together: the mean of their quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from models.forecaster import Forecaster, ForecasterConfig
from models.forecaster_facts import Facts
from models.panel import Panel


def assemble(kind: str, facts: dict[str, Any], configs: list[dict[str, Any]]) -> Bundle:
    """Build the members that ``model.json`` describes, their weights at random."""
    parsed = Facts.model_validate(facts)
    return Bundle(parsed, [Forecaster(ForecasterConfig.model_validate(config), parsed) for config in configs])


class Bundle:
    """Members that forecast together."""

    kind = "forecast"

    def __init__(self, facts: Facts, members: list[Forecaster]) -> None:
        self.facts, self.members = facts, members

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
        panel = panel.recoded(self.facts.encoding)
        out = np.empty((len(items), self.facts.horizon, len(self.facts.quantiles)))
        for start in range(0, len(items), batch_size):
            part = slice(start, start + batch_size)
            out[part] = self._predict(panel, torch.from_numpy(items[part]), torch.from_numpy(ends[part]))
        return out

    @torch.inference_mode()
    def _predict(self, panel: Panel, items_B: torch.Tensor, ends_B: torch.Tensor) -> np.ndarray:
        total = torch.zeros(())
        for member in self.members:
            member.eval()
            device = next(member.parameters()).device
            windows = panel.gather(items_B, ends_B, member.config.context_length, self.facts.horizon).to(device)
            total = total + member(windows).unscaled().cpu()
        return (total / len(self.members)).numpy()
