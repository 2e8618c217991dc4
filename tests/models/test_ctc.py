"""CTC decoding and likelihood against enumeration of all alignments."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest

from models.objectives import ctc
from models.objectives.ctc import Labels
from models.objectives.transcribe import TranscribeTarget, combine


def outputs(steps: int, symbols: int, seed: int, sharpness: float = 1.5) -> np.ndarray:
    scores = sharpness * np.random.default_rng(seed).normal(size=(steps, symbols + 1))
    return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)


def merged(alignment: tuple[int, ...]) -> Labels:
    return tuple(code for code, _ in groupby(alignment) if code)


def enumerated(log_TV: np.ndarray) -> dict[Labels, float]:
    """Return each labelling's log-probability, by adding up all its alignments."""
    total: dict[Labels, float] = {}
    for alignment in product(range(log_TV.shape[1]), repeat=len(log_TV)):
        score = sum(log_TV[t, code] for t, code in enumerate(alignment))
        total[merged(alignment)] = float(np.logaddexp(total.get(merged(alignment), -np.inf), score))
    return total


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("steps", "symbols"), [(1, 1), (3, 2), (5, 2), (6, 2), (4, 4)])
def test_an_unbounded_beam_ranks_all_labellings_as_enumeration_does(steps: int, symbols: int, seed: int) -> None:
    log_TV = outputs(steps, symbols, seed)
    truth = enumerated(log_TV)
    found = ctc.beam_search(log_TV, width=10_000, cutoff=0.0)
    assert set(found) == set(truth)
    scores = [truth[labels] for labels in found]
    assert scores == pytest.approx(sorted(scores, reverse=True), abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_likelihoods_equal_enumeration(seed: int) -> None:
    log_TV = outputs(5, 2, seed)
    truth = enumerated(log_TV)
    found_H = ctc.log_likelihoods(log_TV, list(truth))
    np.testing.assert_allclose(found_H, list(truth.values()), atol=1e-9)


def test_a_labelling_that_is_too_long_is_impossible() -> None:
    assert ctc.log_likelihoods(outputs(2, 2, 0), [(1, 1), (1, 2, 1), ()]).tolist()[:2] == [-np.inf, -np.inf]


@pytest.mark.parametrize("seed", range(6))
def test_greedy_merges_the_likeliest_alignment(seed: int) -> None:
    log_TV = outputs(7, 3, seed)
    assert ctc.greedy(log_TV) == merged(tuple(log_TV.argmax(axis=1)))


def test_beam_search_finds_what_greedy_misses() -> None:
    # The best path is blank twice, 0.36; but "1" has three alignments, 0.64 together (Graves 2006, figure 2).
    log_TV = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert ctc.greedy(log_TV) == ()
    assert ctc.beam_search(log_TV, width=4)[0] == (1,)


def test_a_repeated_symbol_needs_a_blank_between() -> None:
    sure = np.log(np.array([[0.01, 0.99], [0.99, 0.01], [0.01, 0.99]]))
    assert ctc.greedy(sure) == (1, 1)
    assert ctc.beam_search(sure, width=8)[0] == (1, 1)
    assert ctc.beam_search(sure[[0, 2]], width=8)[0] == (1,)


def test_a_sharp_output_is_read_alike_by_beam_and_greedy() -> None:
    log_TV = outputs(400, 30, 0, sharpness=40.0)
    assert ctc.beam_search(log_TV, width=8)[0] == ctc.greedy(log_TV)


def test_a_wider_beam_is_never_less_likely_than_the_best_path() -> None:
    for seed in range(10):
        log_TV = outputs(30, 5, seed)
        best = ctc.beam_search(log_TV, width=16)
        greedy, beam = ctc.log_likelihoods(log_TV, [ctc.greedy(log_TV), best[0]])
        assert beam >= greedy
        assert len(best) == 16


def test_members_agree_on_the_transcript_that_all_find_likeliest() -> None:
    target = TranscribeTarget(symbols=["a", "b"], beam_width=1000)
    # The second member has stacked steps: its lengths differ from the first one's.
    members = [[outputs(5, 2, 1), outputs(4, 2, 2)], [outputs(3, 2, 3), outputs(2, 2, 4)]]
    for transcript, one, other in zip(combine(target, members), *members, strict=True):
        left, right = enumerated(one), enumerated(other)
        best = max(left, key=lambda labels: left[labels] + right.get(labels, -np.inf))
        assert transcript.symbols == ["ab"[code - 1] for code in best]
        assert transcript.log_probability == pytest.approx((left[best] + right[best]) / 2, abs=1e-9)


def test_without_a_beam_the_transcript_is_the_best_path() -> None:
    log_TV = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    (greedy,) = combine(TranscribeTarget(symbols=["a"], beam_width=0), [[log_TV]])
    (beam,) = combine(TranscribeTarget(symbols=["a"]), [[log_TV]])
    assert (greedy.symbols, beam.symbols) == ([], ["a"])
    assert np.exp(greedy.log_probability) == pytest.approx(0.36)
    assert np.exp(beam.log_probability) == pytest.approx(0.64)


def test_of_what_is_no_number_the_empty_labelling_is_all_that_there_is() -> None:
    assert ctc.beam_search(np.full((3, 4), np.nan), 8) == [()]
    (transcript,) = combine(TranscribeTarget(symbols=["a", "b", "c"]), [[np.full((3, 4), np.nan, np.float32)]])
    assert transcript.symbols == []
