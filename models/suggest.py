"""The part of an Optuna trial that a search space needs, so that ``models`` need not import Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Suggest(Protocol):
    """``optuna.Trial`` is one."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...


def offered(trial: Suggest, choices: Sequence[T], others: Sequence[T]) -> list[T]:
    """Return what a trial may draw of: ``choices``, and the ``others`` only if it asks for all that there is.

    The others are what has not proved better anywhere; who wants one names it in ``search.space``.
    """
    return [*choices, *others] if getattr(trial, "asks_for_all", False) else list(choices)
