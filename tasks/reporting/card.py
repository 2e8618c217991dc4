"""The model card: what a registered version is, how good it is, and how to use it, in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasks.kinds.kind import Card
from tasks.reporting.markdown import leaderboard

if TYPE_CHECKING:
    from mlflow.types import Schema

USE = """```python
import mlflow
import pandas as pd

model = mlflow.pyfunc.load_model("models:/{name}@champion")
{code}
```"""

SERVE = (
    "`carousel serve {name}` takes JSON and CSV at `/invocations` and follows the alias `champion`. "
    "`mlflow models serve --env-manager local -m models:/{name}@champion` takes JSON{csv}."
)
CSV = {True: " and CSV", False: "; CSV it does not, for MLflow reads neither dates nor lists from it"}


def model_card(
    name: str, written: Card, evaluation: dict[str, Any], findings: list[dict[str, Any]], schema: Schema
) -> str:
    """Write the card.

    Args:
        name: the registered model.
        written: by the problem kind.
        evaluation: content of ``evaluation.json``.
        findings: of the data contract.
        schema: of the model's input, as MLflow has it.
    """
    sections = [
        f"# {name}",
        written.what,
        "## What the sealed test part said",
        "\n".join(f"- {sentence}" for sentence in (*evaluation["verdict"], *evaluation["notes"])),
        leaderboard(evaluation),
        _size(evaluation),
        "## What goes in",
        written.goes_in,
        "## How to use it",
        USE.replace("{name}", name).replace("{code}", written.how_to_use.strip()),
        "## How to serve it",
        SERVE.replace("{name}", name).replace("{csv}", CSV[mlflow_takes_csv(schema)]),
        "## What was found in the data",
        "\n".join(f"- {finding['message']} ({finding['action']})" for finding in findings) or "- nothing to report",
        "## How far back it looks",
        "\n\n".join(map(_reach, evaluation["reach"])),
        "## Limits",
        written.limits,
    ]
    return "\n\n".join(sections) + "\n"


def mlflow_takes_csv(schema: Schema) -> bool:
    """Say whether MLflow's scoring server can read the columns of ``schema`` from CSV."""
    return all(getattr(spec.type, "name", "list") not in ("list", "datetime") for spec in schema.inputs)


def _reach(found: dict[str, Any]) -> str:
    """Say what was measured of one of the forms in which the members read the input."""
    measured = f"measured on {found['items']} sealed ones"
    if found["steps"] < found["longest"]:
        return (
            f"What lies more than **{found['steps']:,} {found['unit']}** back changes its output by less than 1 % on "
            f"average, {measured} that reach back up to {found['longest']:,}."
        )
    return (
        f"As far as there is anything: even the first of {found['longest']:,} {found['unit']} changes its output by "
        f"more than 1 % on average, {measured}."
    )


def _size(evaluation: dict[str, Any]) -> str:
    if "windows" in evaluation:
        return f"{evaluation['windows']} windows of {evaluation['items']} series."
    return f"{evaluation['items']} items."
