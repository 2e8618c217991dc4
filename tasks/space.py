"""A search space that the user has narrowed: some parameters have a few values, or one."""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from models.suggest import Suggest
from tasks.errors import InputError, shortened

Choices = Mapping[str, Sequence[Any]]
DRAWS = 400
"""Random points that are drawn to find the names in a conditional space."""


class Narrowed:
    """An Optuna trial that offers only ``space``'s values of the parameters named there."""

    def __init__(self, trial: Suggest, space: Choices) -> None:
        self.trial, self.space = trial, space

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.trial.suggest_categorical(name, self.space.get(name, choices))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        if name in self.space:
            return self.trial.suggest_categorical(name, self.space[name])
        return self.trial.suggest_int(name, low, high, log=log)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        if name in self.space:
            return self.trial.suggest_categorical(name, self.space[name])
        return self.trial.suggest_float(name, low, high, log=log)


class _Recorder:
    """A trial that draws at random and remembers what each parameter may be; None: any number."""

    def __init__(self) -> None:
        self.random = random.Random(0)  # noqa: S311
        self.seen: dict[str, Sequence[Any] | None] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        numbers = all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices)
        self.seen[name] = None if numbers else choices
        return self.random.choice(list(choices))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.seen[name] = None
        return self.random.randint(low, high)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.seen[name] = None
        return self.random.uniform(low, high)


def check(space: Choices, suggest: Callable[[Suggest], Any]) -> None:
    """Check the names and values of ``space`` against the whole space that ``suggest`` draws from.

    Raises:
        InputError: a parameter does not exist, or a value is none of its choices.
    """
    if not space:
        return
    recorder = _Recorder()
    for _ in range(DRAWS):
        suggest(recorder)
    for name, values in space.items():
        key = f"search.space.{name}"
        if name not in recorder.seen:
            near = difflib.get_close_matches(name, recorder.seen, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            known = ", ".join(sorted(recorder.seen))
            raise InputError(f"{key}: no such parameter of this search", repr(name), f"{hint}Known here: {known}")
        choices = recorder.seen[name]
        wrong = [v for v in values if (v not in choices if choices is not None else not _is_number(v))]
        if wrong:
            rule = f"must be among {shortened(map(repr, choices))}" if choices is not None else "must be numbers"
            raise InputError(f"{key}: values {rule}", shortened(map(repr, wrong)), "correct or remove them")


def narrowed(point: dict[str, Any], space: Choices) -> dict[str, Any]:
    """Return ``point`` with the first allowed value for each parameter whose own is not allowed."""
    return point | {name: values[0] for name, values in space.items() if point.get(name) not in values}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
