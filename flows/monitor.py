"""Whether a registered model is still as good as it was, on what came since."""

from typing import Annotated

from prefect import flow

from tasks.addresses import Address
from tasks.config import Tabs, titled
from tasks.experiment import data_with_truth
from tasks.ingest import Query, ingest_table
from tasks.monitor import MonitorConfig, watch_model
from tasks.references import Health
from tasks.registry import load_experiment, resolve
from tasks.reporting.failure import explain_flow


@flow(name="monitor", flow_run_name="monitor {model}", on_failure=[explain_flow])
def monitor(
    model: Annotated[str, titled("Model")],
    source: Annotated[
        Address | Query | None, Tabs("What it was trained on"), titled("Data with the truth since")
    ] = None,
    monitor: Annotated[MonitorConfig, titled("Alarm")] = MonitorConfig(),
) -> Health:
    """Look for drift of the inputs and for more error of past predictions; a degraded model raises an event.

    Args:
        model: NAME (its champion), NAME@alias or NAME/version.
        source: A file, glob, folder, URL or query; else the source that the model was trained on, which has grown.
        monitor: How sure an alarm must be.
    """
    data = data_with_truth(load_experiment(model), source)
    return watch_model(resolve(model), ingest_table(data), monitor)
