"""The registry of problem kinds: a new kind is a module beside this one and a line in each of the two below."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from models.problem import Forecast
from tasks.kinds.kind import Kind

Problem = Forecast
"""What a flow's ``problem`` may be: the union of the kinds' problems."""

KINDS: dict[str, str] = {"forecast": "tasks.kinds.forecast"}
"""The module of each kind; loaded on use, since it brings torch and polars."""


def kind(name: str) -> Kind:
    """Load the kind called ``name``."""
    return cast(Kind, import_module(KINDS[name]))
