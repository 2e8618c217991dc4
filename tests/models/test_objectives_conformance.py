"""What every objective must hold: parametrised over the registry, a new one is tested by standing in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
import torch
from objectives import LENGTHS, RAW, TARGETS, R, loss_of, make_sample, outputs_of
from pydantic import BaseModel, TypeAdapter

from models.objectives.registry import OBJECTIVES, ObjectiveHeadConfig, TargetFacts, combine

DRAWS = 6
POINTS: dict[str, list[dict[str, Any]]] = {
    "classify": [{"pooling": name} for name in ("attention", "max", "mean", "last", "max_mean")]
    + [{"label_smoothing": 0.1}],
    "regress": [{"pooling": name} for name in ("attention", "max", "mean", "last", "max_mean")],
    "tag": [{"crf": False}, {"crf": True}],
    "transcribe": [{}],
}
READOUTS: list[dict[str, Any]] = [{"mlp_size": 0}, {"mlp_size": 16}]

CASES = [
    (name, {**point, "readout": readout})
    for name, target in TARGETS.items()
    for point in POINTS[target.kind]
    for readout in READOUTS
]

each_target = pytest.mark.parametrize("name", TARGETS)
POOLED = [case for case in CASES if OBJECTIVES[TARGETS[case[0]].kind].pooled]

each_case = pytest.mark.parametrize(("name", "point"), CASES, ids=str)
each_pooled_case = pytest.mark.parametrize(("name", "point"), POOLED, ids=str)
each_stepwise_case = pytest.mark.parametrize(("name", "point"), [c for c in CASES if c not in POOLED], ids=str)
each_direction = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])


def config_of(name: str, point: dict[str, Any]) -> Any:
    return OBJECTIVES[TARGETS[name].kind].head(**point)


def make_head(name: str, point: dict[str, Any], bidirectional: bool = False) -> Any:
    torch.manual_seed(0)
    return config_of(name, point).build(R, TARGETS[name], bidirectional).eval()


def test_every_objective_is_tested() -> None:
    assert {target.kind for target in TARGETS.values()} == set(OBJECTIVES) == set(POINTS)


@each_case
@each_direction
def test_outputs_are_one_array_an_item(name: str, point: dict[str, Any], bidirectional: bool) -> None:
    head, target, sample = make_head(name, point, bidirectional), TARGETS[name], make_sample(name)
    outputs = outputs_of(head, sample.h_BTR, sample.lengths_B)
    width = {"classify": "labels", "tag": "labels", "transcribe": "symbols"}.get(target.kind)
    size = 1 if width is None else len(getattr(target, width)) + (target.kind == "transcribe")
    pooled = OBJECTIVES[target.kind].pooled
    assert [output.shape for output in outputs] == [(size,) if pooled else (n, size) for n in LENGTHS.tolist()]
    assert all(np.isfinite(output).all() for output in outputs)
    if target.kind in ("classify", "tag") and not getattr(target, "multi_label", False):
        assert all(np.allclose(output.sum(axis=-1), 1, atol=1e-5) for output in outputs)


@each_case
@each_direction
def test_gradients_reach_every_parameter_of_a_head(name: str, point: dict[str, Any], bidirectional: bool) -> None:
    head = make_head(name, point, bidirectional)
    loss_of(head, make_sample(name)).backward()
    dead = [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any() or not p.grad.isfinite().all()]
    assert dead == []


@each_case
@each_direction
def test_padding_and_company_never_change_a_result(name: str, point: dict[str, Any], bidirectional: bool) -> None:
    head, sample = make_head(name, point, bidirectional), make_sample(name)
    together = outputs_of(head, sample.h_BTR, sample.lengths_B)
    outside_BT1 = (torch.arange(sample.h_BTR.shape[1]) >= LENGTHS[:, None])[..., None]
    noisy = sample._replace(h_BTR=sample.h_BTR.masked_fill(outside_BT1, 1e6))
    for left, right in zip(outputs_of(head, noisy.h_BTR, LENGTHS), together, strict=True):
        np.testing.assert_array_equal(left, right)
    assert torch.equal(loss_of(head, noisy), loss_of(head, sample))
    for row, length in enumerate(LENGTHS.tolist()):
        (alone,) = outputs_of(head, sample.h_BTR[row : row + 1, :length], LENGTHS[row : row + 1])
        np.testing.assert_allclose(alone, together[row], rtol=1e-6, atol=1e-6)


@each_stepwise_case
def test_padding_of_targets_never_changes_the_loss(name: str, point: dict[str, Any]) -> None:
    head, sample = make_head(name, point), make_sample(name)
    outside_BU = torch.arange(sample.target.shape[1]) >= sample.target_lengths_B[:, None]
    noisy = sample._replace(target=sample.target.masked_fill(outside_BU, 1))
    assert torch.equal(loss_of(head, noisy), loss_of(head, sample))


@each_case
def test_no_gradient_comes_from_padding(name: str, point: dict[str, Any]) -> None:
    head, sample = make_head(name, point), make_sample(name)
    h_BTR = sample.h_BTR.requires_grad_()
    loss_of(head, sample).backward()
    assert h_BTR.grad is not None
    assert h_BTR.grad.isfinite().all()
    assert not h_BTR.grad[torch.arange(h_BTR.shape[1]) >= LENGTHS[:, None]].any()


@each_case
def test_a_head_overfits_one_batch(name: str, point: dict[str, Any]) -> None:
    head, sample = make_head(name, {**point, "readout": {"mlp_size": 64}}).train(), make_sample(name)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    first = loss_of(head, sample).item()
    for _ in range(120):
        optimizer.zero_grad()
        loss = loss_of(head, sample)
        loss.backward()
        optimizer.step()
    # Smoothed labels keep an entropy of their own.
    assert loss.item() < (0.7 if point.get("label_smoothing") else 0.1) * first
    head.eval()
    predictions = combine(TARGETS[name], [outputs_of(head, sample.h_BTR, LENGTHS)])
    decoded = [TARGETS[name].decode(prediction) for prediction in predictions]
    assert decoded == (RAW[name] if name != "regress" else pytest.approx(RAW[name], abs=2.0))


@each_target
@pytest.mark.parametrize("seed", range(DRAWS))
def test_every_suggested_head_builds_and_trains(name: str, seed: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    head = OBJECTIVES[TARGETS[name].kind].head.suggest(study.ask(), TARGETS[name]).build(R, TARGETS[name], True)
    loss_of(head.train(), make_sample(name)).backward()


@each_target
def test_every_point_of_the_portfolio_is_in_the_space_and_leaves_nothing_to_chance(name: str) -> None:
    configs, target = OBJECTIVES[TARGETS[name].kind].head, TARGETS[name]
    points = configs.portfolio(target)
    assert len({str(point) for point in points}) == len(points) > 0
    for point in points:
        study = optuna.create_study()
        study.enqueue_trial(point)
        trial = study.ask()
        configs.suggest(trial, target)
        assert trial.params == point


@each_target
def test_a_target_comes_back_from_json(name: str) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(TargetFacts)
    target = TARGETS[name]
    target.encode(RAW[name][0])
    back = adapter.validate_json(target.model_dump_json())
    assert type(back) is type(target)
    assert back == target
    assert back.encode(RAW[name][0]).tolist() == target.encode(RAW[name][0]).tolist()


@each_case
def test_a_head_config_comes_back_from_json(name: str, point: dict[str, Any]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(ObjectiveHeadConfig)
    config: BaseModel = config_of(name, point)
    assert adapter.validate_json(config.model_dump_json()) == config


@each_target
def test_an_encoded_target_has_the_targets_dtype_and_none_stays_none(name: str) -> None:
    target = TARGETS[name]
    assert {target.encode(value).dtype for value in RAW[name]} == {target.dtype}
    assert target.encode(None) is None


@each_target
def test_a_single_member_and_the_same_member_twice_predict_the_same(name: str) -> None:
    target, sample = TARGETS[name], make_sample(name)
    outputs = outputs_of(make_head(name, {}), sample.h_BTR, LENGTHS)
    once, twice = combine(target, [outputs]), combine(target, [outputs, outputs])
    assert [target.decode(p) for p in once] == [target.decode(p) for p in twice]


@each_pooled_case
def test_chunks_of_a_pooled_head_equal_the_whole(name: str, point: dict[str, Any]) -> None:
    head, sample = make_head(name, point), make_sample(name)
    whole = head(sample.h_BTR, LENGTHS)
    carried = None
    for start in range(0, 9, 3):
        scores, carried = head.chunk(sample.h_BTR[:, start : start + 3], (LENGTHS - start).clamp(0, 3), carried)
    torch.testing.assert_close(scores, whole, rtol=0, atol=1e-6)


@each_case
def test_losses_and_outputs_take_half_precision_scores(name: str, point: dict[str, Any]) -> None:
    head, sample = make_head(name, point), make_sample(name)
    scores = head(sample.h_BTR, LENGTHS).bfloat16()
    exact = loss_of(head, sample).item()
    loss = head.loss(scores, LENGTHS, sample.target, sample.target_lengths_B)
    assert loss.item() == pytest.approx(exact, rel=0.05, abs=0.02)
    assert all(output.dtype in (np.float32, np.float64) for output in head.outputs(scores, LENGTHS))
