"""Panels and facts in memory, made by hand: the smallest data that a forecaster can be built for."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.calendar import Frequency, feature_names, features
from models.encoding import Affine, Encoding
from models.forecaster_facts import Facts
from models.panel import Panel

RICH = Encoding(
    past_numeric=["wind"],
    known_numeric=["price", "promo"],
    static_numeric=["size"],
    past_categorical=["sky"],
    known_categorical=["holiday"],
    static_categorical=["region"],
    affine={c: Affine(mean=m, std=s) for c, m, s in [("wind", 5, 2), ("price", 9, 3), ("promo", 0, 1), ("size", 4, 4)]},
    vocabularies={"sky": ["clear", "rain"], "holiday": ["eve", "new year"], "region": ["north", "south"]},
)
"""A covariate of every role and type."""
PLAIN = Encoding()


def make_facts(encoding: Encoding = PLAIN, **changes: Any) -> Facts:
    """Return facts of a daily data set with a horizon of 5 and a season of 4, but for ``changes``."""
    frequency = changes.get("frequency", "1d")
    plain: dict[str, Any] = {
        "horizon": 5,
        "season_length": 4,
        "frequency": frequency,
        "time_zone": None,
        "quantiles": [0.1, 0.5, 0.9],
        "calendar_width": len(feature_names(Frequency.parse(frequency))),
        "longest": 48,
        "item_columns": ["item"],
        "time_column": "day",
        "targets": ["y"],
        "encoding": encoding,
    }
    return Facts(**(plain | changes))


def make_panel(facts: Facts, lengths: list[int], seed: int = 0, gaps: bool = True) -> Panel:
    """Return a panel of noise on a season: gaps, every code of every vocabulary, a calendar for each item."""
    rng, encoding = np.random.default_rng(seed), facts.encoding
    steps, items = sum(lengths), len(lengths)
    frequency = Frequency.parse(facts.frequency)
    reach = np.array(lengths) + facts.horizon
    calendar = [features(frequency.grid(i * 86400 * 10**6 * 40, int(n)), frequency) for i, n in enumerate(reach)]
    target = 50 + 10 * np.sin(2 * np.pi * np.arange(steps) / facts.season_length) + rng.normal(0, 2, steps)
    numeric = rng.normal(size=(steps, len(encoding.numeric))).astype(np.float32)
    static_numeric = rng.normal(size=(items, len(encoding.static_numeric))).astype(np.float32)
    if gaps:
        target[rng.random(steps) < 0.1] = np.nan
        numeric[rng.random(numeric.shape) < 0.1] = np.nan
        static_numeric[1::3] = np.nan
    return Panel.from_arrays(
        encoding,
        target=target,
        numeric=numeric,
        codes=rng.integers(0, 3, (steps, len(encoding.categorical))).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        static_numeric=static_numeric,
        static_codes=(np.arange(items)[:, None] % 3 * np.ones((1, len(encoding.static_categorical)))).astype(np.int32),
        calendar=np.concatenate(calendar),
        calendar_start=np.cumsum(reach) - reach,
        error_scale=rng.uniform(1, 3, items),
    )
