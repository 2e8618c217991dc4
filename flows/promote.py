"""A version made champion from Prefect's user interface."""

from typing import Annotated

from prefect import flow

from tasks.config import titled
from tasks.promote import promote_version
from tasks.references import ModelVersion
from tasks.registry import resolve
from tasks.reporting.failure import explain_flow


@flow(name="promote", flow_run_name="promote {model}", on_failure=[explain_flow])
def promote(
    model: Annotated[str, titled("Model version")],
    why: Annotated[str, titled("Why")] = "by hand",
    force: Annotated[bool, titled("Force")] = False,
) -> ModelVersion:
    """Make a version the champion that passed the gate against the present one.

    Args:
        model: NAME/version or NAME@challenger.
        why: For the log of the model's aliases.
        force: Whatever the gate said of it.
    """
    return promote_version(resolve(model), why, force)
