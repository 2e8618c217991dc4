"""A sequence read as it comes is predicted as it is when read whole, step by step or in pieces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sequence_cases import make_arrays, make_facts, make_model, raw_items

from models.objectives.registry import OBJECTIVES
from models.sequence_bundle import SequenceBundle

CASES = [("classify", "numeric"), ("regress", "tokens"), ("tag", "numeric"), ("transcribe", "tokens")]
ONE_WAY = {"bidirectional": False, "crf": False, "deltas": True, "num_layers": 2}


def made(kind: str, given: str, chunk_length: int = 1000, members: int = 1, **preset: object) -> SequenceBundle:
    facts, arrays = make_arrays(kind, given)
    fixed = make_facts(kind, facts, arrays, chunk_length)
    return SequenceBundle(fixed, [make_model(fixed, seed, **(ONE_WAY | preset)) for seed in range(members)])


@pytest.mark.parametrize(("kind", "given"), CASES)
@pytest.mark.parametrize("pieces", [1, 3, 40], ids="{} at a time".format)
@pytest.mark.parametrize("chunk_length", [1000, 7])
def test_a_streamed_sequence_is_predicted_as_a_whole_one(kind: str, given: str, pieces: int, chunk_length: int) -> None:
    bundle = made(kind, given, chunk_length)
    (raw,) = raw_items(given, 1, 30, 30)
    model = bundle.members[0].eval()
    stream, told = bundle.stream(), []
    for start in range(0, 30, pieces):
        told.append(stream.step(raw[start : start + pieces]))
        so_far = torch.from_numpy(bundle.facts.input.encode(model.config.input.view, raw[: start + pieces]))[None]
        with torch.no_grad():
            (whole,) = model.head.outputs(*model(so_far, torch.tensor([so_far.shape[1]])))
        streamed = told[-1] if OBJECTIVES[kind].pooled else np.concatenate(told)
        np.testing.assert_allclose(streamed, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("bundle", "message"),
    [
        (lambda: made("classify", "numeric", bidirectional=True), "one direction .got bidirectional=True."),
        (lambda: made("tag", "tokens", crf=True), "must not depend on later ones .got crf=True."),
        (lambda: made("classify", "text"), "prepared step by step .got text."),
        (lambda: made("classify", "numeric", members=2), "must have one member .got 2."),
    ],
)
def test_what_cannot_be_streamed_is_refused(bundle, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bundle().stream()
