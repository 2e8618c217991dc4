"""An experiment as JSON: the flow's parameters, kept beside the model so that it can be trained again."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from tasks.errors import InputError


def model_name(name: str | None, problem: BaseModel, data: Any) -> str:
    """Return the registered model's name: the one given, or one made from the problem and the first target.

    Raises:
        InputError: MLflow refuses the name.
    """
    chosen = name if name is not None else f"{problem.kind}-{data.target[0]}"  # type: ignore[attr-defined]
    if not chosen.strip() or set(chosen) & set("/:@'\"%"):
        raise InputError("name must be text without / : @ % and quotes", repr(chosen), "choose another name")
    return chosen


def described(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a flow as JSON values."""
    return {key: v.model_dump(mode="json") if isinstance(v, BaseModel) else v for key, v in parameters.items()}
