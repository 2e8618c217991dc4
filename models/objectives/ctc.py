"""Connectionist temporal classification: decoding, and the likelihood of a labelling (Graves et al. 2006).

An alignment gives each step a symbol or the blank (0); merging repeats and then dropping blanks leaves a labelling.

Shapes: T steps, V symbols and the blank, H hypotheses.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from torch import nn

Labels = tuple[int, ...]
"""A labelling: codes from 1 on."""

CUTOFF = 1e-5
"""Probability below which a beam is not extended by a symbol; CTC's outputs are sharp, so few are tried at a step."""


def greedy(log_TV: np.ndarray) -> Labels:
    """Return the labelling of the likeliest alignment."""
    best_T = log_TV.argmax(axis=1)
    starts_T = np.append(True, best_T[1:] != best_T[:-1])
    return tuple(best_T[starts_T & (best_T > 0)].tolist())


def beam_search(log_TV: np.ndarray, width: int, cutoff: float = CUTOFF) -> list[Labels]:
    """Return up to ``width`` labellings, the likeliest first, by prefix search (Graves 2006, Hannun et al. 2014).

    A beam is a prefix with two probabilities, by whether the last step was the blank: only after a blank does a
    repeated symbol stand for a second one. Alignments of one labelling are summed, which the best path does not do.
    With ``width`` as large as the number of prefixes and ``cutoff`` 0 the search is exact. Of what is no number, as a
    model that diverged gives it, the empty labelling is all that there is.
    """
    if np.isnan(log_TV).any():
        return [()]
    # Codes not numbers of arrays: the loop below is pure Python, where floats of lists are several times faster.
    probability_TV = np.exp(log_TV.astype(np.float64))
    tried_T = [np.flatnonzero(row_V[1:] > cutoff) + 1 for row_V in probability_TV]
    beams: dict[Labels, tuple[float, float]] = {(): (1.0, 0.0)}
    for row, tried in zip(probability_TV.tolist(), tried_T, strict=True):
        beams = _prune(_advance(beams, row, tried.tolist()), width)
    return list(beams)


def _advance(beams: dict[Labels, tuple[float, float]], row: list[float], tried: list[int]) -> dict[Labels, list[float]]:
    """Return all beams after one more step, each with its probability of ending in a blank and in a symbol."""
    after: dict[Labels, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for prefix, (blank, symbol) in beams.items():
        last = prefix[-1] if prefix else 0
        kept = after[prefix]
        kept[0] += (blank + symbol) * row[0]
        if last:
            kept[1] += symbol * row[last]
        for code in tried:
            after[(*prefix, code)][1] += (blank if code == last else blank + symbol) * row[code]
    return after


def _prune(beams: dict[Labels, list[float]], width: int) -> dict[Labels, tuple[float, float]]:
    """Return the ``width`` likeliest beams, in order, relative to the first so that nothing underflows."""
    best = sorted(beams.items(), key=lambda beam: -sum(beam[1]))[:width]
    scale = sum(best[0][1])
    return {prefix: (blank / scale, symbol / scale) for prefix, (blank, symbol) in best if blank + symbol > 0}


def log_likelihoods(log_TV: np.ndarray, hypotheses: list[Labels]) -> np.ndarray:
    """Return each labelling's log-probability, summed over all its alignments, float64 ``[H]``; -inf: too long."""
    log_TV1 = torch.from_numpy(log_TV.astype(np.float64))[:, None]
    lengths_H = torch.tensor([len(labels) for labels in hypotheses])
    flat = torch.tensor([code for labels in hypotheses for code in labels], dtype=torch.int64)
    steps_H = torch.full_like(lengths_H, len(log_TV))
    log_THV = log_TV1.expand(-1, len(hypotheses), -1)
    return -nn.functional.ctc_loss(log_THV, flat, steps_H, lengths_H, reduction="none").numpy()
