"""A trained model on disk: JSON and safetensors, nothing that runs on loading.

    model.json             kind, facts of the data, the configuration of each member and how often it counts
    member-0.safetensors   the parameters of member 0, and so on
    trained.npy            of a model of sequences: which items it was trained on

What a bundle is in memory and what it predicts is its kind's: ``forecast_bundle``, ``sequence_bundle``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel
from safetensors.torch import load_file, save_file
from torch import nn

FORMAT = 2
"""1 had no ``weights``: every member counts once."""
TRAINED = "trained.npy"
"""Of a model of sequences: see ``SequenceBundle.trained``."""


class Bundle(Protocol):
    """Members that predict together; ``predict`` differs from kind to kind."""

    facts: Any
    members: list[Any]

    @property
    def kind(self) -> str: ...


def write_description(
    directory: Path, kind: str, facts: BaseModel, configs: Sequence[BaseModel], weights: Sequence[int] | None = None
) -> None:
    """Write ``model.json`` for members of ``configs``, all of one data set.

    ``weights`` say how often each counts; none: once.
    """
    described = {
        "format": FORMAT,
        "kind": kind,
        "facts": facts.model_dump(mode="json"),
        "members": [config.model_dump(mode="json") for config in configs],
        "weights": list(weights) if weights is not None else [1] * len(configs),
    }
    (directory / "model.json").write_text(json.dumps(described, indent=2))


def save_weights(member: nn.Module, path: Path) -> None:
    """Write the weights of ``member`` as safetensors."""
    save_file({name: tensor.contiguous() for name, tensor in member.state_dict().items()}, path)


def load(directory: Path) -> Any:
    """Read a bundle: its kind's.

    Raises:
        ValueError: the bundle was written by a later version, or is of a kind that is not known here.
    """
    described = json.loads((directory / "model.json").read_text())
    if described["format"] > FORMAT:
        raise ValueError(f"model.json must be of format {FORMAT} or older (got {described['format']}): update Carousel")
    weights = described.get("weights", [1] * len(described["members"]))
    bundle: Any = _assemble(described["kind"], described["facts"], described["members"], weights)
    if (trained := directory / TRAINED).exists():
        bundle.trained = np.load(trained, allow_pickle=False)
    for i, member in enumerate(bundle.members):
        member.load_state_dict(load_file(directory / f"member-{i}.safetensors"))
        member.eval()
    return bundle


def _assemble(kind: str, facts: dict[str, Any], configs: list[dict[str, Any]], weights: list[int]) -> Bundle:
    """Build the members that ``model.json`` describes, parameters at random; import what ``kind`` needs alone."""
    if kind == "forecast":
        from models import forecast_bundle

        return forecast_bundle.assemble(kind, facts, configs, weights)
    from models.objectives.registry import OBJECTIVES

    if kind not in OBJECTIVES:
        known = ", ".join(["forecast", *OBJECTIVES])
        raise ValueError(f"model.json must be of a kind among {known} (got {kind!r}): update Carousel")
    from models import sequence_bundle

    return sequence_bundle.assemble(kind, facts, configs, weights)
