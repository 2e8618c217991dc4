"""What a head is told of the model around it."""

from __future__ import annotations

from dataclasses import dataclass

from models.cores.registry import CoreConfig


@dataclass(frozen=True)
class HeadShape:
    """Sizes; ``patches`` of ``patch_length`` steps cover the horizon; without ``skip`` that is all zeros.

    ``parameters`` are those that a head says of each step.
    """

    core: CoreConfig
    static_width: int
    known_patch_width: int
    patch_length: int
    horizon: int
    parameters: int
    skip: bool

    @property
    def patches(self) -> int:
        return -(-self.horizon // self.patch_length)
