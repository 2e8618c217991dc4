"""The registry of cores. A new one is a file beside this one and a line below; the conformance suite then tests it.

``CORES`` are all, and forecast; a search tries those of ``TRIED``, and the others where it is told to: they have not
proved better on any development data, and take two to four times as long a step (``benchmarks/LOG.md``). ``READERS``
can read whole sequences, too, and have ``suggest_reader``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.cores.cell_lstm import CellLSTMConfig
from models.cores.dilated_lstm import DilatedLSTMConfig
from models.cores.stacked_lstm import StackedLSTMConfig
from models.cores.xlstm import XLSTMConfig

CoreConfig = Annotated[
    StackedLSTMConfig | CellLSTMConfig | DilatedLSTMConfig | XLSTMConfig, Field(discriminator="core")
]
ReaderConfig = StackedLSTMConfig

CORES: dict[str, type[StackedLSTMConfig] | type[CellLSTMConfig] | type[DilatedLSTMConfig] | type[XLSTMConfig]] = {
    "stacked_lstm": StackedLSTMConfig,
    "cell_lstm": CellLSTMConfig,
    "dilated_lstm": DilatedLSTMConfig,
    "xlstm": XLSTMConfig,
}
TRIED = ["stacked_lstm", "dilated_lstm"]
READERS: dict[str, type[ReaderConfig]] = {"stacked_lstm": StackedLSTMConfig}
