"""Peak memory of one training step on longer and longer sequences, with and without truncated back-propagation.

    python benchmarks/truncation.py

Each figure is a child process of its own. It takes a step on short sequences first (so that libraries, weights and
optimiser are there), then one on sequences of T steps, and tells by how much its peak resident memory grew over that.
The batch itself grows with T, by what the table says: beyond that, flat is what a head is that scores chunk by chunk.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from models.cores.stacked_lstm import StackedLSTMConfig
from models.inputs.channels import NumericFacts, NumericInputConfig
from models.objectives.classify import ClassifyHeadConfig, ClassifyTarget
from models.objectives.registry import ObjectiveHeadConfig, TargetFacts
from models.objectives.tag import TagHeadConfig, TagTarget
from models.objectives.transcribe import TranscribeHeadConfig, TranscribeTarget
from models.sequence_model import SequenceFacts, SequenceModel, SequenceModelConfig
from models.sequence_training import losses
from models.sequences import Batch

RESULT = Path(__file__).parent / "results" / "truncation.json"
ROWS, CHANNELS, LABELS, UNITS, SHORT = 4, 8, 4, 128, 1000
LABELS_OF = [str(label) for label in range(LABELS)]
CASES: dict[str, tuple[TargetFacts, ObjectiveHeadConfig]] = {
    "classify": (ClassifyTarget(labels=LABELS_OF), ClassifyHeadConfig(pooling="max_mean")),
    "tag": (TagTarget(labels=LABELS_OF), TagHeadConfig()),
    "tag, CRF": (TagTarget(labels=LABELS_OF), TagHeadConfig(crf=True)),
    "transcribe": (TranscribeTarget(symbols=LABELS_OF), TranscribeHeadConfig()),
}
"""CRF and CTC need the scores of all steps at once, so that something must grow with T: it is measured, too."""

SYMBOLS = 20
"""Of an item to transcribe, however long: CTC's own table is steps x symbols."""


def make_model(case: str, length: int, chunk_length: int) -> SequenceModel:
    columns, numbers = [f"x{i}" for i in range(CHANNELS)], [0.0] * CHANNELS
    target, head = CASES[case]
    facts = SequenceFacts(
        input=NumericFacts(columns=columns, means=numbers, stds=numbers, gaps=[False] * CHANNELS),
        target=target,
        longest={"channels": length},
        chunk_length=chunk_length,
    )
    core = StackedLSTMConfig(hidden_size=UNITS, num_layers=1)
    return SequenceModel(SequenceModelConfig(input=NumericInputConfig(), core=core, head=head), facts)


def draw_batch(case: str, length: int) -> Batch:
    rng, kind = np.random.default_rng(0), CASES[case][0].kind
    values = torch.from_numpy(rng.standard_normal((ROWS, length, CHANNELS), dtype=np.float32))
    size = {"classify": 1, "transcribe": SYMBOLS}.get(kind, length)
    first = 1 if kind == "transcribe" else 0
    target = torch.from_numpy(rng.integers(first, LABELS + first, (ROWS, size)))
    return Batch(values, torch.full((ROWS,), length), target, torch.full((ROWS,), size))


def take_step(model: SequenceModel, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    optimizer.zero_grad(set_to_none=True)
    for loss in losses(model, batch):
        loss.backward()
    optimizer.step()


def peak() -> float:
    """Peak resident memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def measure(case: str, length: int, chunk_length: int) -> dict[str, float]:
    """Take both steps here; return seconds of the second, growth of the peak and size of the batch in megabytes."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = make_model(case, length, chunk_length)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    take_step(model, optimizer, draw_batch(case, SHORT))
    before = peak()
    batch = draw_batch(case, length)
    began = time.perf_counter()
    take_step(model, optimizer, batch)
    seconds = time.perf_counter() - began
    held = batch.values.nbytes + batch.target.nbytes
    return {"seconds": round(seconds, 2), "growth_mb": round(peak() - before, 1), "batch_mb": round(held / 1e6, 1)}


def in_child(case: str, length: int, chunk_length: int) -> dict[str, float] | None:
    """Measure in a process of its own; none where it ran out of memory."""
    command = [sys.executable, __file__, "--one", case, str(length), str(chunk_length)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunk-length", type=int, default=256)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        case, length, chunk_length = arguments.one
        print(json.dumps(measure(case, int(length), int(chunk_length))))
        return
    print("| head | T | batch, MB | growth truncated, MB | growth whole, MB | s truncated | s whole |\n|" + "---|" * 7)
    rows = []
    for case in CASES:
        for length in arguments.lengths:
            truncated, whole = in_child(case, length, arguments.chunk_length), in_child(case, length, length)
            assert truncated is not None, f"{case} at {length} steps"
            rows.append({"case": case, "steps": length, "truncated": truncated, "whole": whole})
            growth, seconds = (whole["growth_mb"], whole["seconds"]) if whole else ("did not fit", "")
            print(
                f"| {case} | {length:,} | {truncated['batch_mb']} | {truncated['growth_mb']} | {growth} | "
                f"{truncated['seconds']} | {seconds} |",
                flush=True,
            )
    record = {
        "date": datetime.date.today().isoformat(),
        "cpus": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "rows": ROWS,
        "units": UNITS,
        "chunk_length": arguments.chunk_length,
        "results": rows,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
