"""Stage ``evaluate``: the one that opens the sealed test part, beside the baselines and the champion."""

from __future__ import annotations

from typing import Any, Literal

from prefect import task
from pydantic import Field

from tasks import store
from tasks.config import Config
from tasks.environment import environment
from tasks.kinds.registry import kind
from tasks.references import Dataset, Evaluation, Model, ModelVersion

VERSION = 1

Baseline = Literal["last_value", "seasonal_naive", "auto_ets", "linear"]


class EvaluateConfig(Config):
    """What the model is measured against."""

    baselines: list[Baseline] = Field(
        ["last_value", "seasonal_naive", "auto_ets", "linear"], title="Baselines", min_length=1
    )


@task(name="evaluate", task_run_name="evaluate {dataset.items} items")
def evaluate_model(model: Model, dataset: Dataset, rival: ModelVersion | None, evaluate: EvaluateConfig) -> Evaluation:
    """Measure ``model`` on the sealed windows beside the baselines and the champion ``rival``.

    A champion that cannot forecast these windows is named as not comparable, with the reason, and is not beaten.
    """
    found, data = store.path(model), store.path(dataset)
    inputs = (model.fingerprint, dataset.fingerprint, *([rival.fingerprint] if rival else []))
    key = store.Key("evaluate", VERSION, evaluate, inputs)

    def compute(out: Any) -> dict[str, Any]:
        champion, note = _champion(rival)
        return kind(dataset.kind).evaluate(
            data, found, champion, note, list(evaluate.baselines), environment().workers, out
        )

    return Evaluation(key.uri, key.fingerprint, **store.commit(key, compute))


def _champion(rival: ModelVersion | None) -> tuple[tuple[str, Any] | None, str | None]:
    """Return the champion's name and bundle, or why there is a champion without one: a format that is not ours."""
    if rival is None:
        return None, None
    from tasks.registry import load_bundle

    try:
        return (f"champion v{rival.version}", load_bundle(rival)), None
    except ValueError as error:
        return None, str(error)
