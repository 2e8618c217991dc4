"""A label for each step against the truth, step by step and, under BIO, span by span.

Spans are read as ``seqeval`` and before it ``conlleval`` read them: a span begins at ``B-X``, and also at an ``I-X``
that continues no X. A step whose true label is missing is left out of truth and prediction alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.scoring.classification import label_rows, macro_f1

Floats = NDArray[np.float64]
Labels = list[str]


class Span(NamedTuple):
    """Steps ``first`` to ``last``, both inside, of type ``kind``."""

    kind: str
    first: int
    last: int


ErrorKind = Literal["right", "boundary", "type", "missed", "spurious"]
ERRORS: tuple[ErrorKind, ...] = ("right", "boundary", "type", "missed", "spurious")


def labelled(truth: list[list[str | None]], predicted: list[Labels]) -> tuple[list[Labels], list[Labels]]:
    """Return truth and prediction of the steps that have a true label.

    Raises:
        ValueError: an item has not as many predictions as steps.
    """
    kept: tuple[list[Labels], list[Labels]] = ([], [])
    for item, (actual, given) in enumerate(zip(truth, predicted, strict=True)):
        if len(actual) != len(given):
            raise ValueError(
                f"a prediction must have a label for each step (got {len(given)} labels for the {len(actual)} steps of "
                f"item {item}): predict the items that the truth belongs to"
            )
        pairs = [(a, b) for a, b in zip(actual, given, strict=True) if a is not None]
        kept[0].append([a for a, _ in pairs])
        kept[1].append([b for _, b in pairs])
    return kept


def spans(labels: Labels) -> list[Span]:
    """Return the spans of an item under BIO, in their order."""
    from seqeval.metrics.sequence_labeling import get_entities

    return [Span(*found) for found in get_entities(labels)]


def span_score(truth: list[Labels], predicted: list[Labels]) -> dict[str, float]:
    """Return span_f1, span_precision and span_recall over all spans; 1 for all three if there is no span at all."""
    actual, given, hits = 0, 0, 0
    for labels, guesses in zip(truth, predicted, strict=True):
        a, b = set(spans(labels)), set(spans(guesses))
        actual, given, hits = actual + len(a), given + len(b), hits + len(a & b)
    if not actual + given:
        return {"span_f1": 1.0, "span_precision": 1.0, "span_recall": 1.0}
    return {
        "span_f1": 2 * hits / (actual + given),
        "span_precision": hits / given if given else 0.0,
        "span_recall": hits / actual if actual else 0.0,
    }


def step_score(truth: list[Labels], predicted: list[Labels]) -> dict[str, float]:
    """Return step_accuracy and macro_f1 over all steps, whatever item they are of."""
    flat_truth, flat_predicted = ([label for labels in items for label in labels] for items in (truth, predicted))
    if not flat_truth:
        return {"step_accuracy": float("nan"), "macro_f1": float("nan")}
    right = sum(a == b for a, b in zip(flat_truth, flat_predicted, strict=True))
    return {"step_accuracy": right / len(flat_truth), "macro_f1": macro_f1(flat_truth, flat_predicted)}


def span_distances(truth: list[Labels], predicted: list[Labels]) -> Floats:
    """Return 1 - F1 of each item's own spans [N]; 0 for an item that has none and for which none are predicted."""
    distances = []
    for labels, guesses in zip(truth, predicted, strict=True):
        a, b = set(spans(labels)), set(spans(guesses))
        distances.append(1 - 2 * len(a & b) / (len(a) + len(b)) if a or b else 0.0)
    return np.array(distances)


def wrong_shares(truth: list[Labels], predicted: list[Labels]) -> Floats:
    """Return the share of wrong steps of each item [N]; 0 for an item without labelled steps."""
    return np.array(
        [
            sum(x != y for x, y in zip(a, b, strict=True)) / len(a) if a else 0.0
            for a, b in zip(truth, predicted, strict=True)
        ]
    )


def span_errors(truth: Labels, predicted: Labels) -> list[tuple[ErrorKind, Span | None, Span | None]]:
    """Pair the spans of an item and say what each pair is: (kind, the true span, the predicted one).

    First those that are the same; then those with the same steps and another type; then overlaps of the same type
    (``boundary``); then other overlaps (``type``: at least the type is wrong). What is left was missed or is spurious.
    """
    actual, given = spans(truth), spans(predicted)
    found: list[tuple[ErrorKind, Span | None, Span | None]] = []
    for kind, fits in (
        ("right", lambda a, b: a == b),
        ("type", lambda a, b: a[1:] == b[1:]),
        ("boundary", lambda a, b: a.kind == b.kind and _overlap(a, b)),
        ("type", lambda a, b: _overlap(a, b)),
    ):
        for span in list(actual):
            partner = next((other for other in given if fits(span, other)), None)
            if partner is not None:
                actual.remove(span)
                given.remove(partner)
                found.append((kind, span, partner))  # type: ignore[arg-type]
    found += [("missed", span, None) for span in actual]
    found += [("spurious", None, span) for span in given]
    return found


def _overlap(a: Span, b: Span) -> bool:
    return a.first <= b.last and b.first <= a.last


def error_counts(truth: list[Labels], predicted: list[Labels]) -> dict[str, dict[str, int]]:
    """Count, for each type of span, the spans of every kind in ``ERRORS``; a spurious one counts to its own type."""
    counts: dict[str, Counter[str]] = {}
    for labels, guesses in zip(truth, predicted, strict=True):
        for kind, span, other in span_errors(labels, guesses):
            held = span or other
            assert held is not None
            counts.setdefault(held.kind, Counter())[kind] += 1
    return {kind: {error: counts[kind][error] for error in ERRORS} for kind in sorted(counts)}


def per_span_type(truth: list[Labels], predicted: list[Labels]) -> list[dict[str, Any]]:
    """Return label, items (true spans), precision, recall and f1 of each type, the lowest F1 first."""
    actual, given, hits = Counter[str](), Counter[str](), Counter[str]()
    for labels, guesses in zip(truth, predicted, strict=True):
        a, b = set(spans(labels)), set(spans(guesses))
        actual.update(span.kind for span in a)
        given.update(span.kind for span in b)
        hits.update(span.kind for span in a & b)
    names = sorted({*actual, *given})
    columns = [np.array([float(counts[name]) for name in names]) for counts in (hits, given, actual)]
    return label_rows(names, *columns)


def marked(tokens: Sequence[str], labels: Labels) -> str:
    """Return the tokens as one text, each span in brackets with its type: ``play [Westbam artist] now``."""
    opening = {span.first: span for span in spans(labels)}
    closing = {span.last: span for span in opening.values()}
    words = []
    for step, token in enumerate(tokens):
        before = "[" if step in opening else ""
        after = f" {closing[step].kind}]" if step in closing else ""
        words.append(f"{before}{token}{after}")
    return " ".join(words)


def runs(labels: Sequence[str | None]) -> str:
    """Return the labels as one text, repeated ones once with their number: ``walk x12, sit x3``."""
    grouped = [(label, len(list(steps))) for label, steps in groupby(labels)]
    return ", ".join(f"{label or '?'} x{count}" if count > 1 else str(label or "?") for label, count in grouped)
