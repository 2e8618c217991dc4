"""The registry of cores. A new one is a file beside this one and a line below; the conformance suite then tests it."""

from __future__ import annotations

from models.cores.stacked_lstm import StackedLSTMConfig

CoreConfig = StackedLSTMConfig

CORES: dict[str, type[CoreConfig]] = {"stacked_lstm": StackedLSTMConfig}
