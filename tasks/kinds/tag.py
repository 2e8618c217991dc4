"""Problem kind ``tag``: a label for each token, or for each step of numeric channels."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.errors import InputError, shortened
from tasks.kinds.items import as_text, counted, cut, require_targets, shown
from tasks.kinds.metric import Metric
from tasks.scoring import classification, tagging

if TYPE_CHECKING:
    import polars as pl

    from models.objectives.tag import TagTarget
    from models.sequence_columns import Layout
    from tasks.data.contract import Ledger
    from tasks.kinds.objective import Arrays
    from tasks.reporting.section import Section

MOST_EXAMPLES = 15


class Tag(BaseModel):
    """Predict a label for each token or step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["tag"] = "tag"
    scheme: Literal["auto", "bio", "none"] = Field(
        "auto",
        title="Scheme",
        description="bio: labels are O, B-type and I-type, and whole spans count; none: every step counts on its own; "
        "auto: bio where all labels look like it.",
    )
    separator: str = Field(
        " ", title="Separator", description="Between the labels of an item, where the target is text.", min_length=1
    )


class TagObjective:
    """See ``tasks.kinds.objective.Objective``."""

    name = "tag"
    does = "Gives each step of a sequence a label, with its probability."
    inputs = ["tokens", "numeric"]  # noqa: RUF012
    baselines = ["most_frequent", "linear"]  # noqa: RUF012
    validation_metrics = ["error", "step_error"]  # noqa: RUF012
    error = "error of an item"

    def targets(self, problem: Tag, column: pl.Series, layout: Layout = "items") -> pl.Series:
        """Return List(String); a null in a list is a step without a label."""
        import polars as pl

        if column.dtype == pl.String:
            if problem.separator == " ":
                return column.str.extract_all(r"\S+")
            return column.str.split(problem.separator)
        if not isinstance(column.dtype, pl.List | pl.Array):
            # One label an item, as a table of one row an item has it: of an item of one step it is right.
            column = column.reshape((-1, 1)).arr.to_list() if len(column) else column.cast(pl.List(pl.String))
        return as_text(column)

    def check_target(self, problem: Tag, frame: pl.DataFrame, input_kind: str) -> None:
        import polars as pl

        known = frame.with_columns(
            target=pl.when(pl.col("target").list.drop_nulls().list.len() > 0).then(pl.col("target"))
        )
        require_targets(known, "a list of labels", "mend or remove those items; check data.null_values")
        lengths = frame.select("item_id", steps=pl.col("input").list.len(), labels=pl.col("target").list.len())
        uneven = lengths.filter(pl.col("steps") != pl.col("labels"))
        if len(uneven):
            noun = "tokens" if input_kind == "tokens" else "steps"
            named = [f"{item} has {steps} {noun} and {labels} labels" for item, steps, labels in uneven.iter_rows()]
            raise InputError(
                f"an item must have a label for each of its {noun}",
                f"{counted(len(uneven), 'item')}: {shortened(named)}",
                "mend those items; if the target is text, check problem.separator; if a label is for a whole item, set "
                "problem.kind: classify",
            )

    def fit_target(self, problem: Tag, frame: pl.DataFrame, ledger: Ledger) -> TagTarget:
        from models.objectives.tag import TagTarget

        items = frame["target"].drop_nulls().to_list()
        counts = Counter(label for labels in items for label in labels if label is not None)
        if len(counts) < 2:
            raise InputError(
                "a target to tag must have at least two labels among the training items",
                f"{counted(counts.total(), 'step')}, all of them {shortened(map(repr, counts)) or 'without a label'}",
                "choose another target, or look at data.null_values, split.group and split.column",
            )
        if problem.scheme == "bio" and (strange := [label for label in sorted(counts) if not _is_bio(label)]):
            raise InputError(
                "labels of problem.scheme: bio must be O, B-type or I-type",
                f"{counted(len(strange), 'other label')}: {shortened(map(repr, strange))}",
                "rename them, or set problem.scheme: none",
            )
        target = TagTarget.fit(items, problem.scheme)
        if target.tolerated:
            pairs = [f"{after} after {before}" if before else f"{after} first" for before, after in target.tolerated]
            said = "{count} pairs of labels that BIO does not allow"
            ledger.add("bio_pairs", "warning", "target", count=len(pairs), examples=pairs, said=said, action="allowed")
        return target

    def strata(self, problem: Tag, column: pl.Series) -> list[str] | None:
        return None

    def metrics(self, target: TagTarget) -> list[Metric]:
        steps = [
            Metric("step_accuracy", "Step accuracy", True, "percent", "steps with the right label"),
            Metric("macro_f1", "Macro F1", True, ".3f", "of the labels of single steps, the mean over labels"),
        ]
        if target.scheme == "none":
            return steps
        return [
            Metric("span_f1", "Span F1", True, ".3f", "a span counts only if its type and both its ends are right"),
            Metric("span_precision", "Precision", True, ".3f", "share of the predicted spans that are right"),
            Metric("span_recall", "Recall", True, ".3f", "share of the true spans that are found"),
            steps[0],
        ]

    def score(self, target: TagTarget, truth: list[Any], predictions: list[Any]) -> dict[str, float]:
        actual, given = tagging.labelled(truth, _decoded(target, predictions))
        steps = tagging.step_score(actual, given)
        if target.scheme == "none":
            return steps
        return {**tagging.span_score(actual, given), "step_accuracy": steps["step_accuracy"]}

    def validation_loss(self, metric: str, target: TagTarget, truth: list[Any], predictions: list[Any]) -> float:
        """``error`` is one minus the headline, ``step_error`` the share of steps with a wrong label."""
        scores = self.score(target, truth, predictions)
        return 1 - scores["step_accuracy" if metric == "step_error" else self.metrics(target)[0].name]

    def item_errors(self, target: TagTarget, truth: list[Any], predictions: list[Any]) -> NDArray[np.float64]:
        """Return 1 - F1 of an item's own spans under BIO, else the share of its steps that are wrong."""
        actual, given = tagging.labelled(truth, _decoded(target, predictions))
        return (tagging.wrong_shares if target.scheme == "none" else tagging.span_distances)(actual, given)

    def item_weights(self, target: TagTarget, truth: list[Any]) -> NDArray[np.float64]:
        """Return the true spans of each item, at least one, or its labelled steps."""
        actual, _ = tagging.labelled(truth, truth)
        if target.scheme == "none":
            return np.array([len(labels) for labels in actual], np.float64)
        return np.array([max(len(tagging.spans(labels)), 1) for labels in actual], np.float64)

    def baseline(
        self,
        name: str,
        target: TagTarget,
        train: pl.DataFrame,
        test: pl.DataFrame,
        input_kind: str,
        arrays: tuple[Arrays, Arrays] | None = None,
    ) -> list[Any]:
        from models.objectives.tag import Tags
        from tasks.scoring import tagging_baselines

        codes = [target.encode(labels) for labels in train["target"].to_list()]
        known: list[NDArray[np.int64]] = [code_T for code_T in codes if code_T is not None]
        if input_kind == "tokens":
            tagger = tagging_baselines.most_frequent if name == "most_frequent" else tagging_baselines.linear_tokens
            found = tagger(train["input"].to_list(), known, test["input"].to_list())
        else:
            assert arrays is not None, "the steps of numeric channels come from the prepared arrays"
            fitted, asked = ([part.item(i) for i in range(len(part))] for part in arrays)
            if name == "most_frequent":
                found = tagging_baselines.majority(known, [len(item) for item in asked])
            else:
                found = tagging_baselines.linear_steps(fitted, known, asked)
        return [Tags(*one) for one in found]

    def details(
        self, target: TagTarget, truth: list[Any], predictions: list[Any], items: pl.DataFrame
    ) -> dict[str, Any]:
        actual, given = tagging.labelled(truth, _decoded(target, predictions))
        flat_truth, flat_given = ([label for labels in part for label in labels] for part in (actual, given))
        error_N = self.item_errors(target, truth, predictions)
        # An item of many wrong spans before one whose only span is wrong, though the error of both is 1.
        ranked = np.argsort(-error_N * self.item_weights(target, truth), kind="stable").tolist()
        worst = [i for i in ranked if error_N[i] > 0][:MOST_EXAMPLES]
        sure = np.concatenate([tags[1] for tags in predictions]) if predictions else np.empty(0)
        known = np.array([label is not None for labels in truth for label in labels], bool)
        right = np.array([a == b for a, b in zip(flat_truth, flat_given, strict=True)], bool)
        bins = classification.reliability(sure[known], right)
        told = {
            "scheme": target.scheme,
            "unseen": classification.unseen(flat_truth, target.codes),
            "confusion": classification.most_confused(flat_truth, flat_given),
            "calibration": bins,
            "calibration_error": classification.calibration_error(bins),
            "worst": [_example(target, i, truth, predictions, items, float(error_N[i])) for i in worst],
        }
        if target.scheme == "none":
            return told | {"labels": classification.per_label(flat_truth, flat_given)}
        errors = tagging.error_counts(actual, given)
        return told | {"labels": tagging.per_span_type(actual, given), "errors": errors}

    def notes(self, details: dict[str, Any]) -> list[str]:
        unseen = details["unseen"]
        if not unseen:
            return []
        named = shortened(map(repr, unseen))
        count = counted(sum(unseen.values()), "sealed step")
        return [f"{count} with a label that training never showed ({named}) count as errors"]

    def sections(self, details: dict[str, Any]) -> list[Section]:
        from tasks.reporting import error_sections

        drawn = []
        spans = details["scheme"] == "bio"
        if spans:
            hint = (
                "Boundary: the type is right, an end is not. Type: the place is right, or overlaps, the type is not. "
                "Missed: a true span that no prediction touches. Spurious: a predicted one that touches no true span."
            )
            drawn.append(error_sections.stacked(details["errors"], "Spans by error", hint))
        drawn += [
            error_sections.labels(details["labels"], *(("spans", "Type") if spans else ("steps", "Label"))),
            error_sections.calibration(details["calibration"], details["calibration_error"], "steps"),
            error_sections.confusion(details["confusion"], "steps"),
        ]
        if details["worst"]:
            columns = {"item": "Item", "truth": "Truth", "predicted": "Predicted", "error": "Error"}
            hint = "The items with the most errors first" + (", spans in brackets with their type." if spans else ".")
            drawn.append(error_sections.examples(details["worst"], columns, hint, formats={"Error": "percent"}))
        return drawn


OBJECTIVE = TagObjective()


def _is_bio(label: str) -> bool:
    return label == "O" or (label[:2] in ("B-", "I-") and len(label) > 2)


def _decoded(target: TagTarget, predictions: list[Any]) -> list[list[str]]:
    return [[target.labels[code] for code in tags[0]] for tags in predictions]


def _example(
    target: TagTarget, place: int, truth: list[Any], predictions: list[Any], items: pl.DataFrame, error: float
) -> dict[str, Any]:
    """Return an item with its true and its predicted labels: spans marked in its tokens, or runs of equal labels."""
    actual, given = truth[place], _decoded(target, [predictions[place]])[0]
    row = items[place]
    told = {"item": row["item_id"][0], "error": error}
    if target.scheme == "bio" and "input" in items.columns:
        tokens = row["input"][0].to_list()
        marks = [tagging.marked(tokens, [label or "O" for label in labels]) for labels in (actual, given)]
    else:
        told["item"] = shown(row)[0]
        marks = [tagging.runs(labels) for labels in (actual, given)]
    return told | {"truth": cut(marks[0]), "predicted": cut(marks[1])}
