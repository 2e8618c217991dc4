"""Predictions as columns of a table, one row an item: what batch prediction writes and a served model returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def columns(target: Any, predictions: list[Any]) -> dict[str, list[Any]]:
    """Return the columns of ``predictions``, as the head's ``combine`` gave them: see ``types`` for their names."""
    return _COLUMNS[target.kind](target, predictions)


def types(target: Any) -> dict[str, str]:
    """Return the name and the type of each column: string, double, strings or doubles (lists)."""
    if target.kind == "classify":
        given = {"labels": "strings"} if target.multi_label else {"label": "string", "probability": "double"}
        return given | {"probabilities": "doubles"}
    return {
        "regress": {"prediction": "double"},
        "tag": {"tags": "strings", "probabilities": "doubles"},
        "transcribe": {"text": "string", "log_probability": "double"},
    }[target.kind]


def _classify(target: Any, predictions: list[np.ndarray]) -> dict[str, list[Any]]:
    probabilities = [probability_L.astype(float).tolist() for probability_L in predictions]
    if target.multi_label:
        return {"labels": [target.decode(p_L) for p_L in predictions], "probabilities": probabilities}
    return {
        "label": [target.decode(p_L) for p_L in predictions],
        "probability": [float(p_L.max()) for p_L in predictions],
        "probabilities": probabilities,
    }


def _regress(target: Any, predictions: list[float]) -> dict[str, list[Any]]:
    return {"prediction": [float(value) for value in predictions]}


def _tag(target: Any, predictions: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, list[Any]]:
    return {
        "tags": [[target.labels[code] for code in codes_T] for codes_T, _ in predictions],
        "probabilities": [probability_T.astype(float).tolist() for _, probability_T in predictions],
    }


def _transcribe(target: Any, predictions: list[tuple[list[str], float]]) -> dict[str, list[Any]]:
    return {
        "text": [target.separator.join(symbols) for symbols, _ in predictions],
        "log_probability": [float(score) for _, score in predictions],
    }


_COLUMNS: dict[str, Callable[[Any, Any], dict[str, list[Any]]]] = {
    "classify": _classify,
    "regress": _regress,
    "tag": _tag,
    "transcribe": _transcribe,
}
