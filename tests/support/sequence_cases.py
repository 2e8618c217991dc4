"""Small data sets of whole sequences: every problem kind over the inputs that it takes, the truth told by the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import torch

from models.inputs.audio import fit_audio
from models.inputs.channels import fit_numeric
from models.inputs.text import fit_text
from models.inputs.tokens import fit_tokens
from models.objectives.classify import ClassifyTarget
from models.objectives.regress import RegressTarget
from models.objectives.tag import TagTarget
from models.objectives.transcribe import TranscribeTarget
from models.ragged import Ragged
from models.sequence_model import SequenceFacts, SequenceModel, SequenceModelConfig, SequenceSpace
from models.sequences import SequenceArrays

optuna.logging.set_verbosity(optuna.logging.ERROR)

CASES = [
    ("classify", "numeric"),
    ("classify", "text"),
    ("classify", "audio"),
    ("regress", "numeric"),
    ("regress", "tokens"),
    ("tag", "numeric"),
    ("tag", "tokens"),
    ("transcribe", "tokens"),
    ("transcribe", "audio"),
]
"""Kind and input."""

TARGETS: dict[str, Any] = {
    "classify": ClassifyTarget(labels=["a", "b", "c"]),
    "regress": RegressTarget(mean=1.0, std=2.0),
    "tag": TagTarget(labels=["B-x", "I-x", "O"], scheme="bio"),
    "transcribe": TranscribeTarget(symbols=["p", "q"]),
}
VOCABULARY = [stem + end for stem in ("alpha", "beta", "gamma") for end in ("", "x", "y")]


def raw_items(kind: str, count: int, shortest: int, longest: int, seed: int = 0) -> list[Any]:
    """Draw items of one input kind; audio is of 100 to 300 ms."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(shortest, longest + 1, count)
    if kind == "numeric":
        return [rng.standard_normal((n, 3)) for n in steps]
    if kind == "audio":
        return [0.1 * rng.standard_normal(n).astype(np.float32) for n in rng.integers(800, 2400, count)]
    words = [[str(word) for word in rng.choice(VOCABULARY, n)] for n in steps]
    return words if kind == "tokens" else [" ".join(item) for item in words]


def make_arrays(kind: str, given: str, count: int = 24, shortest: int = 2, longest: int = 12) -> tuple[Any, Any]:
    """Return the input's facts, and the items in every view with targets of ``kind`` drawn at random."""
    raws, rng = raw_items(given, count, shortest, longest), np.random.default_rng(1)
    facts: Any = {
        "numeric": lambda: fit_numeric(["x", "y", "z"], raws),
        "text": lambda: fit_text(raws),
        "tokens": lambda: fit_tokens(raws),
        "audio": lambda: fit_audio(8000),
    }[given]()
    inputs = {
        view: Ragged.of([facts.encode_variant(view, raw, v) for raw in raws for v in range(facts.variants)])
        for view in facts.views
    }
    steps = inputs[facts.views[0]].lengths[:: facts.variants]
    target = {
        "classify": lambda n: rng.integers(0, 3, 1),
        "regress": lambda n: rng.standard_normal(1).astype(np.float32),
        "tag": lambda n: _well_formed(rng.integers(0, 3, n)),
        "transcribe": lambda n: rng.integers(1, 3, max(1, n // 4)),
    }[kind]
    return facts, SequenceArrays(inputs, Ragged.of([target(n) for n in steps]), facts.variants)


def _well_formed(codes_T: np.ndarray) -> np.ndarray:
    """Let a span begin with B-x: I-x stands first or after O nowhere."""
    before_T = np.concatenate([[2], codes_T[:-1]])
    return np.where((codes_T == 1) & (before_T == 2), 0, codes_T)


def make_facts(kind: str, given: Any, arrays: SequenceArrays, chunk_length: int = 1000) -> SequenceFacts:
    longest = {view: int(arrays.lengths(view).max()) for view in given.views}
    return SequenceFacts(input=given, target=TARGETS[kind], longest=longest, chunk_length=chunk_length)  # type: ignore[arg-type]


def draw_config(facts: SequenceFacts, seed: int = 0, **preset: Any) -> SequenceModelConfig:
    """Draw a small point at random, but for the parameters in ``preset``."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    study.enqueue_trial({"hidden_size": 48, "num_layers": 1} | preset)
    return SequenceSpace(facts).suggest(study.ask())


def make_model(facts: SequenceFacts, seed: int = 0, **preset: Any) -> SequenceModel:
    config = draw_config(facts, seed, **preset)
    torch.manual_seed(seed)
    return SequenceModel(config, facts)


UNDISTURBED: dict[str, Any] = {
    "noise": 0.0,
    "offset": 0.0,
    "step_dropout": 0.0,
    "channel_dropout": 0.0,
    "word_dropout": 0.0,
    "embedding_dropout": 0.0,
    "unit_dropout": 0.0,
    "speed_perturbation": False,
    "tract_warp": 0.0,
    "tilt": 0.0,
    "band_masks": 0,
    "time_masks": 0,
    "head_dropout": 0.0,
}
"""Parameters under which a training is a function of its batches alone, where the input has them."""
