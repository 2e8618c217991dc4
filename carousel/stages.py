"""One stage alone: its task's function called with arguments from JSON, no server needed."""

from __future__ import annotations

import difflib
import importlib
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tasks.errors import InputError
from tasks.experiment_file import validate

STAGES = {
    "ingest": "tasks.ingest:ingest_table",
    "prepare": "tasks.prepare:prepare_dataset",
    "previous": "tasks.register:find_previous",
    "search": "tasks.search:search_models",
    "fit": "tasks.fit:fit_model",
    "rival": "tasks.register:find_rival",
    "evaluate": "tasks.evaluate:evaluate_model",
    "gate": "tasks.gate:judge_model",
    "report": "tasks.report:write_report",
    "profile": "tasks.profile:profile_table",
    "register": "tasks.register:register_model",
    "predict": "tasks.predict:predict_table",
    "monitor": "tasks.monitor:watch_model",
}


def run_stage(name: str, request: Path) -> Any:
    """Run the stage ``name`` on the arguments in the JSON file ``request``; return its reference as JSON values.

    Raises:
        InputError: there is no such stage, or the file is not a JSON object.
        InputErrors: one for each argument that is wrong.
    """
    if name not in STAGES:
        near = difflib.get_close_matches(name, STAGES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(STAGES)}"
        raise InputError("a stage must exist", repr(name), hint)
    module, _, function = STAGES[name].partition(":")
    task = getattr(importlib.import_module(module), function)
    result = task.fn(**validate(_arguments(request), task.fn))
    return TypeAdapter(type(result)).dump_python(result, mode="json")


def _arguments(request: Path) -> dict[str, Any]:
    remedy = "write the stage's arguments by name; a reference is the JSON that its stage printed"
    try:
        arguments = json.loads(request.read_text())
    except (OSError, ValueError) as error:
        raise InputError("a request is a readable JSON file", f"{request}: {error}", remedy) from None
    if not isinstance(arguments, dict):
        raise InputError("a request is a JSON object", type(arguments).__name__, remedy)
    return arguments
