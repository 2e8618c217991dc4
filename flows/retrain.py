"""The pipeline again, on what the data holds now."""

from prefect import flow

from flows.pipeline import pipeline
from tasks.config import Duration
from tasks.references import ModelVersion
from tasks.registry import load_experiment


@flow(name="retrain", flow_run_name="retrain {model}")
def retrain(model: str, time_budget: Duration | None = None) -> ModelVersion:
    """Run the experiment that made a model again; the gate decides on its champion.

    Args:
        model: NAME (its champion's experiment), NAME@alias or NAME/version.
        time_budget: of the search, such as 10m; none: that of the experiment.
    """
    experiment = load_experiment(model)
    if time_budget:
        experiment["search"] = {**experiment.get("search", {}), "time_budget": time_budget}
    return pipeline(**experiment)
