"""A text against the true one: word and character error rate by ``jiwer``, and the alignment behind them.

A word is what stands between spaces; where the symbols are words or phonemes, a word is a symbol.

Shapes: N items.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GAP = "*"


def score(truth: list[str], predicted: list[str]) -> dict[str, float]:
    """Return wer, cer and exact (the share of items without an error); NaN where there is no truth to count by."""
    import jiwer

    if not any(text.strip() for text in truth):
        return dict.fromkeys(("wer", "cer", "exact"), float("nan"))
    # jiwer divides by the length of the truth, and each rate is taken over all items at once.
    same = [a.split() == b.split() for a, b in zip(truth, predicted, strict=True)]
    return {"wer": jiwer.wer(truth, predicted), "cer": jiwer.cer(truth, predicted), "exact": float(np.mean(same))}


def word_errors(truth: list[str], predicted: list[str]) -> tuple[Floats, Floats]:
    """Return the wrong words of each item (substituted, left out and put in) and its true words [N]."""
    return _errors(_words(truth, predicted), [len(text.split()) for text in truth])


def character_errors(truth: list[str], predicted: list[str]) -> tuple[Floats, Floats]:
    """Return the wrong characters of each item and its true characters [N]."""
    import jiwer

    return _errors(jiwer.process_characters(truth, predicted), [len(text) for text in truth])


def confusions(truth: list[str], predicted: list[str], by_words: bool, most: int = 15) -> list[dict[str, Any]]:
    """Return the most frequent single errors: kind, truth, predicted, count; a ``GAP`` stands for nothing."""
    counts: Counter[tuple[str, str, str]] = Counter()
    aligned = _aligned(truth, predicted, by_words)
    for references, hypotheses, chunks in zip(aligned.references, aligned.hypotheses, aligned.alignments, strict=True):
        for kind, actual, given in _pairs(references, hypotheses, chunks):
            if kind != "equal":
                counts[kind, actual, given] += 1
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
    return [{"kind": kind, "truth": a, "predicted": b, "count": count} for (kind, a, b), count in ranked]


def totals(truth: list[str], predicted: list[str], by_words: bool) -> dict[str, int]:
    """Count hits, substitutions, deletions and insertions over all items."""
    aligned = _aligned(truth, predicted, by_words)
    return {name: getattr(aligned, name) for name in ("hits", "substitutions", "deletions", "insertions")}


def alignment(truth: str, predicted: str, by_words: bool, width: int = 88) -> str:
    """Return two lines, truth above prediction, what was aligned in one column and gaps filled with ``GAP``.

    What is longer than ``width`` goes on in two lines more.
    """
    aligned = _aligned([truth], [predicted], by_words)
    joint = " " if by_words else ""
    lines, top, bottom = [], "", ""
    for kind, actual, given in _pairs(aligned.references[0], aligned.hypotheses[0], aligned.alignments[0]):
        wide = max(len(actual), len(given))
        if top and len(top) + len(joint) + wide > width:
            lines += [top, bottom]
            top = bottom = ""
        top += (joint if top else "") + actual.ljust(wide, GAP if kind == "insert" else " ")
        bottom += (joint if bottom else "") + given.ljust(wide, GAP if kind == "delete" else " ")
    return "\n".join([*lines, top, bottom])


def _aligned(truth: list[str], predicted: list[str], by_words: bool) -> Any:
    import jiwer

    return _words(truth, predicted) if by_words else jiwer.process_characters(truth, predicted)


def _words(truth: list[str], predicted: list[str]) -> Any:
    import jiwer

    return jiwer.process_words(truth, predicted)


def _errors(aligned: Any, lengths: list[int]) -> tuple[Floats, Floats]:
    errors = [
        sum(
            max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
            for chunk in chunks
            if chunk.type != "equal"
        )
        for chunks in aligned.alignments
    ]
    return np.array(errors, np.float64), np.array(lengths, np.float64)


def _pairs(references: list[str], hypotheses: list[str], chunks: list[Any]) -> list[tuple[str, str, str]]:
    """Return (kind, true symbol, predicted symbol) in their order."""
    pairs = []
    for chunk in chunks:
        actual = references[chunk.ref_start_idx : chunk.ref_end_idx]
        given = hypotheses[chunk.hyp_start_idx : chunk.hyp_end_idx]
        for place in range(max(len(actual), len(given))):
            a = actual[place] if place < len(actual) else GAP
            b = given[place] if place < len(given) else GAP
            pairs.append((chunk.type, a, b))
    return pairs
