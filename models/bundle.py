"""A trained model on disk and in memory: JSON and safetensors, nothing that runs on loading.

    model.json             facts of the data, and the configuration of each member
    member-0.safetensors   the weights of member 0, and so on

A bundle predicts the mean of its members' quantiles.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from models.forecaster import Forecaster, ForecasterConfig
from models.forecaster_facts import Facts
from models.panel import Panel

FORMAT = 1


def write_description(directory: Path, facts: Facts, configs: list[ForecasterConfig]) -> None:
    """Write ``model.json`` for members of ``configs``, all of one data set."""
    described = {
        "format": FORMAT,
        "kind": "forecast",
        "facts": facts.model_dump(mode="json"),
        "members": [config.model_dump(mode="json") for config in configs],
    }
    (directory / "model.json").write_text(json.dumps(described, indent=2))


def save_weights(member: Forecaster, path: Path) -> None:
    """Write the weights of ``member`` as safetensors."""
    save_file({name: tensor.contiguous() for name, tensor in member.state_dict().items()}, path)


def load(directory: Path) -> Bundle:
    """Read a bundle.

    Raises:
        ValueError: the bundle was written by a later version.
    """
    described = json.loads((directory / "model.json").read_text())
    if described["format"] > FORMAT:
        raise ValueError(f"model.json must be of format {FORMAT} or older (got {described['format']}): update Carousel")
    facts = Facts.model_validate(described["facts"])
    members = []
    for i, config in enumerate(described["members"]):
        member = Forecaster(ForecasterConfig.model_validate(config), facts)
        member.load_state_dict(load_file(directory / f"member-{i}.safetensors"))
        members.append(member.eval())
    return Bundle(facts, members)


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
