"""A search space that the user has narrowed: some parameters have a few values, or one."""

from __future__ import annotations

import difflib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from models.suggest import Suggest
from tasks.errors import InputError, shortened

Choices = Mapping[str, Sequence[Any]]
DRAWS = 400
"""Random points that are drawn to find the names in a conditional space."""
TRIED = 20
"""Points that a given value must occur in, for a parameter that not every point has."""


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
    """A trial that draws at random of all there is and remembers what each parameter may be; None: any number.

    ``point`` is what was drawn since it was last emptied.
    """

    asks_for_all = True

    def __init__(self) -> None:
        self.random = random.Random(0)  # noqa: S311
        self.seen: dict[str, Sequence[Any] | None] = {}
        self.point: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.seen[name] = None if all(map(_is_number, choices)) else choices
        return self._drawn(name, self.random.choice(list(choices)))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.seen[name] = None
        return self._drawn(name, self.random.randint(low, high))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.seen[name] = None
        return self._drawn(name, self.random.uniform(low, high))

    def _drawn(self, name: str, value: Any) -> Any:
        self.point[name] = value
        return value


def check(space: Choices, suggest: Callable[[Suggest], Any]) -> None:
    """Check the names and values of ``space`` against the whole space that ``suggest`` draws from.

    Raises:
        InputError: a parameter does not exist, a value is none of its choices, or a model cannot have it.
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
    for name, values in space.items():
        for value in values:
            tried = _tried(name, {**space, name: [value]}, suggest)
            if not tried:
                rule = f"search.space.{name}: a model of the search must have it"
                remedy = "add what it belongs to, as in `core: [xlstm]`, or remove it"
                raise InputError(rule, f"no model with it in {DRAWS} random ones", remedy)
            for point, error in tried:
                if error is not None:
                    raise _refusal(space, point, error, suggest)


def _tried(
    name: str, space: Choices, suggest: Callable[[Suggest], Any]
) -> list[tuple[dict[str, Any], ValidationError | None]]:
    """Draw points of the narrowed ``space`` that have the parameter ``name``; return what is wrong with each."""
    recorder, tried = _Recorder(), []
    for _ in range(DRAWS):
        recorder.point, wrong = {}, None
        try:
            suggest(Narrowed(recorder, space))
        except ValidationError as error:
            wrong = error
        if name in recorder.point:
            tried.append((recorder.point, wrong))
        if len(tried) == TRIED:
            break
    return tried


def _refusal(
    space: Choices, point: dict[str, Any], error: ValidationError, suggest: Callable[[Suggest], Any]
) -> InputError:
    """Return the error for a ``point`` that is no valid model: it names the value that never is, else all of them."""
    given = {name: value for name, value in point.items() if name in space}
    for name, value in given.items():
        found = [wrong for _, wrong in _tried(name, {name: [value]}, suggest)]
        if found and found[0] is not None and all(found):
            rule = f"search.space.{name}: values must be ones that a model can have"
            return InputError(rule, f"{value!r}: {_said(found[0])}", "correct or remove it")
    listed = ", ".join(f"{name} {value!r}" for name, value in given.items())
    rule = "search.space: values must make a valid model in every combination"
    return InputError(rule, f"{listed}: {_said(error)}", "remove one of them, or give fewer values")


def _said(error: ValidationError) -> str:
    """Return the first breach as pydantic words it, with the field that it is about."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    return f"{first['loc'][-1]}: {message}" if first["loc"] else message


def narrowed(point: dict[str, Any], space: Choices) -> dict[str, Any]:
    """Return ``point`` with the first allowed value for each parameter whose own is not allowed."""
    return point | {name: values[0] for name, values in space.items() if point.get(name) not in values}


def has(point: dict[str, Any], space: Choices, suggest: Callable[[Suggest], Any]) -> bool:
    """Say whether a search of the narrowed ``space`` can draw ``point``, which another search may have drawn."""
    import optuna

    study = optuna.create_study()
    study.enqueue_trial(point)
    try:
        suggest(Narrowed(study.ask(), space))
    except ValueError:
        # Optuna's, of a categorical value that is not offered, and pydantic's, of an impossible model.
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
