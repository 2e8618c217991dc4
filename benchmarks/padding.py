"""What different lengths cost: token-budget batches of similar lengths against random batches padded to the longest.

    python benchmarks/padding.py

Whole training steps (gather, forward, backward, AdamW) of a classifier with a bidirectional LSTM, through the project's
own model and batches, on log-normal lengths of one mean and several coefficients of variation (CV). Random batches hold
as many items as the budgeted ones do on average. Both kinds run in turns, a few steps each, so that whatever else the
machine does hits both; throughput counts real steps of sequences, never padding. Then the two ways to read a padded
batch in both directions are compared: packed, and with the gates closed in the padding.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.batching import TokenBatches, waste
from models.cores.stacked_lstm import StackedLSTMConfig
from models.inputs.channels import NumericFacts, NumericInputConfig
from models.objectives.classify import ClassifyHeadConfig, ClassifyTarget
from models.ragged import Ragged
from models.sequence_model import SequenceFacts, SequenceModel, SequenceModelConfig
from models.sequence_training import losses
from models.sequences import SequenceArrays

RESULT = Path(__file__).parent / "results" / "padding.json"
ITEMS, MEAN_STEPS, CHANNELS, LABELS, UNITS = 2000, 100, 16, 4, 96
BUDGET = 4096


def draw_lengths(variation: float) -> np.ndarray:
    """Return int64 ``[ITEMS]``: log-normal of the given coefficient of variation, at least 1."""
    sigma = math.sqrt(math.log1p(variation**2))
    lengths_N = np.random.default_rng(0).lognormal(math.log(MEAN_STEPS) - sigma**2 / 2, sigma, ITEMS)
    return np.maximum(1, np.rint(lengths_N)).astype(np.int64)


def draw_arrays(lengths_N: np.ndarray) -> SequenceArrays:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(int(lengths_N.sum()), CHANNELS)).astype(np.float32)
    offsets = np.concatenate([np.zeros(1, np.int64), lengths_N.cumsum()])
    target = Ragged.of([np.array([label]) for label in rng.integers(0, LABELS, ITEMS)])
    return SequenceArrays({"channels": Ragged(values, offsets)}, target, 1)


def make_model(longest: int) -> SequenceModel:
    numbers = [0.0] * CHANNELS
    facts = SequenceFacts(
        input=NumericFacts(
            columns=[f"x{i}" for i in range(CHANNELS)], means=numbers, stds=numbers, gaps=[False] * CHANNELS
        ),
        target=ClassifyTarget(labels=[str(i) for i in range(LABELS)]),
        longest={"channels": longest},
        chunk_length=longest,
    )
    config = SequenceModelConfig(
        input=NumericInputConfig(),
        core=StackedLSTMConfig(hidden_size=UNITS, num_layers=1, bidirectional=True),
        head=ClassifyHeadConfig(pooling="max_mean"),
    )
    torch.manual_seed(0)
    return SequenceModel(config, facts)


def budgeted(lengths_N: np.ndarray) -> Iterator[np.ndarray]:
    batches = TokenBatches(lengths_N, BUDGET, seed=0)
    step = 0
    while True:
        yield batches.batch(step)
        step += 1


def random(size: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(2)
    while True:
        order = rng.permutation(ITEMS)
        yield from (order[start : start + size] for start in range(0, ITEMS, size))


def train(model: SequenceModel, arrays: SequenceArrays, batches: list[np.ndarray]) -> float:
    """Take one optimiser step a batch and return real steps of sequences per second."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    began, tokens = time.perf_counter(), 0
    for items_B in batches:
        batch = arrays.batch(items_B, "channels", None)
        optimizer.zero_grad(set_to_none=True)
        for loss in losses(model, batch):
            loss.backward()
        optimizer.step()
        tokens += int(batch.lengths_B.sum())
    return tokens / (time.perf_counter() - began)


def compare(variation: float, rounds: int, steps: int) -> dict[str, float]:
    """Return both throughputs, their ratio and the share of padding in an epoch of each."""
    lengths_N = draw_lengths(variation)
    arrays, model = draw_arrays(lengths_N), make_model(int(lengths_N.max()))
    size = round(ITEMS / TokenBatches(lengths_N, BUDGET, seed=0).steps_per_epoch)
    ours, theirs = budgeted(lengths_N), random(size)
    train(model, arrays, [next(ours), next(theirs)])
    pairs = [
        (train(model, arrays, list(islice(ours, steps))), train(model, arrays, list(islice(theirs, steps))))
        for _ in range(rounds)
    ]
    epoch = TokenBatches(lengths_N, BUDGET, seed=0).steps_per_epoch
    return {
        "variation": variation,
        "longest": int(lengths_N.max()),
        "items_per_batch": size,
        "budgeted_tokens_per_second": round(statistics.median(pair[0] for pair in pairs)),
        "random_tokens_per_second": round(statistics.median(pair[1] for pair in pairs)),
        "ratio": round(statistics.median(pair[0] / pair[1] for pair in pairs), 2),
        "budgeted_padding": round(waste(lengths_N, list(islice(budgeted(lengths_N), epoch))), 3),
        "random_padding": round(waste(lengths_N, list(islice(random(size), -(-ITEMS // size)))), 3),
    }


def compare_packing(rounds: int) -> dict[str, float]:
    """Return milliseconds of reading a batch forward and backward: gates closed in the padding, packed, and no padding.

    The three take turns; lengths of the batch are uniform between half and all of ``MEAN_STEPS``.
    """
    torch.manual_seed(0)
    core = StackedLSTMConfig(hidden_size=UNITS, num_layers=1, bidirectional=True).build(CHANNELS)
    lengths_B = torch.randint(MEAN_STEPS // 2, MEAN_STEPS + 1, (32,))
    whole_B = torch.full_like(lengths_B, MEAN_STEPS)
    x_BTC = torch.randn(32, MEAN_STEPS, CHANNELS)

    def packed() -> torch.Tensor:
        rows = pack_padded_sequence(x_BTC, lengths_B, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(core.layers[0](rows)[0], batch_first=True)[0]

    ways = {
        "closed_gates": lambda: core.read(x_BTC, lengths_B),
        "packed": packed,
        "no_padding": lambda: core.read(x_BTC, whole_B),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, read in ways.items():
            began = time.perf_counter()
            read().sum().backward()
            spent[name].append(1000 * (time.perf_counter() - began))
    return {name: round(statistics.median(seconds), 1) for name, seconds in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=12, help="of each kind in a round")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("| CV of the lengths | longest | budgeted, tokens/s | random, tokens/s | ratio | padding |\n|" + "---|" * 6)
    rows = []
    for variation in (0.0, 0.5, 1.0, 2.0):
        rows.append(row := compare(variation, arguments.rounds, arguments.steps))
        print(
            f"| {variation} | {row['longest']:,} | {row['budgeted_tokens_per_second']:,} | "
            f"{row['random_tokens_per_second']:,} | {row['ratio']} | "
            f"{row['budgeted_padding']:.0%} against {row['random_padding']:.0%} |",
            flush=True,
        )
    packing = compare_packing(5 * arguments.rounds)
    print("ms a batch, forward and backward: " + ", ".join(f"{name} {value}" for name, value in packing.items()))
    record = {
        "date": datetime.date.today().isoformat(),
        "cpus": len(os.sched_getaffinity(0)),
        "threads": arguments.threads,
        "machine": platform.machine(),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "items": ITEMS,
        "mean_steps": MEAN_STEPS,
        "budget": BUDGET,
        "rounds": arguments.rounds,
        "steps_of_a_round": arguments.steps,
        "units": UNITS,
        "results": rows,
        "milliseconds_of_reading": packing,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
