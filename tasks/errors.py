"""The one error that means "your input is wrong": it states the rule, what was received, and the remedy.

Everything else that is raised is a defect or a fault of the machine, and is retried or reported as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun


class InputError(ValueError):
    """An experiment, a data set or a reference breaks a rule that the user can mend.

    Args:
        rule: what must hold, naming the key, column or row it is about.
        received: what was found instead, with the first few places.
        remedy: what to change.
    """

    def __init__(self, rule: str, received: str, remedy: str) -> None:
        super().__init__(rule, received, remedy)
        self.rule, self.received, self.remedy = rule, received, remedy

    def __str__(self) -> str:
        return f"{self.rule} (got {self.received}): {self.remedy}"


class InputErrors(ExceptionGroup[InputError]):
    """Several at once. As text it names them all: Prefect shows of a failed run no more than that."""

    def __str__(self) -> str:
        return "\n".join([f"{self.message}:", *(f"- {error}" for error in input_errors(self))])

    def derive(self, errors: Sequence[InputError]) -> InputErrors:  # type: ignore[override]
        return InputErrors(self.message, errors)


def input_errors(error: BaseException) -> list[InputError]:
    """Return the InputErrors that ``error`` is or holds; none: it is a failure of another kind."""
    if isinstance(error, InputError):
        return [error]
    if isinstance(error, BaseExceptionGroup):
        return [found for one in error.exceptions for found in input_errors(one)]
    return []


def worth_retrying(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """Say whether a failed task may succeed if it is run again: a wrong input stays wrong."""
    return not (isinstance(state.data, BaseException) and input_errors(state.data))


def shortened(values: Iterable[object], most: int = 5) -> str:
    """List ``values`` for a message, cut after ``most``."""
    listed = [str(value) for value in values]
    rest = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {rest} more" if rest > 0 else "")
