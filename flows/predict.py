"""Predictions of a registered model for new data."""

from typing import Annotated

from prefect import flow

from tasks.addresses import Address
from tasks.config import titled
from tasks.experiment import new_data
from tasks.ingest import Query, ingest_table
from tasks.predict import predict_table
from tasks.references import Predictions
from tasks.registry import load_experiment, resolve
from tasks.reporting.failure import explain_flow


@flow(name="predict", flow_run_name="predict {model}", on_failure=[explain_flow])
def predict(
    model: Annotated[str, titled("Model")], source: Annotated[Address | Query, titled("New data")]
) -> Predictions:
    """Predict for each item of new data: what follows its last step, or its label, number, tags or text.

    Args:
        model: NAME (its champion), NAME@alias or NAME/version.
        source: A file, glob, folder, URL or query with the columns that the model was trained on.
    """
    data = new_data(load_experiment(model), source)
    return predict_table(resolve(model), ingest_table(data))
