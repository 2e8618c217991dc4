"""Which label may follow which, and that no prediction breaks it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from objectives import BIO_ITEMS, LENGTHS, TARGETS, R, make_sample, outputs_of

from models.objectives.tag import TagHeadConfig, TagTarget, combine

BIO = TARGETS["tag bio"]


def allowed_pairs(target: TagTarget) -> set[tuple[str, str]]:
    after_LL, first_L = target.allowed
    labels = target.labels
    pairs = {(a, b) for i, a in enumerate(labels) for j, b in enumerate(labels) if after_LL[i, j]}
    return pairs | {("", label) for i, label in enumerate(labels) if first_L[i]}


def test_inside_may_only_follow_begin_or_inside_of_its_own() -> None:
    assert BIO.scheme == "bio"
    assert BIO.labels == ["B-a", "B-b", "I-a", "I-b", "O"]
    everything = {(a, b) for a in ["", *BIO.labels] for b in BIO.labels}
    forbidden = {(a, f"I-{x}") for x in "ab" for a in ["", *BIO.labels] if a not in (f"B-{x}", f"I-{x}")}
    assert allowed_pairs(BIO) == everything - forbidden


def test_a_pair_that_breaks_the_scheme_is_tolerated_only_if_the_training_part_holds_it() -> None:
    target = TagTarget.fit([*BIO_ITEMS, ["I-a", "O", "I-b"]])
    assert target.tolerated == [("", "I-a"), ("O", "I-b")]
    assert allowed_pairs(target) == allowed_pairs(BIO) | {("", "I-a"), ("O", "I-b")}


@pytest.mark.parametrize(
    ("labels", "scheme"),
    [
        (["O", "B-x", "I-x"], "bio"),
        (["B-x"], "bio"),
        (["O"], "none"),
        (["NOUN", "VERB"], "none"),
        (["O", "B-x", "E-x"], "none"),
        (["O", "B-"], "none"),
    ],
)
def test_the_scheme_is_bio_where_every_label_looks_like_it(labels: list[str], scheme: str) -> None:
    assert TagTarget.fit([labels]).scheme == scheme


def test_a_named_scheme_is_not_guessed() -> None:
    target = TagTarget.fit(BIO_ITEMS, "none")
    assert target.scheme == "none"
    assert target.tolerated == []
    assert all(mask.all() for mask in target.allowed)


def test_steps_without_a_label_are_no_label_of_their_own() -> None:
    target = TagTarget.fit([["B-a", None, "I-a"]])
    assert target.labels == ["B-a", "I-a"]
    assert target.tolerated == []
    encoded = target.encode(["B-a", None, "new"])
    assert encoded is not None
    assert encoded.tolist() == [0, -100, -100]


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_no_prediction_breaks_the_scheme(crf: bool, seed: int) -> None:
    torch.manual_seed(seed)
    members = []
    for _ in range(2):
        head = TagHeadConfig(crf=crf).build(R, BIO).eval()
        members.append(outputs_of(head, 10 * torch.randn(5, 9, R), LENGTHS))
    predictions = combine(BIO, members)
    assert [len(tags.codes_T) for tags in predictions] == LENGTHS.tolist()
    for tags in predictions:
        assert set(pairwise(["", *BIO.decode(tags)])) <= allowed_pairs(BIO)


def test_the_best_allowed_path_wins_over_the_best_steps() -> None:
    # By itself step 2 is I-a; but O before it is so sure that O O is the best allowed pair.
    target = TagTarget(labels=["B-a", "I-a", "O"], scheme="bio")
    (tags,) = combine(target, [[np.array([[0.05, 0.05, 0.9], [0.1, 0.5, 0.4]])]])
    assert target.decode(tags) == ["O", "O"]
    assert tags.probability_T.tolist() == [0.9, 0.4]
    (tags,) = combine(target, [[np.array([[0.4, 0.0, 0.6], [0.0, 0.9, 0.1]])]])
    assert target.decode(tags) == ["B-a", "I-a"]


def test_items_decoded_in_blocks_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    items = [rng.dirichlet(np.ones(5), size=n) for n in rng.integers(1, 30, size=40)]
    together = combine(BIO, [items])
    monkeypatch.setattr("models.objectives.tag.VITERBI_CELLS", 300)
    for left, right in zip(combine(BIO, [items]), together, strict=True):
        assert left.codes_T.tolist() == right.codes_T.tolist()
    for item, tags in zip(items, together, strict=True):
        assert combine(BIO, [[item]])[0].codes_T.tolist() == tags.codes_T.tolist()


@pytest.mark.parametrize("crf", [False, True])
def test_a_batch_without_labels_teaches_nothing(crf: bool) -> None:
    torch.manual_seed(0)
    head, sample = TagHeadConfig(crf=crf).build(R, TARGETS["tag"]).eval(), make_sample("tag")
    scores = head(sample.h_BTR, LENGTHS).detach().requires_grad_()
    loss = head.loss(scores, LENGTHS, torch.full_like(sample.target, -100), LENGTHS)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert scores.grad is not None
    assert scores.grad.abs().max() < 1e-12


def test_without_a_crf_the_loss_is_the_mean_over_the_labelled_steps() -> None:
    head, sample = TagHeadConfig(crf=False).build(R, TARGETS["tag"]).eval(), make_sample("tag")
    scores = head(sample.h_BTR, LENGTHS).detach()
    half = sample.target.clone()
    half[:, 1::2] = -100
    losses = [
        -scores[row, step].log_softmax(dim=0)[half[row, step]]
        for row, length in enumerate(LENGTHS.tolist())
        for step in range(0, length, 2)
    ]
    torch.testing.assert_close(head.loss(scores, LENGTHS, half, LENGTHS), torch.stack(losses).mean())


def test_a_missing_label_is_none_though_a_label_is_called_so() -> None:
    target = TagTarget.fit([["None", None, "B"]])
    encoded = target.encode([None, "None"])
    assert encoded is not None
    assert encoded.tolist() == [-100, target.codes["None"]]
