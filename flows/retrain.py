"""The pipeline again, on what the data holds now."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.pipeline import pipeline
from tasks.config import Duration, Tabs, titled
from tasks.experiment import with_time_budget
from tasks.experiment_file import validate
from tasks.form import UNSAID
from tasks.references import ModelVersion
from tasks.registry import load_experiment, to_retrain
from tasks.reporting.failure import explain_flow
from tasks.schedule import CatchUp
from tasks.turns import turn


@flow(name="retrain", flow_run_name="retrain {model}", on_failure=[explain_flow])
def retrain(
    model: Annotated[str, titled("Model")],
    time_budget: Annotated[Duration | None, Tabs(UNSAID, "Time"), titled("Time budget")] = None,
    catch_up: Annotated[CatchUp, titled("Catch up")] = "latest",
) -> ModelVersion | State[Any]:
    """Run the experiment that made a model again, one at a time for each model; the gate decides on its champion.

    Args:
        model: NAME (its champion's experiment, or the newest version's), NAME@alias or NAME/version.
        time_budget: Wall-clock time of search and fit together, such as 90s, 2m or 1h30m.
        catch_up: While another retraining of the model is at work, wait for it unless one waits already (latest), wait
            in any case (all), or end at once (none).
    """
    with turn(model, catch_up) as instead:
        if instead is not None:
            return instead
        experiment = with_time_budget(load_experiment(to_retrain(model)), time_budget)
        return pipeline.fn(**validate(experiment, pipeline.fn))
