"""What the training loop of a trial costs beside a bare one of torch: steps per second, interleaved.

    python benchmarks/training_loop.py

The bare loop takes the same batches, model, loss, optimiser and clipping, and does nothing else: no schedule, no
average of the weights, no seed for each step. One thread, on a panel of 100 series with a season of 12.
"""

from __future__ import annotations

import datetime
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from panels import make_facts, make_panel

from models.cores.stacked_lstm import StackedLSTMConfig
from models.forecaster import Forecaster, ForecasterConfig
from models.heads.direct import DirectHeadConfig
from models.panel import Panel
from models.sampling import WindowSampler
from models.training import mean_loss, training_of
from models.training_config import TrainingConfig

RESULT = Path(__file__).parent / "results" / "training_loop.json"
HIDDEN_SIZES, ROUNDS, STEPS = (32, 64, 128), 15, 30
CONFIG = TrainingConfig(steps=10_000)


def model_of(hidden_size: int) -> Forecaster:
    torch.manual_seed(0)
    facts = make_facts(season_length=12, horizon=12, longest=240)
    core = StackedLSTMConfig(hidden_size=hidden_size, num_layers=2)
    config = ForecasterConfig(context_length=60, patch_length=12, skip="season", core=core, head=DirectHeadConfig())
    return Forecaster(config, facts)


def bare(model: Forecaster, panel: Panel, sampler: WindowSampler) -> Callable[[], None]:
    """Return a step of plain torch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=CONFIG.learning_rate, fused=True)
    step = iter(range(10**9))

    def advance() -> None:
        items_B, ends_B = sampler.batch(next(step))
        windows = panel.gather(items_B, ends_B, model.config.context_length, model.facts.horizon)
        optimizer.zero_grad(set_to_none=True)
        mean_loss(model(windows), windows, CONFIG).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CONFIG.grad_clip)
        optimizer.step()

    return advance


def seconds(advance: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(STEPS):
        advance()
    return (time.perf_counter() - began) / STEPS


def measure(hidden_size: int) -> dict[str, float]:
    """Return milliseconds a step of both loops, and the median of their ratios, round by round."""
    facts = make_facts(season_length=12, horizon=12, longest=240)
    panel = make_panel(facts, [240] * 100)
    sampler = WindowSampler.before(np.full(100, 240), 12, 12, CONFIG.batch_size, seed=0)
    plain = bare(model_of(hidden_size), panel, sampler)
    ours = training_of(model_of(hidden_size), panel, sampler, CONFIG, torch.device("cpu")).advance
    rounds = []
    for number in range(ROUNDS + 2):
        pair = [(seconds(loop), place) for place, loop in sorted(enumerate((plain, ours)), reverse=number % 2 == 1)]
        rounds.append([taken for taken, _ in sorted(pair, key=lambda one: one[1])])
    kept = rounds[2:]
    return {
        "hidden_size": hidden_size,
        "bare_ms": 1000 * statistics.median(one for one, _ in kept),
        "ours_ms": 1000 * statistics.median(two for _, two in kept),
        "ratio": statistics.median(two / one for one, two in kept),
    }


def main() -> None:
    torch.set_num_threads(1)
    rows = [measure(hidden_size) for hidden_size in HIDDEN_SIZES]
    for row in rows:
        bare_ms, ours_ms, ratio = row["bare_ms"], row["ours_ms"], row["ratio"]
        print(f"hidden {row['hidden_size']:>4}{bare_ms:>8.2f} ms bare{ours_ms:>8.2f} ms ours{ratio:>7.3f}")
    record = {"date": datetime.date.today().isoformat(), "machine": platform.machine(), "torch": torch.__version__}
    RESULT.write_text(json.dumps(record | {"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
