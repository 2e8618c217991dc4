"""What is told of a failure: rule, received and remedy of each error, in a form that Prefect draws as it is meant."""

from __future__ import annotations

from tasks.errors import InputError, InputErrors, input_errors, worth_retrying
from tasks.reporting.failure import explanation

FIRST = InputError("a column must exist", "'a|b' of *sales*", "set ${NAME}_x or name it")
SECOND = InputError("fit.members: must be at least 1", "0", "change it")


def test_one_error_is_told_with_its_rule_what_was_received_and_the_remedy() -> None:
    told = explanation("ingest", FIRST)
    assert told.startswith("# ingest failed\n\n| | |\n|---|---|\n| **rule** | a column must exist |\n")
    assert "| **received** | 'a\\|b' of \\*sales\\* |\n" in told
    assert "| **remedy** | set \\${NAME}\\_x or name it |\n" in told
    assert "press *Retry*" in told


def test_several_errors_are_told_one_by_one_and_in_the_message_of_the_run() -> None:
    both = InputErrors("the experiment is wrong", [FIRST, SECOND])
    told = explanation("pipeline", both)
    assert [line for line in told.splitlines() if line.startswith("#")] == [
        "# pipeline failed",
        "## 1 of 2",
        "## 2 of 2",
    ]
    assert str(both) == f"the experiment is wrong:\n- {FIRST}\n- {SECOND}"
    assert input_errors(both.split(lambda error: error is SECOND)[0]) == [SECOND]


def test_a_failure_of_another_kind_is_told_as_it_is_and_worth_a_retry() -> None:
    told = explanation("fit", RuntimeError("a worker died:\nout of memory"))
    assert "```\nRuntimeError: a worker died:\nout of memory\n```" in told
    assert "It is not the input." in told


def test_wrong_input_is_not_tried_again() -> None:
    from prefect.states import Failed

    both = InputErrors("the experiment is wrong", [FIRST, SECOND])
    worth = [worth_retrying(None, None, Failed(data=error)) for error in (FIRST, both, OSError("busy"))]  # type: ignore
    assert worth == [False, False, True]
