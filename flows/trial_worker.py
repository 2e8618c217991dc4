"""One worker of a search that runs elsewhere: a search starts as many runs of it as it wants workers."""

from typing import Annotated

from prefect import flow

from tasks.assignment import Assignment
from tasks.config import titled
from tasks.reporting.failure import explain_flow
from tasks.trial_work import work_on_trials


@flow(name="trial-worker", on_failure=[explain_flow])
def trial_worker(
    assignment: Annotated[Assignment, titled("Assignment")], name: Annotated[str, titled("Worker")]
) -> None:
    """Train trials of a study; searches start this with CAROUSEL_ENGINE=pool.

    Args:
        assignment: The study, the data set, and until when.
        name: Of the worker in the study.
    """
    work_on_trials(assignment, name)
