"""What the form of the deployment ``pipeline`` asks beside a few flat fields, and the experiment that comes of it.

What is left alone is as the experiment file says, so a form that is sent back unchanged changes nothing of it. A
section that is chosen shows all its values, and stands in the place of the file's whole: what is seen is what runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from tasks.config import Config, Tabs
from tasks.errors import InputError
from tasks.evaluate import EvaluateConfig
from tasks.experiment_file import parameters, read
from tasks.fit import FitConfig
from tasks.gate import GateConfig
from tasks.ingest import Data
from tasks.kinds.registry import Problem
from tasks.prepare import SplitConfig
from tasks.search_config import SearchConfig

UNSAID = "As in the experiment"
_AS_GIVEN = Tabs(UNSAID)


class Advanced(Config):
    """Sections of an experiment: one that is chosen stands in the place of the experiment file's whole."""

    data: Annotated[Data | None, _AS_GIVEN] = Field(
        None, title="Data", description="The source and the role of each of its columns; needed without a file."
    )
    problem: Annotated[Problem | None, _AS_GIVEN] = Field(
        None, title="Problem", description="What is to be predicted; needed without a file."
    )
    split: Annotated[SplitConfig | None, _AS_GIVEN] = Field(
        None, title="Split", description="How much is held back for validation and for the sealed test."
    )
    search: Annotated[SearchConfig | None, _AS_GIVEN] = Field(
        None, title="Search", description="The budget of the search, and how it compares trials."
    )
    fit: Annotated[FitConfig | None, _AS_GIVEN] = Field(
        None, title="Fit", description="How the final model is trained."
    )
    evaluate: Annotated[EvaluateConfig | None, _AS_GIVEN] = Field(
        None, title="Evaluate", description="What the model is measured against."
    )
    # A field called register would hide a method of pydantic's.
    gate: Annotated[GateConfig | None, _AS_GIVEN] = Field(
        None, alias="register", title="Register", description="The gate between challenger and champion."
    )


def resolved(
    function: Callable[..., Any],
    experiment: str | None,
    name: str | None,
    time_budget: str | None,
    trials: int | None,
    advanced: Advanced,
) -> dict[str, Any]:
    """Return the typed parameters of the flow ``function`` that a filled form means.

    Args:
        function: the pipeline.
        experiment: the file; None: ``advanced`` has all that is needed.
        name: of the model, instead of the file's.
        time_budget: of the search, instead of that of the section.
        trials: likewise.
        advanced: sections in the place of the file's.

    Raises:
        InputError: the file cannot be read or lies elsewhere, or there is none and a needed section is missing.
        InputErrors: one for each key that is wrong.
    """
    sections = advanced.model_dump(mode="json", by_alias=True)
    chosen = {key: section for key, section in sections.items() if section is not None}
    missing = [key for key in ("data", "problem") if key not in chosen]
    if experiment is None and missing:
        raise InputError(
            "a run needs an experiment file, or the sections data and problem",
            f"no file, and no {' and no '.join(missing)}",
            "name a file at Experiment, or choose them under Advanced",
        )
    given = read(confined(experiment)) if experiment is not None else {}
    found, _ = parameters({**given, **chosen, **({"name": name} if name is not None else {})}, function)
    limits = {"time_budget": time_budget, "max_trials": trials}
    changed = {key: value for key, value in limits.items() if value is not None}
    return {**found, "search": found.get("search", SearchConfig()).model_copy(update=changed)}


def confined(path: str) -> Path:
    """Return ``path``, which a form may name, relative to the directory that flows run in.

    Raises:
        InputError: it leads elsewhere, or is no YAML file by its name.
    """
    root = Path.cwd().resolve()
    found = (root / path).resolve()
    if not found.is_relative_to(root):
        raise InputError(
            "an experiment file lies below the directory that 'carousel up' was started in",
            repr(path),
            "copy it there, and give its path from there, such as examples/tourism.yaml",
        )
    if found.suffix not in (".yaml", ".yml"):
        raise InputError("an experiment is a readable YAML file", repr(path), "give a file that ends in .yaml or .yml")
    return found.relative_to(root)
