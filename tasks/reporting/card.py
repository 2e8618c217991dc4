"""The model card: what a registered version is, how good it is, and how to use it, in Markdown."""

from __future__ import annotations

from typing import Any

USE = """```python
import mlflow
import pandas as pd

model = mlflow.pyfunc.load_model("models:/{name}@champion")
table = table.astype({types})  # MLflow turns no integers into these
{stamps}forecast = model.predict(table)  # pandas; of polars: table.to_pandas()
```"""


def model_card(name: str, described: dict[str, Any], evaluation: dict[str, Any], findings: list[dict[str, Any]]) -> str:
    """Write the card.

    Args:
        name: the registered model.
        described: content of ``model.json``.
        evaluation: content of ``evaluation.json``.
        findings: of the data contract.
    """
    facts = described["facts"]
    encoding = facts["encoding"]
    covariates = [f"{role.replace('_', ' ')}: {', '.join(encoding[role])}" for role in _roles(encoding)]
    columns = [*facts["item_columns"], facts["time_column"], *facts["targets"]]
    rows = [_row(entry) for entry in evaluation["leaderboard"]]
    step = "" if facts["frequency"].isdigit() else f" of {facts['frequency']}"
    sections = [
        f"# {name}",
        f"Forecasts {', '.join(facts['targets'])} {facts['horizon']} steps{step} ahead, as "
        f"{len(facts['quantiles'])} quantiles. An ensemble of {len(described['members'])} LSTM forecasters.",
        "## What the sealed test part said",
        "\n".join(f"- {sentence}" for sentence in evaluation["verdict"]),
        "| model | MASE | WQL | sMAPE | 80 % interval covers |\n|---|---:|---:|---:|---:|\n" + "\n".join(rows),
        f"{evaluation['windows']} windows of {evaluation['items']} series.",
        "## What goes in",
        f"A long table with the columns {', '.join(f'`{c}`' for c in (*columns, *_covariates(encoding)))}. "
        + _clock(facts)
        + ("Covariates: " + "; ".join(covariates) + "." if covariates else ""),
        "## How to use it",
        USE.format(name=name, types=_types(facts), stamps=_stamps(facts)),
        "## What was found in the data",
        "\n".join(f"- {finding['message']} ({finding['action']})" for finding in findings) or "- nothing to report",
        "## Limits",
        "Each forecast reads at most "
        f"{max(member['context_length'] for member in described['members'])} steps of the past. "
        "An item that the training data did not hold is forecast from its own history alone.",
    ]
    return "\n\n".join(sections) + "\n"


def _clock(facts: dict[str, Any]) -> str:
    """Say which clock's stamps the model takes, if its data had a zone."""
    zone = facts["time_zone"]
    if not zone:
        return ""
    if _subdaily(facts):
        return f"Stamps are in UTC, without a zone; the calendar is that of {zone}. "
    return f"Stamps are the local dates of {zone}, without a zone. "


def _types(facts: dict[str, Any]) -> dict[str, str]:
    """Return the types of the columns that people often have as integers."""
    encoding = facts["encoding"]
    numbers = [c for role in _roles(encoding) if role.endswith("numeric") for c in encoding[role]]
    texts = [c for role in _roles(encoding) if role.endswith("categorical") for c in encoding[role] if ":" not in c]
    types = {"str": [*facts["item_columns"], *texts], "float64": [*facts["targets"], *numbers]}
    return {column: type_ for type_, columns in types.items() for column in columns}


def _stamps(facts: dict[str, Any]) -> str:
    """Return the line of code that gives stamps with a zone the form that MLflow takes."""
    if not facts["time_zone"]:
        return ""
    utc = ", utc=True" if _subdaily(facts) else ""
    column = repr(facts["time_column"])
    return f"table[{column}] = pd.to_datetime(table[{column}]{utc}).dt.tz_localize(None)\n"


def _subdaily(facts: dict[str, Any]) -> bool:
    return facts["frequency"][-1] in "smh"


def _roles(encoding: dict[str, Any]) -> list[str]:
    return [role for role, columns in encoding.items() if isinstance(columns, list) and columns]


def _covariates(encoding: dict[str, Any]) -> list[str]:
    return [column for role in _roles(encoding) for column in encoding[role] if ":" not in column]


def _row(entry: dict[str, Any]) -> str:
    return (
        f"| {entry['name']} | {entry['mase']:.3f} | {entry['wql']:.4f} | {entry['smape']:.2f} "
        f"| {100 * entry['coverage_80']:.0f} % |"
    )
