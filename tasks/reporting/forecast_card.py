"""What the card of a forecaster says of its input, its clock and its limits."""

from __future__ import annotations

from typing import Any

from tasks.kinds.kind import Card


def card(described: dict[str, Any]) -> Card:
    """Return the kind's parts of the card; ``described`` is the content of ``model.json``."""
    facts = described["facts"]
    step = "" if facts["frequency"].isdigit() else f" of {facts['frequency']}"
    reach = max(member["context_length"] for member in described["members"])
    return Card(
        what=f"Forecasts {', '.join(facts['targets'])} {facts['horizon']} steps{step} ahead, as "
        f"{len(facts['quantiles'])} quantiles. An ensemble of {len(described['members'])} LSTM forecasters.",
        goes_in=_goes_in(facts),
        how_to_use=f"table = table.astype({_types(facts)})  # MLflow turns no integers into these\n"
        f"{_stamps(facts)}forecast = model.predict(table)  # pandas; of polars: table.to_pandas()",
        limits=f"Each forecast reads at most {reach} steps of the past. "
        "An item that the training data did not hold is forecast from its own history alone.",
    )


def _goes_in(facts: dict[str, Any]) -> str:
    encoding = facts["encoding"]
    covariates = [f"{role.replace('_', ' ')}: {', '.join(encoding[role])}" for role in _roles(encoding)]
    columns = [*facts["item_columns"], facts["time_column"], *facts["targets"], *_covariates(encoding)]
    told = "Covariates: " + "; ".join(covariates) + "." if covariates else ""
    return f"A long table with the columns {', '.join(f'`{column}`' for column in columns)}. {_clock(facts)}{told}"


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
