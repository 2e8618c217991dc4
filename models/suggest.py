"""The part of an Optuna trial that a search space needs, so that ``models`` need not import Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Suggest(Protocol):
    """``optuna.Trial`` is one."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...
