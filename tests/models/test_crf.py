"""The CRF against enumeration of all paths.

Shapes: B items, T steps, L labels.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from models.objectives.crf import CRF, Chain, log_partition, viterbi

T, L = 4, 3
LENGTHS = torch.tensor([4, 1, 3, 2])
FREE = (np.ones((L, L), bool), np.ones(L, bool))
BIO = (np.array([[True, False, True], [True, True, True], [True, True, True]]), np.array([True, False, True]))
"""Labels O, I-X, B-X."""

each_scheme = pytest.mark.parametrize("allowed", [FREE, BIO], ids=["free", "bio"])


def make_crf(allowed: tuple[np.ndarray, np.ndarray]) -> CRF:
    torch.manual_seed(0)
    crf = CRF(*allowed)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


def unary(scale: float = 2.0) -> torch.Tensor:
    return scale * torch.randn(len(LENGTHS), T, L, generator=torch.Generator().manual_seed(1)).double()


def path_scores(crf: CRF, unary_TL: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Return the score of each allowed path, by adding up."""
    scores = {}
    for path in product(range(L), repeat=len(unary_TL)):
        pairs = list(zip(path, path[1:], strict=False))
        if not crf.allowed_first_L[path[0]] or not all(crf.allowed_LL[a, b] for a, b in pairs):
            continue
        score = crf.first_L[path[0]] + crf.last_L[path[-1]] + sum(crf.pair_LL[a, b] for a, b in pairs)
        scores[path] = float(score.detach() + sum(unary_TL[t, label] for t, label in enumerate(path)))
    return scores


@each_scheme
def test_log_likelihood_equals_enumeration(allowed: tuple[np.ndarray, np.ndarray]) -> None:
    crf, unary_BTL = make_crf(allowed), unary()
    for row, length in enumerate(LENGTHS.tolist()):
        scores = path_scores(crf, unary_BTL[row, :length])
        total = np.logaddexp.reduce(list(scores.values()))
        for path, score in scores.items():
            truth_BT = torch.zeros(len(LENGTHS), T, dtype=torch.int64)
            truth_BT[row, :length] = torch.tensor(path)
            found = crf.negative_log_likelihood(unary_BTL, LENGTHS, truth_BT)[row].item()
            assert found == pytest.approx(total - score, abs=1e-6)


@each_scheme
def test_an_unlabelled_step_may_be_any_label(allowed: tuple[np.ndarray, np.ndarray]) -> None:
    crf, unary_BTL = make_crf(allowed), unary()
    truth_BT = torch.tensor([[0, -100, 2, -100], [-100] * 4, [-100, -100, 0, 0], [2, -100, 0, 0]])
    found_B = crf.negative_log_likelihood(unary_BTL, LENGTHS, truth_BT)
    for row, length in enumerate(LENGTHS.tolist()):
        scores = path_scores(crf, unary_BTL[row, :length])
        fits = [
            score
            for path, score in scores.items()
            if all(known in (-100, label) for known, label in zip(truth_BT[row].tolist(), path, strict=False))
        ]
        expected = np.logaddexp.reduce(list(scores.values())) - np.logaddexp.reduce(fits)
        assert found_B[row].item() == pytest.approx(expected, abs=1e-6)


@each_scheme
def test_marginals_equal_enumeration(allowed: tuple[np.ndarray, np.ndarray]) -> None:
    crf, unary_BTL = make_crf(allowed), unary()
    found_BTL = crf.marginals(unary_BTL, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        scores = path_scores(crf, unary_BTL[row, :length])
        total = np.logaddexp.reduce(list(scores.values()))
        expected_TL = np.zeros((T, L))
        for path, score in scores.items():
            for t, label in enumerate(path):
                expected_TL[t, label] += np.exp(score - total)
        np.testing.assert_allclose(found_BTL[row], expected_TL, atol=1e-7)


@each_scheme
def test_viterbi_finds_the_best_path_of_all(allowed: tuple[np.ndarray, np.ndarray]) -> None:
    crf = make_crf(allowed)
    for scale in (0.1, 1.0, 30.0):
        unary_BTL = unary(scale)
        with torch.no_grad():
            path_BT = viterbi(unary_BTL, LENGTHS, crf.chain())
        for row, length in enumerate(LENGTHS.tolist()):
            scores = path_scores(crf, unary_BTL[row, :length])
            assert tuple(path_BT[row, :length].tolist()) == max(scores, key=lambda path: scores[path])


def test_gradients_of_the_log_partition_are_those_of_finite_differences() -> None:
    chain = [parameter.detach().double().requires_grad_() for parameter in make_crf(FREE).chain()]
    weight_B = torch.tensor([1.0, -2.0, 0.5, 3.0]).double()

    def weighted(unary_BTL: torch.Tensor, *scores: torch.Tensor) -> torch.Tensor:
        return log_partition(unary_BTL, LENGTHS, Chain(*scores)) * weight_B

    assert torch.autograd.gradcheck(weighted, (unary().requires_grad_(), *chain))


def test_steps_past_a_length_never_act() -> None:
    crf, unary_BTL = make_crf(BIO), unary()
    outside_BT = torch.arange(T) >= LENGTHS[:, None]
    noisy_BTL = unary_BTL.masked_fill(outside_BT[..., None], torch.nan)
    truth_BT = torch.tensor([[2, 1, 0, 0], [0, 0, 0, 0], [0, 2, 1, 0], [2, 1, 0, 0]])
    clean_B = crf.negative_log_likelihood(unary_BTL, LENGTHS, truth_BT)
    assert torch.equal(crf.negative_log_likelihood(noisy_BTL, LENGTHS, truth_BT), clean_B)
    assert torch.equal(crf.marginals(noisy_BTL, LENGTHS), crf.marginals(unary_BTL, LENGTHS))
    for row, length in enumerate(LENGTHS.tolist()):
        one = slice(row, row + 1)
        alone = crf.negative_log_likelihood(unary_BTL[one, :length], LENGTHS[one], truth_BT[one, :length])
        torch.testing.assert_close(alone, clean_B[one])


def test_long_items_and_extreme_scores_stay_finite() -> None:
    crf = make_crf(BIO)
    unary_BTL = 500 * torch.randn(2, 2000, L, generator=torch.Generator().manual_seed(2))
    unary_BTL.requires_grad_()
    truth_BT = torch.full((2, 2000), 1)
    truth_BT[0, :] = 0
    loss_B = crf.negative_log_likelihood(unary_BTL, torch.tensor([2000, 1500]), truth_BT)
    loss_B.sum().backward()
    assert loss_B.isfinite().all()
    assert unary_BTL.grad is not None
    assert unary_BTL.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in crf.parameters())


def test_a_label_that_nothing_may_precede_breaks_nothing() -> None:
    allowed = np.ones((L, L), bool)
    allowed[:, 1] = False
    crf = make_crf((allowed, np.array([True, False, True])))
    unary_BTL = unary().requires_grad_()
    loss = crf.negative_log_likelihood(unary_BTL, LENGTHS, torch.zeros(len(LENGTHS), T, dtype=torch.int64)).sum()
    loss.backward()
    assert loss.isfinite()
    assert unary_BTL.grad is not None
    assert unary_BTL.grad.isfinite().all()
    assert crf.marginals(unary_BTL, LENGTHS)[..., 1].max() < 1e-30
