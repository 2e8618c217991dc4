"""Problem kind ``classify``: one label for a whole sequence, or any number of labels out of a set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.errors import InputError, shortened
from tasks.kinds.items import as_text, counted, natural, one_each, require_targets, shown
from tasks.kinds.metric import Metric
from tasks.scoring import classification, multi_label

if TYPE_CHECKING:
    import polars as pl

    from models.objectives.classify import ClassifyTarget
    from models.sequence_columns import Layout
    from tasks.data.contract import Ledger
    from tasks.kinds.objective import Arrays
    from tasks.reporting.section import Section

FEWEST_ITEMS = 2
MOST_WEIGHT = 100.0


class Classify(BaseModel):
    """Predict a label for each whole sequence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["classify"] = "classify"
    multi_label: bool = Field(False, title="Multi-label", description="An item may have any number of labels.")
    separator: str = Field(
        "|", title="Separator", description="Between the labels of a multi-label target that is text.", min_length=1
    )
    class_weights: Literal["none", "balanced", "sqrt"] = Field(
        "none",
        title="Class weights",
        description="Whether rare labels weigh more in training: balanced, in inverse proportion to their items; sqrt, "
        "to the square root of that.",
    )


class ClassifyObjective:
    """See ``tasks.kinds.objective.Objective``."""

    name = "classify"
    does = "Gives each sequence a label, with the probability of every label."
    inputs = ["numeric", "text", "tokens", "audio"]  # noqa: RUF012
    baselines = ["majority", "linear"]  # noqa: RUF012
    validation_metrics = ["log_loss", "error", "macro_f1"]  # noqa: RUF012
    error = "error rate"

    def targets(self, problem: Classify, column: pl.Series, layout: Layout = "items") -> pl.Series:
        """Return String, or List(String) without repetition if multi-label."""
        import polars as pl

        if not problem.multi_label:
            return as_text(one_each(column))
        text = as_text(column)
        if text.dtype == pl.String:
            # An empty text is no missing target here: it names no label.
            filled = column if column.dtype == pl.String else text
            text = filled.str.split(problem.separator)
        joined = text.list.join(problem.separator, ignore_nulls=True).str.split(problem.separator)
        return joined.list.eval(pl.element().str.strip_chars()).list.eval(
            pl.element().filter(pl.element() != "").unique(maintain_order=True)
        )

    def check_target(self, problem: Classify, frame: pl.DataFrame, input_kind: str) -> None:
        if problem.multi_label:
            require_targets(frame, "labels", "mend or remove those items; an item without a label has an empty text")
            return
        require_targets(
            frame,
            "one label",
            "mend or remove those items; if items may have several labels, set problem.multi_label: true; if a label "
            "belongs to each step, set problem.kind: tag",
        )

    def fit_target(self, problem: Classify, frame: pl.DataFrame, ledger: Ledger) -> ClassifyTarget:
        from models.objectives.classify import ClassifyTarget

        column = frame["target"]
        flat = column.explode(empty_as_null=False) if problem.multi_label else column
        counts: dict[str, int] = dict(flat.drop_nulls().value_counts().iter_rows())
        labels = natural(list(counts))
        _require_classes(problem, labels, counts, len(frame))
        rare = [label for label in labels if counts[label] < FEWEST_ITEMS]
        if rare:
            said = "{count} labels that a single training item has"
            ledger.add("rare_label", "warning", "target", count=len(rare), examples=rare, said=said, action="kept")
        weights = _weights(problem, np.array([counts[label] for label in labels], np.float64), len(frame))
        return ClassifyTarget(labels=labels, multi_label=problem.multi_label, class_weights=weights)

    def strata(self, problem: Classify, column: pl.Series) -> list[str] | None:
        """Return the label; of several labels the rarest, so that it comes into every part."""
        if not problem.multi_label:
            return column.to_list()
        counts: dict[str, int] = dict(column.explode(empty_as_null=False).drop_nulls().value_counts().iter_rows())
        return [min(labels, key=lambda label: (counts[label], label)) if labels else "" for labels in column.to_list()]

    def metrics(self, target: ClassifyTarget) -> list[Metric]:
        if target.multi_label:
            return [
                Metric("micro_f1", "Micro F1", True, ".3f", "of all labels of all items together"),
                Metric("macro_f1", "Macro F1", True, ".3f", "the mean over labels"),
                Metric("exact", "Exact", True, "percent", "items with all labels right"),
                Metric("log_loss", "Log loss", False, ".3f", "of each label on its own"),
            ]
        return [
            Metric("accuracy", "Accuracy", True, "percent"),
            Metric("macro_f1", "Macro F1", True, ".3f", "the mean over labels, however rare"),
            Metric("log_loss", "Log loss", False, ".3f", "how unlikely the truth was held to be"),
            Metric(
                "ece", "Calibration error", False, ".3f", "mean gap between how sure and how often right", False, 0.0
            ),
        ]

    def score(self, target: ClassifyTarget, truth: list[Any], predictions: list[Any]) -> dict[str, float]:
        decoded, probability_NL = _decoded(target, predictions), np.stack(predictions)
        if target.multi_label:
            return multi_label.score(truth, decoded, target.codes, probability_NL)
        return classification.score(truth, decoded, classification.coded(truth, target.codes), probability_NL)

    def validation_loss(self, metric: str, target: ClassifyTarget, truth: list[Any], predictions: list[Any]) -> float:
        """``log_loss``: at the best temperature, with ``DOUBT``; ``error``, ``macro_f1``: one minus that metric."""
        if metric == "log_loss" and not target.multi_label:
            true_N = classification.coded(truth, target.codes)
            return classification.log_loss_at_best_temperature(true_N, np.stack(predictions), classification.DOUBT)[0]
        scores = self.score(target, truth, predictions)
        if metric == "log_loss":
            return scores["log_loss"]
        return 1 - scores["macro_f1" if metric == "macro_f1" else self.metrics(target)[0].name]

    def item_errors(self, target: ClassifyTarget, truth: list[Any], predictions: list[Any]) -> NDArray[np.float64]:
        """Return 1 for a wrong label; multi-label: the share of labels, true or predicted, that are wrong."""
        decoded = _decoded(target, predictions)
        if target.multi_label:
            return multi_label.distances(truth, decoded)
        return np.array([given != actual for given, actual in zip(decoded, truth, strict=True)], np.float64)

    def item_weights(self, target: ClassifyTarget, truth: list[Any]) -> NDArray[np.float64]:
        return np.ones(len(truth))

    def baseline(
        self,
        name: str,
        target: ClassifyTarget,
        train: pl.DataFrame,
        test: pl.DataFrame,
        input_kind: str,
        arrays: tuple[Arrays, Arrays] | None = None,
    ) -> list[Any]:
        from tasks.scoring import sequence_baselines

        truth, labels = train["target"].to_list(), len(target.labels)
        if name == "majority":
            if target.multi_label:
                return list(np.tile(multi_label.multi_hot(truth, target.codes).mean(axis=0), (len(test), 1)))
            share_L = sequence_baselines.shares(classification.coded(truth, target.codes), labels)
            return list(np.tile(share_L, (len(test), 1)))
        train_ND, test_MD = sequence_baselines.features(train, test, input_kind, arrays)
        if target.multi_label:
            return list(sequence_baselines.classify_multi(train_ND, truth, test_MD, target.codes))
        codes_N = classification.coded(truth, target.codes)
        return list(sequence_baselines.classify(train_ND, codes_N, test_MD, labels, target.class_weights))

    def details(
        self, target: ClassifyTarget, truth: list[Any], predictions: list[Any], items: pl.DataFrame
    ) -> dict[str, Any]:
        decoded, probability_NL, texts = _decoded(target, predictions), np.stack(predictions), shown(items)
        named = [label for labels in truth for label in labels] if target.multi_label else truth
        told = {"multi_label": target.multi_label, "unseen": classification.unseen(named, target.codes)}
        if target.multi_label:
            return told | multi_label.details(truth, decoded, target.codes, probability_NL, texts)
        true_N = classification.coded(truth, target.codes)
        return told | classification.details(truth, decoded, true_N, probability_NL, texts)

    def notes(self, details: dict[str, Any]) -> list[str]:
        unseen = details["unseen"]
        if not unseen:
            return []
        named = shortened(map(repr, unseen))
        count = sum(unseen.values())
        where = "with a label" if not details["multi_label"] else "labels"
        return [f"{counted(count, 'sealed item')} {where} that training never showed ({named}) count as errors"]

    def sections(self, details: dict[str, Any]) -> list[Section]:
        from tasks.reporting import error_sections

        drawn = [] if details["multi_label"] else [error_sections.confusion(details["confusion"])]
        drawn += [
            error_sections.calibration(details["calibration"], details["calibration_error"]),
            error_sections.labels(details["labels"]),
        ]
        if details["worst"]:
            columns = {"item": "Item", "truth": "Truth", "predicted": "Predicted"}
            if not details["multi_label"]:
                columns |= {"sure": "How sure", "truth_held": "Truth held"}
            hint = "Wrong items, those whose truth was held the least likely first."
            formats = {"How sure": "percent", "Truth held": "percent"}
            drawn.append(error_sections.examples(details["worst"], columns, hint, formats=formats))
        return drawn


OBJECTIVE = ClassifyObjective()


def _require_classes(problem: Classify, labels: list[str], counts: dict[str, int], items: int) -> None:
    """Refuse a target that nothing can be learned from."""
    if len(labels) < (1 if problem.multi_label else 2):
        raise InputError(
            "a target to classify must have at least two labels among the training items",
            f"{counted(items, 'training item')}, all of them {shortened(map(repr, labels)) or 'without a label'}",
            "choose another target, or look at data.null_values, split.group and split.column",
        )
    if items > 10 and max(counts.values()) == 1:
        raise InputError(
            "labels of a target to classify must repeat",
            f"{len(labels):,} labels for {items:,} training items: {shortened(map(repr, labels))}",
            "choose another target, or set problem.kind: regress if it is a number",
        )


def _weights(problem: Classify, counts_L: NDArray[np.float64], items: int) -> list[float] | None:
    """Return a weight for each label, 1 on average over the training items; multi-label: that of its presence."""
    if problem.class_weights == "none":
        return None
    power = 1.0 if problem.class_weights == "balanced" else 0.5
    if problem.multi_label:
        return np.clip(((items - counts_L) / counts_L) ** power, 1 / MOST_WEIGHT, MOST_WEIGHT).tolist()
    weights_L = (1 / counts_L) ** power
    return (weights_L * counts_L.sum() / (weights_L * counts_L).sum()).tolist()


def _decoded(target: ClassifyTarget, predictions: list[Any]) -> list[Any]:
    """Return each item's label, or labels."""
    return [target.decode(probability_L) for probability_L in predictions]
