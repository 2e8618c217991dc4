"""Numbers against the truth: N items, in the target's unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def score(truth_N: Floats, predicted_N: Floats) -> dict[str, float]:
    """Return mae, rmse and r2; r2 is NaN where the truth does not vary."""
    if not len(truth_N):
        return dict.fromkeys(("mae", "rmse", "r2"), float("nan"))
    error_N = predicted_N - truth_N
    squares = float((error_N**2).mean())
    variance = float(truth_N.var())
    r2 = 1 - squares / variance if variance > 0 else float("nan")
    return {"mae": float(np.abs(error_N).mean()), "rmse": squares**0.5, "r2": r2}
