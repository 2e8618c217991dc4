"""The hidden sizes that every core of forecasts draws from: Optuna wants the same choices wherever a name is drawn."""

from __future__ import annotations

HIDDEN_SIZES = [32, 64, 96, 128, 192]
