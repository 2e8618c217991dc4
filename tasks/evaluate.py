"""Stage ``evaluate``: the one that opens the sealed test part, beside the baselines and the champion."""

from __future__ import annotations

import difflib
from typing import Any

from prefect import task
from pydantic import ConfigDict, Field

from tasks import store
from tasks.config import Config
from tasks.environment import environment
from tasks.errors import InputError, shortened
from tasks.kinds.registry import kind
from tasks.references import Dataset, Evaluation, Model, ModelVersion
from tasks.reporting.failure import explain_stage

VERSION = 4


class EvaluateConfig(Config):
    """What the model is measured against."""

    model_config = ConfigDict(title="Evaluate")

    baselines: list[str] | None = Field(
        None,
        title="Baselines",
        description="Some of those that the problem kind has; none: all of them.",
        min_length=1,
    )


@task(name="evaluate", task_run_name="evaluate {dataset.items} items", on_failure=[explain_stage])
def evaluate_model(model: Model, dataset: Dataset, rival: ModelVersion | None, evaluate: EvaluateConfig) -> Evaluation:
    """Measure ``model`` on the sealed part beside the baselines and the champion ``rival``.

    A champion that cannot predict this sealed part is named as not comparable, with the reason, and is not beaten.

    Raises:
        InputError: a baseline is named that the problem kind does not have.
    """
    found, data = store.path(model), store.path(dataset)
    baselines = check_baselines(dataset.kind, evaluate.baselines)
    inputs = (model.fingerprint, dataset.fingerprint, *([rival.fingerprint] if rival else []))
    # All of them, named or not, is one and the same evaluation.
    key = store.Key("evaluate", VERSION, evaluate.model_copy(update={"baselines": baselines}), inputs)

    def compute(out: Any) -> dict[str, Any]:
        champion, note = _champion(rival)
        return kind(dataset.kind).evaluate(data, found, champion, note, baselines, environment().workers, out)

    return Evaluation(key.uri, key.fingerprint, **store.commit(key, compute))


def check_baselines(problem: str, baselines: list[str] | None) -> list[str]:
    """Return the baselines that a model of the kind ``problem`` is measured against.

    Raises:
        InputError: one is named that the kind does not have.
    """
    known = list(kind(problem).BASELINES)
    wrong = [name for name in baselines or [] if name not in known]
    if not wrong:
        return known if baselines is None else list(dict.fromkeys(baselines))
    close = [near for name in wrong for near in difflib.get_close_matches(name, known, 1)]
    meant = f"did you mean {', '.join(close)}? " if close else ""
    choice = f"choose of {', '.join(known)}" if known else f"leave it out, {problem} needs no baseline"
    rule = f"evaluate.baselines: must be ones that problem {problem} has"
    raise InputError(rule, shortened(map(repr, wrong)), meant + choice)


def _champion(rival: ModelVersion | None) -> tuple[tuple[str, Any] | None, str | None]:
    """Return the champion's name and bundle, or why there is a champion without one: a format that is not ours."""
    if rival is None:
        return None, None
    from tasks.registry import load_bundle

    try:
        return (f"champion v{rival.version}", load_bundle(rival)), None
    except ValueError as error:
        return None, str(error)
