"""The pipeline as its deployment's form starts it: a few flat fields, and everything else under an advanced part."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.pipeline import pipeline
from tasks.config import Duration, Tabs, titled
from tasks.form import UNSAID, Advanced, resolved
from tasks.references import ModelVersion
from tasks.reporting.failure import explain_flow


@flow(name="pipeline", on_failure=[explain_flow])
def launch(
    experiment: Annotated[str | None, Tabs("None: the sections below", "File"), titled("Experiment")],
    name: Annotated[str | None, Tabs(UNSAID, "Name"), titled("Model name")] = None,
    time_budget: Annotated[Duration | None, Tabs(UNSAID, "Time"), titled("Time budget")] = None,
    trials: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000)] | None, Tabs(UNSAID, "Number"), titled("Trials")
    ] = None,
    advanced: Annotated[Advanced, titled("Advanced")] = Advanced(),
) -> ModelVersion:
    """Ingest, search, fit, prove and register a model.

    Args:
        experiment: The path of a file from the directory that 'carousel up' was started in, such as
            examples/tourism.yaml.
        name: Of the registered model; if nothing names it, it is made from the problem and the target.
        time_budget: Wall-clock time of search and fit together, such as 90s, 2m or 1h30m; 10m if nothing names it.
        trials: The search begins no more, pruned ones included; 1000 if nothing names them.
        advanced: A section that is chosen here stands in the place of the experiment file's whole.
    """
    return pipeline.fn(**resolved(pipeline.fn, experiment, name, time_budget, trials, advanced))
