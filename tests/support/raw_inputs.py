"""Facts of every input kind with raw items of very different lengths, the shortest among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna

from models.inputs.audio import fit_audio
from models.inputs.channels import fit_numeric
from models.inputs.registry import INPUTS
from models.inputs.text import fit_text
from models.inputs.tokens import fit_tokens

TEXTS = [
    "How do I top up my card? My card isn't there.",
    "",
    "card",
    "I can’t see my card, and the top up was 20 pounds; why is my top up pending? Is it my card or is it my top up?",
    "Überweisung: 東京 naïve ümläut 🙂",
]


def tone(seconds: float, rate: int = 8000, pitch: float = 440.0) -> np.ndarray:
    """Return a swelling tone with some noise: float32 samples of -1 to 1."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(len(time)).normal(0, 0.01, len(time))
    return (0.5 * np.sin(2 * np.pi * pitch * time) * np.hanning(len(time) + 2)[1:-1] + noise).astype(np.float32)


def channels() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    items = [generator.normal(5, 2, (steps, 4)) for steps in (6, 1, 9, 30)]
    items[0][2:4, 1] = np.nan
    return [*items, np.empty((0, 4))]


def raw_items(kind: str) -> list[Any]:
    """Return raw items of ``kind``, among them one without content."""
    return {
        "numeric": channels(),
        "text": TEXTS,
        "tokens": [text.split() for text in TEXTS],
        "audio": [tone(0.31), tone(0.001), tone(1.2), tone(0.2, pitch=900.0), np.zeros(0, np.float32)],
    }[kind]


def raw_facts(kind: str) -> Any:
    """Return facts fitted on them."""
    if kind == "numeric":
        return fit_numeric(["a", "b", "c", "d"], channels())
    if kind == "text":
        return fit_text(TEXTS)
    return fit_tokens(raw_items("tokens")) if kind == "tokens" else fit_audio(8000)


def drawn_config(facts: Any, seed: int) -> Any:
    """Draw a config for ``facts`` at random."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)).ask()
    return INPUTS[facts.kind].suggest(trial, facts, facts.views)
