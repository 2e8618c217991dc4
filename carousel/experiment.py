"""Experiments as the command line takes them: a YAML file, and settings that stand in the place of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import InputError
from tasks.experiment_file import parameters, parse, read

if TYPE_CHECKING:
    from tasks.schedule import Schedule


def load(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the validated parameters of ``pipeline`` that the file at ``path`` and ``overrides`` state.

    The section ``schedule`` is none of them: it is validated, and ``load_schedule`` returns it.

    Args:
        path: a YAML mapping.
        overrides: ``a.b=value``, the value in YAML; each replaces or adds one key.

    Raises:
        InputError: the file or an override cannot be read.
        InputErrors: one for each key that is wrong.
    """
    return _load(path, overrides)[0]


def load_schedule(path: Path) -> tuple[str, Schedule | None]:
    """Return the name of the model that the file at ``path`` is registered under, and when it is trained again.

    Raises:
        InputError: the file cannot be read.
        InputErrors: one for each key that is wrong.
    """
    from tasks.experiment import model_name

    found, schedule = _load(path)
    return model_name(found.get("name"), found["problem"], found["data"]), schedule


def _load(path: Path, overrides: Sequence[str] = ()) -> tuple[dict[str, Any], Schedule | None]:
    from flows.pipeline import pipeline
    from tasks.evaluate import EvaluateConfig
    from tasks.experiment import check_sections
    from tasks.prepare import SplitConfig
    from tasks.search_config import SearchConfig

    found, schedule = parameters(override(read(path), overrides), pipeline.fn)
    defaults = {"split": SplitConfig(), "search": SearchConfig(), "evaluate": EvaluateConfig()}
    check_sections(found["data"], found["problem"], *(found.get(name, section) for name, section in defaults.items()))
    return found, schedule


def registered_name(experiment: str) -> str:
    """Return the name of the model that ``experiment``, a YAML file or that name itself, is registered under.

    Raises:
        InputError: the file cannot be read.
        InputErrors: one for each key that is wrong.
    """
    if not experiment.endswith((".yaml", ".yml")):
        return experiment
    return load_schedule(Path(experiment))[0]


def override(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return ``values`` with each ``a.b=value`` of ``overrides`` set.

    Raises:
        InputError: one has no key, is no YAML, or leads through a key that holds no mapping.
    """
    for text in overrides:
        keys, sign, value = text.partition("=")
        if not sign or not all(keys.split(".")):
            raise InputError("--set takes KEY=VALUE", repr(text), "write for instance --set search.time_budget=2m")
        *parents, last = keys.split(".")
        section = values
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise InputError(
                    f"--set {keys} must lead through sections",
                    f"{parent} = {section!r}",
                    f"replace the whole of it: --set {parent}='{{...}}'",
                )
        section[last] = parse(value, f"--set {keys}")
    return values
