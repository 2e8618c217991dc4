"""Who remembers how long: every core, beside a plain tanh RNN, on the tasks that the LSTM was invented for.

    python benchmarks/long_time_lags.py
    python benchmarks/long_time_lags.py --task adding-1000 --seeds 5 --budget 120

Sequences are drawn without end, so none is seen twice, and errors flow back over whole sequences, never truncated.
Every thousand sequences a model is tested on fresh ones, until it meets the task's criterion or its seconds are spent:
those of one CPU core in this process, drawing and testing included, so that other work on the machine adds little.

Shapes: B sequences, T steps, C input channels, K outputs.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lag_tasks import Adding, Copy, EmbeddedReber, LagTask, TemporalOrder
from tanh_rnn import TanhRNNConfig
from torch import nn

from models.cores.registry import CORES

RESULT = Path(__file__).parent / "results" / "long_time_lags.json"
TASKS: dict[str, LagTask] = {
    "embedded Reber": EmbeddedReber(),
    "adding-10": Adding(10),
    "adding-100": Adding(100),
    "adding-300": Adding(300),
    "adding-1000": Adding(1000),
    "temporal order": TemporalOrder(),
    "copy-100": Copy(100),
}
PATIENCE = {"adding-1000": 3.0, "copy-100": 2.0}
"""How many times the budget a task gets that takes so much longer: long sequences, or many of them."""

UNITS, BATCH, CHECK_EVERY, CHUNK = 32, 32, 1000, 250


class Contestant(NamedTuple):
    build: Callable[[LagTask], nn.Module]
    """A fresh core for a task: ``forward(x_BTC) -> (h_BTH, state)``."""
    learning_rate: float


class Outcome(NamedTuple):
    seed: int
    solved: bool
    sequences: int
    """Trained on when the task was solved, or when the seconds were spent."""
    seconds: float
    best_share: float
    """Of fresh sequences that were right, in the best test."""


class Reader(nn.Module):
    """A core and a linear map of its output at every step."""

    def __init__(self, core: Any, outputs: int) -> None:
        super().__init__()
        self.core = core
        self.readout = nn.Linear(core.config.output_size, outputs)

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        return self.readout(self.core(x_BTC)[0])


def contestants() -> dict[str, Contestant]:
    """Every core as it is, and with a long memory from the start where it can have one; then the tanh RNN.

    Of the learning rates 1e-3, 3e-3 and 1e-2 each has the fastest at which it solved whatever it solved at any, tried
    with other seeds on embedded Reber, adding-10, adding-100 and temporal order. A long memory knows the task's lag.
    """
    result = {}
    for name, config in CORES.items():
        core = config(hidden_size=UNITS, num_layers=1)
        result[name] = Contestant(partial(plain, core), 3e-3)
        if "memory" in config.model_fields:
            result[f"{name}, long memory"] = Contestant(partial(remembering, core), 1e-2)
    rnn = TanhRNNConfig(hidden_size=UNITS)
    return result | {"tanh RNN": Contestant(partial(plain, rnn), 3e-3)}


def plain(config: Any, task: LagTask) -> nn.Module:
    """A core with its own initialisation."""
    return config.build(task.channels)


def remembering(config: Any, task: LagTask) -> nn.Module:
    """A core whose cells start with memories up to the task's lag."""
    return plain(config.model_copy(update={"memory": task.lag}), task)


@torch.no_grad()
def fresh_share(model: nn.Module, task: LagTask, rng: np.random.Generator) -> tuple[float, bool]:
    """Return the share of fresh sequences that are right, and whether it is enough; stop where it cannot be."""
    tested = wrong = 0
    allowed = round(task.fresh * (1 - task.share))
    while tested < task.fresh and wrong <= allowed:
        drawn = task.draw(rng, min(CHUNK, task.fresh - tested))
        right_B = task.right(model(drawn.x_BTC), drawn)
        tested, wrong = tested + len(right_B), wrong + int((~right_B).sum())
    return 1 - wrong / tested, wrong <= allowed


def run(task: LagTask, contestant: Contestant, seed: int, budget: float) -> Outcome:
    """Train until solved, or for ``budget`` seconds."""
    torch.manual_seed(seed)
    model = Reader(contestant.build(task), task.outputs)
    optimizer = torch.optim.Adam(model.parameters(), lr=contestant.learning_rate)
    training, testing = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    began, sequences, best, solved = time.process_time(), 0, 0.0, False
    while not solved and time.process_time() - began < budget:
        for _ in range(CHECK_EVERY // BATCH):
            drawn = task.draw(training, BATCH)
            loss = task.loss(model(drawn.x_BTC), drawn)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            sequences += BATCH
        share, solved = fresh_share(model, task, testing)
        best = max(best, share)
    return Outcome(seed, solved, sequences, round(time.process_time() - began, 1), round(best, 4))


def cell(outcomes: list[Outcome]) -> str:
    """What the table says of one contestant on one task."""
    solved = [outcome for outcome in outcomes if outcome.solved]
    if not solved:
        tried = statistics.median(outcome.sequences for outcome in outcomes)
        return f"not within {tried:,.0f} (best {max(outcome.best_share for outcome in outcomes):.0%} right)"
    counts = [outcome.sequences for outcome in solved]
    spread = f" ({min(counts):,} to {max(counts):,})" if len(counts) > 1 else ""
    seconds = statistics.median(outcome.seconds for outcome in solved)
    share = "" if len(solved) == len(outcomes) else f", {len(solved)} of {len(outcomes)} seeds"
    return f"{statistics.median(counts):,.0f}{spread}, {seconds:.0f} s{share}"


def save(name: str, budget: float, runs: dict[str, list[Outcome]], rates: dict[str, float]) -> None:
    """Put one task's runs into the file of results; those of other tasks stay."""
    known = json.loads(RESULT.read_text())["tasks"] if RESULT.exists() else {}
    known[name] = {
        "solved": TASKS[name].criterion,
        "lag": TASKS[name].lag,
        "budget_seconds": budget,
        "date": datetime.date.today().isoformat(),
        "runs": {who: [outcome._asdict() for outcome in each] for who, each in runs.items()},
    }
    record = {
        "cpus": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "units": UNITS,
        "batch": BATCH,
        "learning_rates": rates,
        "tasks": {each: known[each] for each in TASKS if each in known},
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, action="append", help="one of them, repeatable; default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=25.0, help="CPU seconds of one run, times PATIENCE of the task")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    field = contestants()
    rates = {who: contestant.learning_rate for who, contestant in field.items()}
    print(f"| task | {' | '.join(field)} |\n|{'---|' * (len(field) + 1)}")
    for name in arguments.task or TASKS:
        budget = arguments.budget * PATIENCE.get(name, 1.0)
        runs = {
            who: [run(TASKS[name], contestant, seed, budget) for seed in range(arguments.seeds)]
            for who, contestant in field.items()
        }
        print(f"| {name} | {' | '.join(cell(each) for each in runs.values())} |", flush=True)
        save(name, budget, runs, rates)


if __name__ == "__main__":
    main()
