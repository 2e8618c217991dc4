"""Labels, weights and smoothing of classification; the unit of regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from objectives import R

from models.objectives.classify import ClassifyHeadConfig, ClassifyTarget, combine
from models.objectives.regress import RegressHeadConfig, RegressTarget
from models.objectives.regress import combine as combine_values

LENGTHS = torch.tensor([3, 2])
ONES = torch.tensor([1, 1])


def head_of(target: ClassifyTarget, **point: float) -> torch.nn.Module:
    return ClassifyHeadConfig(**point).build(R, target)


def test_an_unknown_label_takes_no_part_in_the_loss() -> None:
    target = ClassifyTarget(labels=["a", "b"], class_weights=[1.0, 3.0])
    scores = torch.tensor([[0.3, -1.0], [2.0, 0.5]], requires_grad=True)
    codes = [target.encode(label) for label in ("b", "new")]
    assert [int(code[0]) for code in codes if code is not None] == [1, -1]
    head = head_of(target)
    both = head.loss(scores, LENGTHS, torch.tensor([[1], [-1]]), ONES)
    alone = head.loss(scores[:1], LENGTHS[:1], torch.tensor([[1]]), ONES[:1])
    torch.testing.assert_close(both, alone)
    none_known = head.loss(scores, LENGTHS, torch.tensor([[-1], [-1]]), ONES)
    none_known.backward()
    assert none_known.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_weights_count_an_item_as_often(smoothing: float) -> None:
    scores = torch.tensor([[0.3, -1.0], [2.0, 0.5]])
    weighted = head_of(ClassifyTarget(labels=["a", "b"], class_weights=[1.0, 3.0]))
    plain = head_of(ClassifyTarget(labels=["a", "b"]))
    once = weighted.loss(scores, LENGTHS, torch.tensor([[0], [1]]), ONES)
    rows = torch.tensor([0, 1, 1, 1])
    repeated = plain.loss(scores[rows], LENGTHS[rows], torch.tensor([[0], [1], [1], [1]]), ONES[rows])
    torch.testing.assert_close(once, repeated)


def test_smoothing_bounds_how_sure_a_label_is_to_be() -> None:
    target = ClassifyTarget(labels=["a", "b", "c", "d"])
    best = float(np.log(0.85 / 0.05))
    scores = torch.tensor([[best, 0.0, 0.0, 0.0]], requires_grad=True)
    head_of(target, label_smoothing=0.2).loss(scores, ONES[:1], torch.tensor([[0]]), ONES[:1]).backward()
    torch.testing.assert_close(scores.grad, torch.zeros(1, 4), rtol=0, atol=1e-6)


def test_a_multi_label_item_may_have_no_label_and_several() -> None:
    target = ClassifyTarget(labels=["a", "b", "c"], multi_label=True)
    assert [target.encode(given).tolist() for given in ([], ["c", "a", "new"])] == [[0, 0, 0], [1, 0, 1]]  # type: ignore[union-attr]
    assert target.decode(np.array([0.2, 0.4, 0.1])) == []
    assert target.decode(np.array([0.5, 0.4, 0.9])) == ["a", "c"]


def test_labels_that_are_numbers_in_the_source_are_found() -> None:
    encoded = ClassifyTarget(labels=["0", "1"]).encode(1)  # type: ignore[arg-type]
    assert encoded is not None
    assert encoded.tolist() == [1]


def test_weights_of_another_number_than_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one weight a label \(got 1 weights, 2 labels\)"):
        ClassifyTarget(labels=["a", "b"], class_weights=[1.0])


def test_members_are_averaged() -> None:
    target = ClassifyTarget(labels=["a", "b"])
    members = [[np.array([0.9, 0.1]), np.array([0.4, 0.6])], [np.array([0.3, 0.7]), np.array([0.2, 0.8])]]
    mean = combine(target, members)
    np.testing.assert_allclose(mean, [[0.6, 0.4], [0.3, 0.7]])
    assert [target.decode(item) for item in mean] == ["a", "b"]


def test_a_regression_is_learned_in_deviations_and_given_in_the_targets_unit() -> None:
    target = RegressTarget(mean=1e6, std=10.0)
    head = RegressHeadConfig().build(R, target)
    encoded = target.encode(1_000_015.0)
    assert encoded is not None
    assert encoded.tolist() == [1.5]
    (output,) = head.outputs(torch.tensor([1.5]), LENGTHS[:1])
    assert output.tolist() == [1_000_015.0]
    assert combine_values(target, [[output], [output + 2]]) == [1_000_016.0]


@pytest.mark.parametrize(
    ("loss", "gradient"), [("huber", [-0.5, -0.5]), ("absolute", [-0.5, -0.5]), ("squared", [-1.0, -500.0])]
)
def test_an_outlier_pulls_a_regression_as_hard_as_its_loss_says(loss: Any, gradient: list[float]) -> None:
    head = RegressHeadConfig().build(R, RegressTarget(mean=0, std=1, loss=loss))
    scores = torch.zeros(2, requires_grad=True)
    head.loss(scores, LENGTHS, torch.tensor([[1.0], [500.0]]), ONES).backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == gradient
