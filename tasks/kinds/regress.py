"""Problem kind ``regress``: one number for a whole sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.encoding import LARGEST
from tasks.errors import InputError
from tasks.kinds.items import counted, one_each, require_targets, shown
from tasks.kinds.metric import Metric
from tasks.scoring import regression

if TYPE_CHECKING:
    import polars as pl

    from models.objectives.regress import RegressTarget
    from models.sequence_columns import Layout
    from tasks.data.contract import Ledger
    from tasks.kinds.objective import Arrays
    from tasks.reporting.section import Section

STRATA = 10
MOST_EXAMPLES = 15
MOST_POINTS = 1000


class Regress(BaseModel):
    """Predict a number for each whole sequence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["regress"] = "regress"
    loss: Literal["huber", "squared", "absolute"] = Field(
        "huber",
        title="Loss",
        description="What training minimises: squared leads to means, absolute to medians; huber is squared up to one "
        "standard deviation of the target and absolute beyond.",
    )


class RegressObjective:
    """See ``tasks.kinds.objective.Objective``."""

    name = "regress"
    does = "Gives each sequence a number."
    inputs = ["numeric", "text", "tokens", "audio"]  # noqa: RUF012
    baselines = ["mean", "linear"]  # noqa: RUF012
    validation_metrics = ["mae", "rmse"]  # noqa: RUF012
    error = "absolute error"

    def targets(self, problem: Regress, column: pl.Series, layout: Layout = "items") -> pl.Series:
        """Return Float64; null for what is no number below ``LARGEST`` in size.

        Raises:
            InputError: the column holds dates, times or durations.
        """
        import polars as pl

        single = one_each(column)
        if single.dtype.is_temporal():
            raise InputError(
                "a target to regress must hold numbers",
                f"{single.dtype}",
                "write it as a number in the source, such as the days since a date",
            )
        numbers = single.cast(pl.Float64, strict=False)
        return numbers.set(~numbers.abs().lt(LARGEST).fill_null(False), None)

    def check_target(self, problem: Regress, frame: pl.DataFrame, input_kind: str) -> None:
        require_targets(
            frame,
            "one finite number",
            "mend or remove those items; if the target is a label, set problem.kind: classify; if every step has a "
            "number of its own, set problem.kind: forecast",
        )

    def fit_target(self, problem: Regress, frame: pl.DataFrame, ledger: Ledger) -> RegressTarget:
        from models.objectives.regress import RegressTarget

        truth_N = frame["target"].drop_nulls().to_numpy()
        std = float(truth_N.std()) if len(truth_N) else 0.0
        mean = float(truth_N.mean()) if len(truth_N) else 0.0
        if not std > 1e-12 * abs(mean) or not np.isfinite(std):
            raise InputError(
                "a target to regress must vary among the training items",
                f"{counted(len(truth_N), 'training item')} with the mean {mean:g} and the standard deviation {std:g}",
                "choose another target, or look at split.group and split.column",
            )
        return RegressTarget(mean=mean, std=std, loss=problem.loss)

    def strata(self, problem: Regress, column: pl.Series) -> list[str] | None:
        """Return the tenth of the target's range of ranks that each item lies in."""
        ranks = column.rank("ordinal").fill_null(0).to_numpy()
        return [str(int(rank * STRATA) // (len(ranks) + 1)) for rank in ranks]

    def metrics(self, target: RegressTarget) -> list[Metric]:
        return [
            Metric("mae", "MAE", False, ".4g", "mean absolute error, in the target's unit"),
            Metric("rmse", "RMSE", False, ".4g", "root of the mean squared error"),
            Metric("r2", "R²", True, ".3f", "share of the variance that is explained"),
        ]

    def score(self, target: RegressTarget, truth: list[Any], predictions: list[Any]) -> dict[str, float]:
        return regression.score(np.array(truth, np.float64), np.array(predictions, np.float64))

    def validation_loss(self, metric: str, target: RegressTarget, truth: list[Any], predictions: list[Any]) -> float:
        return self.score(target, truth, predictions)[metric]

    def item_errors(self, target: RegressTarget, truth: list[Any], predictions: list[Any]) -> NDArray[np.float64]:
        """Return the absolute errors."""
        return np.abs(np.array(predictions, np.float64) - np.array(truth, np.float64))

    def item_weights(self, target: RegressTarget, truth: list[Any]) -> NDArray[np.float64]:
        return np.ones(len(truth))

    def baseline(
        self,
        name: str,
        target: RegressTarget,
        train: pl.DataFrame,
        test: pl.DataFrame,
        input_kind: str,
        arrays: tuple[Arrays, Arrays] | None = None,
    ) -> list[Any]:
        from tasks.scoring import sequence_baselines

        truth_N = train["target"].to_numpy()
        if name == "mean":
            return [float(truth_N.mean())] * len(test)
        train_ND, test_MD = sequence_baselines.features(train, test, input_kind, arrays)
        return sequence_baselines.regress(train_ND, truth_N, test_MD).tolist()

    def details(
        self, target: RegressTarget, truth: list[Any], predictions: list[Any], items: pl.DataFrame
    ) -> dict[str, Any]:
        texts, error_N = shown(items), np.array(predictions, np.float64) - np.array(truth, np.float64)
        drawn = range(0, len(truth), -(-len(truth) // MOST_POINTS)) if truth else range(0)
        worst = np.argsort(-np.abs(error_N), kind="stable")[:MOST_EXAMPLES].tolist()
        low, high = (float(np.min(truth)), float(np.max(truth))) if truth else (0.0, 0.0)
        return {
            "truth": [float(truth[i]) for i in drawn],
            "predicted": [float(predictions[i]) for i in drawn],
            "shown": [texts[i] for i in drawn],
            "range": [low, high],
            "bias": float(error_N.mean()) if truth else None,
            "worst": [
                {
                    "item": texts[i],
                    "truth": float(truth[i]),
                    "predicted": float(predictions[i]),
                    "error": float(error_N[i]),
                }
                for i in worst
                if error_N[i]
            ],
        }

    def notes(self, details: dict[str, Any]) -> list[str]:
        return []

    def sections(self, details: dict[str, Any]) -> list[Section]:
        from tasks.reporting import error_sections

        truth, predicted = details["truth"], details["predicted"]
        if not truth:
            return []
        drawn = [
            error_sections.agreement(truth, predicted, details["shown"]),
            error_sections.residuals([None if b is None else b - a for a, b in zip(truth, predicted, strict=True)]),
        ]
        if details["worst"]:
            columns = {"item": "Item", "truth": "Truth", "predicted": "Predicted", "error": "Error"}
            formats = dict.fromkeys(("Truth", "Predicted", "Error"), ".4g")
            hint = "The largest errors first."
            drawn.append(error_sections.examples(details["worst"], columns, hint, formats=formats))
        return drawn


OBJECTIVE = RegressObjective()
