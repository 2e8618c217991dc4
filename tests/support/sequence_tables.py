"""Small tables of whole sequences and audio files, and what ``ingest`` and ``prepare`` make of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import soundfile
from ingested import Ingested
from pydantic import TypeAdapter

from tasks import store
from tasks.ingest import Data, ingest_table

TEXT = {"kind": "text", "column": "text"}
TOKENS = {"kind": "tokens", "column": "tokens"}
LONG = {"kind": "numeric", "columns": ["x", "y"], "step": "t"}
LISTS = {"kind": "numeric", "columns": ["x", "y"]}
AUDIO = {"kind": "audio"}
STEPS = ["k,t,x,y,label", "a,1,1,10,u", "a,2,2,20,u", "a,3,4,15,u", "b,1,0,5,v", "b,2,1,4,v"]
"""Lines of a CSV file for ``LONG``."""
WORDS = {"food": ["bread", "soup", "apple", "salt"], "sport": ["ball", "run", "goal", "team"]}


def ingested(source: Any, **section: Any) -> Ingested:
    """Ingest a section ``data`` as an experiment file states it."""
    named = str(source) if isinstance(source, Path) else source
    table = ingest_table.fn(TypeAdapter(Data).validate_python({"source": named, **section}))
    return Ingested(table, store.path(table))


def wav(samples: np.ndarray, rate: int = 8000) -> bytes:
    """Return a WAV file of 16 bits."""
    held = io.BytesIO()
    soundfile.write(held, samples, rate, format="WAV", subtype="PCM_16")
    return held.getvalue()


def tone(hertz: float, seconds: float = 0.2, rate: int = 8000) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write_clips(folder: Path, clips: dict[str, bytes | None], **columns: list[Any]) -> Path:
    """Write an index of audio files beside them; None: the file is not there."""
    (folder / "wav").mkdir(parents=True, exist_ok=True)
    for name, content in clips.items():
        if content is not None:
            (folder / "wav" / name).write_bytes(content)
    index = folder / "index.csv"
    pl.DataFrame({"path": [f"wav/{name}" for name in clips], **columns}).write_csv(index)
    return index


def sentences(items: int = 60, seed: int = 0) -> pl.DataFrame:
    """Sentences of 2 to 8 words, the last of which tells the label, by six writers."""
    rng, rows = np.random.default_rng(seed), []
    for item in range(items):
        label = list(WORDS)[item % len(WORDS)]
        told = [*rng.choice(["the", "a", "of", "and"], rng.integers(1, 8)), rng.choice(WORDS[label])]
        rows.append({"text": " ".join(told), "label": label, "writer": f"w{item // 2 % 6}"})
    return pl.DataFrame(rows)
