"""An experiment as a whole: whether its sections fit each other, and as JSON to be kept beside the model."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from pydantic import BaseModel, TypeAdapter

from tasks.data.contract import RESERVED
from tasks.errors import InputError, InputErrors, shortened
from tasks.evaluate import check_baselines
from tasks.ingest import Data
from tasks.kinds.registry import kind
from tasks.prepare import check_split
from tasks.registry import check_name


def model_name(name: str | None, problem: BaseModel, data: Any) -> str:
    """Return the registered model's name: the one given, or one made from the problem and the first target.

    The sections went through ``check_sections``.

    Raises:
        InputError: it is no name that a model may have.
    """
    chosen = name if name is not None else f"{problem.kind}-{data.target[0]}"  # type: ignore[attr-defined]
    check_name(chosen)
    return chosen


def described(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a flow as JSON values."""
    return {key: v.model_dump(mode="json") if isinstance(v, BaseModel) else v for key, v in parameters.items()}


def with_time_budget(experiment: dict[str, Any], time_budget: str | None) -> dict[str, Any]:
    """Return the parameters ``experiment``, JSON values, with another time budget of the search; None: its own."""
    changed = {} if time_budget is None else {"time_budget": time_budget}
    return {**experiment, "search": {**experiment.get("search", {}), **changed}}


def check_sections(data: Any, problem: Any, split: Any, search: Any, evaluate: Any) -> None:
    """Check what one section asks of another, before anything is read or computed.

    Raises:
        InputErrors: one for each disagreement.
    """
    if found := list(_disagreements(data, problem, split, search, evaluate)):
        raise InputErrors("the experiment's sections must fit each other", found)


def _disagreements(data: Any, problem: Any, split: Any, search: Any, evaluate: Any) -> Iterator[InputError]:
    asked = kind(problem.kind)
    form = "sequences" if hasattr(data, "input") else "series"
    if form != asked.DATA:
        remedy = {
            "sequences": "say what the sequences are made of, such as data.input: {kind: text, column: question}",
            "series": "take data.input out and name data.timestamp",
        }[asked.DATA]
        yield InputError(f"problem {problem.kind} learns from {asked.DATA}", f"data that describes {form}", remedy)
    elif form == "sequences" and data.input.kind not in asked.INPUTS:
        yield InputError(
            f"problem {problem.kind} reads {' or '.join(asked.INPUTS)}",
            f"data.input.kind: {data.input.kind}",
            "choose another input or another problem",
        )
    if not data.target:
        yield InputError("data.target must be given", "none", "name the column that is to be predicted")
    if form == "sequences":
        yield from _column_disagreements(data, problem, split)
    if search.metric is not None and search.metric not in asked.SEARCH_METRICS:
        near = difflib.get_close_matches(search.metric, asked.SEARCH_METRICS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        known = ", ".join(asked.SEARCH_METRICS)
        rule = f"search.metric: must be one that problem {problem.kind} has"
        yield InputError(rule, repr(search.metric), f"{hint}Known here: {known}")
    checks: list[Callable[[], Any]] = [
        partial(check_split, problem.kind, split),
        partial(check_baselines, problem.kind, evaluate.baselines),
    ]
    for check in checks:
        try:
            check()
        except InputError as error:
            yield error


def _column_disagreements(data: Any, problem: Any, split: Any) -> Iterator[InputError]:
    """Check the columns of sequences: how many are predicted, and that a split is not made by a name of Carousel's."""
    if len(data.target or []) > 1 and not getattr(problem, "multi_label", False):
        yield InputError(
            "several target columns are the labels of a multi-label item",
            f"data.target: {shortened(data.target)} for problem {problem.kind}",
            "name one target column, or set problem: {kind: classify, multi_label: true}",
        )
    for key in ("group", "column"):
        if (name := getattr(split, key)) in RESERVED and getattr(data, name, None) != [name]:
            yield InputError(
                f"split.{key} must name a column of the source other than {', '.join(RESERVED)}",
                f"{name!r}, which in a table of sequences is Carousel's own",
                "rename the column in the source",
            )


def new_data(experiment: dict[str, Any], source: Any) -> Any:
    """Return the section ``data`` of ``experiment`` for another source, in which the target may be absent."""
    section = {**experiment["data"], "source": source}
    if "input" in section:
        section["target"] = []
    return TypeAdapter(Data).validate_python(section)


def data_with_truth(experiment: dict[str, Any], source: Any) -> Any:
    """Return the section ``data`` of ``experiment``, for another source if one is given; the target must be in it."""
    section = experiment["data"] if source is None else {**experiment["data"], "source": source}
    return TypeAdapter(Data).validate_python(section)
