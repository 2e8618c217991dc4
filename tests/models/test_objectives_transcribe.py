"""Symbols of a text, and the loss at the edges of what CTC can align."""

from __future__ import annotations

import pytest
import torch
from objectives import R

from models.objectives.transcribe import TranscribeHeadConfig, TranscribeTarget, Transcript

TARGET = TranscribeTarget(symbols=["a", "b"])
HEAD = TranscribeHeadConfig().build(R, TARGET)


def loss_of(scores: torch.Tensor, lengths: list[int], texts: list[list[int]]) -> torch.Tensor:
    padded = torch.zeros(len(texts), max(len(text) for text in texts), dtype=torch.int64)
    for row, text in enumerate(texts):
        padded[row, : len(text)] = torch.tensor(text, dtype=torch.int64)
    return HEAD.loss(scores, torch.tensor(lengths), padded, torch.tensor([len(text) for text in texts]))


def scores_of(items: int, steps: int) -> torch.Tensor:
    return torch.randn(items, steps, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()


@pytest.mark.parametrize(
    ("separator", "text", "symbols"),
    [("", "a ba", ["a", " ", "b", "a"]), (" ", " yes  no ", ["yes", "no"]), ("", "", []), (" ", "", [])],
)
def test_a_text_is_split_into_symbols(separator: str, text: str, symbols: list[str]) -> None:
    assert TranscribeTarget(symbols=["a"], separator=separator).split(text) == symbols


def test_codes_start_after_the_blank_and_unknown_symbols_are_marked() -> None:
    encoded = TARGET.encode("abx")
    assert encoded is not None
    assert encoded.tolist() == [1, 2, -1]
    assert TranscribeTarget(symbols=["x"], separator=" ").decode(Transcript(["x", "x"], -1.0)) == "x x"


def test_unknown_symbols_are_passed_over_by_the_loss() -> None:
    scores = scores_of(2, 6)
    with_unknown = loss_of(scores, [6, 5], [[1, -1, 2], [-1]])
    torch.testing.assert_close(with_unknown, loss_of(scores, [6, 5], [[1, 2], []]))


def test_an_item_with_too_few_steps_harms_no_other() -> None:
    scores = scores_of(2, 6)
    loss = loss_of(scores, [6, 2], [[1, 2], [1, 1, 1, 1]])
    loss.backward()
    assert loss.isfinite()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert not scores.grad[1].any()
    assert scores.grad[0].any()


def test_a_batch_of_silence_teaches_blanks() -> None:
    scores = scores_of(2, 4)
    loss = loss_of(scores, [4, 3], [[], []])
    torch.testing.assert_close(loss, -(scores.log_softmax(2)[0, :, 0].sum() + scores.log_softmax(2)[1, :3, 0].sum()))
    loss.backward()
    assert scores.grad is not None
    assert (scores.grad[0, :, 0] < 0).all()
