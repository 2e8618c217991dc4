"""Bundles of models of whole sequences: on disk and back, members together, raw items as a served model gets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sequence_cases import CASES, make_arrays, make_facts, make_model, raw_items

from models import bundle, sequence_bundle
from models.objectives.registry import combine
from models.sequence_bundle import SequenceBundle
from models.sequences import SequenceArrays

each_case = pytest.mark.parametrize(("kind", "given"), CASES)


def made(kind: str, given: str, members: int = 2, **sizes: int) -> tuple[SequenceBundle, SequenceArrays]:
    facts, arrays = make_arrays(kind, given, **sizes)
    fixed = make_facts(kind, facts, arrays)
    return SequenceBundle(fixed, [make_model(fixed, seed) for seed in range(members)]), arrays


def same(left: Any, right: Any, **tolerances: float) -> None:
    """Compare predictions of whatever kind."""
    if isinstance(left, tuple):
        for one, other in zip(left, right, strict=True):
            same(one, other, **tolerances)
    elif isinstance(left, np.ndarray | float):
        np.testing.assert_allclose(left, right, **(tolerances or {"rtol": 0, "atol": 0}))
    else:
        assert left == right


@each_case
def test_a_bundle_comes_back_from_disk_to_the_last_bit(kind: str, given: str, tmp_path: Path) -> None:
    held, arrays = made(kind, given, count=10)
    bundle.write_description(tmp_path, kind, held.facts, [member.config for member in held.members])
    for i, member in enumerate(held.members):
        bundle.save_weights(member, tmp_path / f"member-{i}.safetensors")
    loaded = bundle.load(tmp_path)
    assert (loaded.kind, loaded.facts.model_dump()) == (kind, held.facts.model_dump())
    for ours, theirs in zip(loaded.predict(arrays), held.predict(arrays), strict=True):
        same(ours, theirs)


@each_case
def test_raw_items_are_predicted_as_prepared_ones(kind: str, given: str) -> None:
    held, arrays = made(kind, given, count=10, shortest=2, longest=12)
    raws = raw_items(given, 10, 2, 12)
    for ours, theirs in zip(held.predict_raw(raws), held.predict(arrays), strict=True):
        same(ours, theirs, rtol=1e-5, atol=1e-6)


@each_case
def test_a_prediction_depends_on_its_item_alone_whatever_the_budget(kind: str, given: str) -> None:
    held, arrays = made(kind, given, count=10)
    whole = held.predict(arrays)
    for ours, theirs in zip(held.predict(arrays, budget=1), whole, strict=True):
        same(ours, theirs, rtol=1e-4, atol=2e-5)
    for ours, item in zip(held.predict(arrays.select(np.array([7, 2]))), (7, 2), strict=True):
        same(ours, whole[item], rtol=1e-4, atol=2e-5)


def test_members_of_different_views_predict_together() -> None:
    facts, arrays = make_arrays("classify", "text", count=10)
    fixed = make_facts("classify", facts, arrays)
    members = [make_model(fixed, 0, view=view) for view in ("word", "bpe", "character")]
    held = SequenceBundle(fixed, members)
    assert held.views == ["bpe", "character", "word"]
    alone = [SequenceBundle(fixed, [member]).predict(arrays) for member in members]
    for ours, theirs in zip(held.predict(arrays), combine(fixed.target, alone), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_no_items_give_no_predictions() -> None:
    held, arrays = made("classify", "numeric", members=1)
    assert held.predict_raw([]) == []
    assert held.predict(arrays.select(np.array([], np.int64))) == []


def test_a_kind_that_is_not_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"format": 1, "kind": "guess", "facts": {}, "members": []}))
    with pytest.raises(ValueError, match=r"kind among forecast, classify.* \(got 'guess'\): update Carousel"):
        bundle.load(tmp_path)


@each_case
def test_members_are_combined_block_by_block_in_the_order_of_the_items(
    kind: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, arrays = made(kind, given, count=10)
    whole = held.predict(arrays)
    monkeypatch.setattr(sequence_bundle, "BLOCK", 20)
    for ours, theirs in zip(held.predict(arrays), whole, strict=True):
        same(ours, theirs, rtol=1e-4, atol=2e-5)
