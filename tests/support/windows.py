"""Windows of values, and what a method of smoothing forecasts of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from models.inputs.season import Deseasonalised

Method = Callable[[Deseasonalised], torch.Tensor]
NAN = float("nan")
WAVE = np.array([0.8, 1.3, 1.1, 0.8])
"""The factors of a season of four steps."""


def forecast(method: Method, *windows: list[float] | np.ndarray, season: int = 4, horizon: int = 6) -> np.ndarray:
    """Return what ``method`` forecasts of each window: [windows, horizon]."""
    return method(Deseasonalised.of(torch.tensor(np.array(windows)), season, horizon)).numpy()


def wandering(seed: int, steps: int = 48, drift: float = 0.0) -> np.ndarray:
    """Return a random walk around 20 with noise upon it: [steps]."""
    rng = np.random.default_rng(seed)
    return 20 + np.cumsum(rng.normal(drift, size=steps)) + rng.normal(size=steps)
